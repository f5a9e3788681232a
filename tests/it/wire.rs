//! Before login: what no client would send, and clients that leave at every point.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::bare::text;
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::{proc, said};

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(&daemon.address).expect("the daemon listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Descriptors, and children; threads may be kept.
fn holds(daemon: &Daemon) -> (usize, usize) {
    let (files, _, children) = proc::holds(daemon.pid());
    (files, children)
}

/// What it holds once a first login is over, when everything that is made once is made.
#[track_caller]
fn at_rest(daemon: &Daemon) -> (usize, usize) {
    said::ok(&daemon.ssh(["true"]));
    eventually("the first login is over", PATIENCE, || {
        let over = daemon.log().contains("disconnected") && holds(daemon).1 == 0;
        over.then(|| holds(daemon))
    })
}

#[track_caller]
fn alive_and_clean(daemon: &Daemon, before: (usize, usize)) {
    said::ok(&daemon.ssh(["true"]));
    eventually("everything is given back", PATIENCE, || {
        let now = holds(daemon);
        (now.0 <= before.0 && now.1 <= before.1).then_some(())
    });
}

#[test]
fn the_banner_comes_at_once_and_first() {
    let daemon = Daemon::start(|_| ());
    let mut banner = [0; 8];
    connect(&daemon).read_exact(&mut banner).expect("a banner");
    assert_eq!(&banner, b"SSH-2.0-");
}

#[test]
fn garbage_in_place_of_ssh_ends_that_connection_only() {
    let daemon = Daemon::start(|_| ());
    let before = at_rest(&daemon);
    let long = vec![b'A'; 1_000_000];
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let valid_then = |rest: &[u8]| [b"SSH-2.0-x\r\n", rest].concat();
    let cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"SSH-1.5-old\r\n".to_vec(),
        b"\n".repeat(100_000),
        long,
        binary.clone(),
        valid_then(&binary),
        valid_then(&[0xff; 64]),
        valid_then(&[0; 64]),
        valid_then(&[0, 0, 0, 12, 10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        valid_then(&[0, 0, 0, 12, 200, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        valid_then(&[0, 4, 0, 0, 4, 20]),
        // An authentication, a channel, a disconnect and nonsense before any key exchange.
        valid_then(&[0, 0, 0, 12, 10, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        valid_then(&[0, 0, 0, 12, 10, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        valid_then(&[0, 0, 0, 12, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        valid_then(&[0, 0, 0, 12, 10, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (number, case) in cases.iter().enumerate() {
        let mut stream = connect(&daemon);
        // A daemon that has hung up already makes this fail, which is fine.
        stream.write_all(case).ok();
        stream.shutdown(Shutdown::Write).ok();
        let started = Instant::now();
        stream.read_to_end(&mut Vec::new()).ok();
        assert!(
            started.elapsed() < PATIENCE / 2,
            "case {number} was not ended"
        );
    }
    alive_and_clean(&daemon, before);
}

#[test]
fn whoever_does_not_log_in_is_put_out_and_others_are_served_meanwhile() {
    let daemon = Daemon::start(|setup| setup.args(["--login-grace", "3s"]));
    let before = at_rest(&daemon);
    let silent = connect(&daemon);
    let mut halfway = connect(&daemon);
    halfway.write_all(b"SSH-2.0-slow\r\n").expect("open");
    let mut dripping = connect(&daemon);
    let started = Instant::now();
    let drip = thread::spawn(move || {
        let gone = || {
            dripping.write_all(b"x").ok()?;
            dripping
                .set_read_timeout(Some(Duration::from_millis(100)))
                .ok()?;
            match dripping.read(&mut [0; 4096]) {
                Ok(0) => None,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => None,
                _ => Some(()),
            }
        };
        let mut gone = gone;
        while gone().is_some() {}
    });
    said::ok(&daemon.ssh(["true"]));
    // The first steps of a login wait for no person, and may take a third of the time each.
    for (mut stream, least) in [(silent, 1), (halfway, 2)] {
        stream.read_to_end(&mut Vec::new()).ok();
        let waited = started.elapsed();
        assert!(
            waited > Duration::from_millis(least * 1000 - 500) && waited < Duration::from_secs(20),
            "{waited:?}"
        );
    }
    drip.join().expect("the dripping client");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(daemon.log().contains("--login-grace"));
    alive_and_clean(&daemon, before);
}

#[test]
fn a_login_lasts_longer_than_the_login_grace() {
    let daemon = Daemon::start(|setup| setup.args(["--login-grace", "2s"]));
    let output = daemon.ssh(["sleep 4; echo still here"]);
    assert_eq!(said::ok(&output), "still here\n");
}

#[test]
fn more_strangers_than_max_startups_make_room_for_each_other_and_for_users() {
    let daemon = Daemon::start(|setup| setup.args(["--max-startups", "2", "--login-grace", "60s"]));
    let here = crate::master::Master::connect(&daemon.client, &[]);
    // Ten times as many may wait before they have exchanged keys.
    let mut strangers: Vec<_> = (0..20).map(|_| connect(&daemon)).collect();
    for stranger in &mut strangers {
        stranger.read_exact(&mut [0; 8]).expect("a banner");
    }
    said::ok(&daemon.ssh(["true"]));
    // Its place was the oldest stranger's.
    let mut rest = Vec::new();
    strangers[0].read_to_end(&mut rest).ok();
    assert!(rest.len() < 200, "{}", String::from_utf8_lossy(&rest));
    said::ok(&here.ssh("true"));
}

/// Passes on at most `most` bytes of the client's, then cuts both ways.
fn cut_after(daemon: &Daemon, most: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let address = daemon.address.clone();
    thread::spawn(move || -> std::io::Result<()> {
        let (client, _) = listener.accept()?;
        let server = TcpStream::connect(address)?;
        let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        std::io::copy(&mut (&client).take(most as u64), &mut &server)?;
        client.shutdown(Shutdown::Both).ok();
        server.shutdown(Shutdown::Both)
    });
    port
}

#[test]
fn a_client_that_vanishes_anywhere_costs_nothing() {
    let daemon = Daemon::start(|_| ());
    let before = at_rest(&daemon);
    // A whole login with a command is some 5 KB: version, key exchange, login, channel.
    let points: Vec<usize> = (0..60)
        .map(|step| step * 23)
        .chain((1400..6000).step_by(150))
        .collect();
    thread::scope(|scope| {
        for lane in 0..4 {
            let (points, daemon) = (&points, &daemon);
            scope.spawn(move || {
                for point in points.iter().skip(lane).step_by(4) {
                    let port = cut_after(daemon, *point).to_string();
                    let mut ssh = Command::new("ssh");
                    ssh.args([
                        "-F",
                        "none",
                        "-o",
                        "BatchMode=yes",
                        "-o",
                        "IdentityAgent=none",
                    ]);
                    ssh.args([
                        "-o",
                        "StrictHostKeyChecking=yes",
                        "-o",
                        "HostKeyAlias=workspace",
                        "-i",
                    ]);
                    ssh.arg(&daemon.client.identity);
                    ssh.args([
                        "-o",
                        &format!("UserKnownHostsFile={}", text(&daemon.client.known_hosts)),
                    ]);
                    ssh.args(["-p", &port, "-l", user(), "127.0.0.1", "sleep 0.01; cat"]);
                    run(&mut ssh, b"", PATIENCE);
                }
            });
        }
    });
    alive_and_clean(&daemon, before);
}

#[test]
fn a_thousand_connections_that_leave_at_once_cost_nothing() {
    let daemon = Daemon::start(|_| ());
    let before = at_rest(&daemon);
    let resident = proc::resident(daemon.pid());
    for _ in 0..1000 {
        drop(connect(&daemon));
    }
    alive_and_clean(&daemon, before);
    let growth = proc::resident(daemon.pid()).saturating_sub(resident);
    assert!(growth < 32 * 1024, "grew by {growth} KiB");
}
