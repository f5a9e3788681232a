//! Real clients over a bad network: what they carry arrives exact, or they are told that it did not.

use std::fs;
use std::process::Output;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::client::Client;
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually, run};
use crate::proxy::{End, Proxy, Weather};
use crate::{much, proc, said};

/// A transfer over a slow network on a busy machine.
const LONG: Duration = Duration::from_secs(240);

fn cat(client: &Client, data: &[u8]) -> Output {
    let mut command = client.command("ssh");
    run(command.args(["workspace", "cat"]), data, LONG)
}

/// Uploads `data` by sftp as `name` and yields what sftp said.
fn put(client: &Client, name: &str, data: &[u8]) -> Output {
    let local = client.config.with_file_name(format!("put-{name}"));
    fs::write(&local, data).expect("a local file");
    let mut command = client.command("sftp");
    let batch = format!("put {} {name}\n", local.display());
    run(
        command.args(["-q", "-b", "-", "workspace"]),
        batch.as_bytes(),
        LONG,
    )
}

fn get(client: &Client, name: &str) -> (Output, Vec<u8>) {
    let local = client.config.with_file_name(format!("get-{name}"));
    let mut command = client.command("sftp");
    let batch = format!("get {name} {}\n", local.display());
    let output = run(
        command.args(["-q", "-b", "-", "workspace"]),
        batch.as_bytes(),
        LONG,
    );
    (output, fs::read(local).unwrap_or_default())
}

#[track_caller]
fn exact(client: &Client, daemon: &Daemon, name: &str, data: &[u8]) {
    let output = cat(client, data);
    said::ok(&output);
    assert!(
        output.stdout == data,
        "cat: {} of {} bytes",
        output.stdout.len(),
        data.len()
    );
    said::ok(&put(client, name, data));
    assert!(
        fs::read(daemon.home().join(name)).expect("the upload") == data,
        "put"
    );
    let (output, got) = get(client, name);
    said::ok(&output);
    assert!(got == data, "get: {} of {} bytes", got.len(), data.len());
}

#[test]
fn bytes_arrive_exact_however_the_network_cuts_them() {
    let daemon = Daemon::start(|_| ());
    let calm = Weather::default();
    let dust = Weather { pieces: 13, ..calm };
    let segments = Weather {
        pieces: 1400,
        delay: Duration::from_micros(200),
        ..calm
    };
    let lumps = Weather {
        gather: 48 * 1024,
        delay: Duration::from_millis(10),
        ..calm
    };
    for (name, up, down, size) in [
        ("dust", dust, dust, 200_000),
        ("segments", segments, segments, 500_000),
        ("lumps", lumps, lumps, 1_500_000),
        ("dust-up", dust, lumps, 200_000),
    ] {
        let proxy = Proxy::start(&daemon, up, down);
        exact(
            &proxy.client(&daemon),
            &daemon,
            name,
            &said::noise(much(size, size * 10)),
        );
    }
}

#[test]
fn a_direction_that_stalls_goes_on_where_it_was_and_holds_up_nobody_else() {
    let daemon = Daemon::start(|_| ());
    let calm = Weather::default();
    let stalled = Weather {
        stall: Some((
            400_000,
            much(Duration::from_secs(3), Duration::from_secs(50)),
        )),
        ..calm
    };
    let data = said::noise(1_000_000);
    for (up, down) in [(stalled, calm), (calm, stalled), (stalled, stalled)] {
        let proxy = Proxy::start(&daemon, up, down);
        let client = proxy.client(&daemon);
        thread::scope(|scope| {
            let slow = scope.spawn(|| cat(&client, &data));
            while !slow.is_finished() {
                assert_eq!(said::ok(&daemon.ssh(["echo beside"])), "beside\n");
            }
            let output = slow.join().expect("the slow client");
            said::ok(&output);
            assert!(output.stdout == data);
        });
    }
}

#[test]
fn a_connection_that_ends_anywhere_is_told_apart_from_one_that_did_its_work() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    let data = said::noise(300_000);
    let mut random = StdRng::seed_from_u64(5);
    let mut broken = 0;
    for round in 0..much(24, 400) {
        let end = if round % 2 == 0 {
            End::Close
        } else {
            End::Reset
        };
        // A login is some 3 KB each way; what is beyond 300 KB is hardly ever reached.
        let after = if round % 3 == 0 {
            random.random_range(1..6000)
        } else {
            random.random_range(1..330_000)
        };
        let cut = Weather {
            end: Some((after, end)),
            ..Weather::default()
        };
        let calm = Weather::default();
        let (up, down) = if round % 4 < 2 {
            (cut, calm)
        } else {
            (calm, cut)
        };
        let client = Proxy::start(&daemon, up, down).client(&daemon);
        let output = if round % 5 < 3 {
            let output = cat(&client, &data);
            assert!(
                !output.status.success() || output.stdout == data,
                "round {round}: {}",
                said::show(&output)
            );
            assert!(
                data.starts_with(&output.stdout),
                "round {round}: bytes that were not sent"
            );
            output
        } else {
            let name = format!("cut-{round}");
            let output = put(&client, &name, &data);
            let there = fs::read(daemon.home().join(&name)).unwrap_or_default();
            assert!(
                !output.status.success() || there == data,
                "round {round}: {}",
                said::show(&output)
            );
            output
        };
        broken += usize::from(!output.status.success());
    }
    assert!(
        broken > 10,
        "only {broken} connections were cut while they were needed"
    );
    said::ok(&daemon.ssh(["true"]));
    eventually(
        "every program has ended with its connection",
        PATIENCE,
        || proc::children(daemon.pid()).is_empty().then_some(()),
    );
}
