//! The PROXY protocol: the real source where it is told by somebody to be believed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::gateway::{client, ssh_from, version_1, version_2};
use crate::harness::daemon::{Daemon, generate_key, write_secret};
use crate::harness::process::{PATIENCE, eventually};
use crate::said;
use crate::stranger::Stranger;

fn trusting() -> Daemon {
    Daemon::start(|setup| setup.args(["--trusted-proxy", "127.0.0.0/8,10.9.0.0/16"]))
}

#[test]
fn the_source_a_trusted_proxy_names_is_in_the_session_and_the_log() {
    let daemon = trusting();
    for (header, source) in [
        (version_1("192.0.2.7"), "192.0.2.7 40001"),
        (version_1("2001:db8::7"), "2001:db8::7 40001"),
        (version_2([192, 0, 2, 9]), "192.0.2.9 40001"),
    ] {
        let output = client(&daemon, header).ssh(["echo $SSH_CLIENT, $SSH_CONNECTION"]);
        let port = daemon.address.rsplit_once(':').expect("a port").1;
        let expected = format!("{source} {port}, {source} 127.0.0.1 {port}\n");
        assert_eq!(said::ok(&output), expected);
        let address = source.split(' ').next().expect("an address");
        assert!(daemon.log().contains(address), "{address}");
    }
}

#[test]
fn from_of_a_key_is_judged_by_the_source_a_trusted_proxy_names() {
    let daemon = Daemon::start(|setup| {
        setup.args(["--trusted-proxy", "127.0.0.1"]);
        let public = std::fs::read_to_string(setup.identity().with_extension("pub")).expect("key");
        let line = format!("from=\"192.0.2.0/24\" {public}");
        write_secret(&setup.authorized_keys(), &[("tester", line.as_bytes())]);
    });
    said::ok(&ssh_from(&daemon, "192.0.2.7", "true"));
    said::failed(&ssh_from(&daemon, "198.51.100.7", "true"), 255);
    let unknown = client(&daemon, b"PROXY UNKNOWN\r\n".as_slice());
    said::failed(&unknown.ssh(["true"]), 255);
}

#[test]
fn a_malformed_header_is_closed_with_one_line_and_no_word() {
    let daemon = trusting();
    let cases: [&[u8]; 7] = [
        b"SSH-2.0-no_header\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40001\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 80\r\n",
        b"PROXY TCP9 192.0.2.7 10.0.0.1 40001 80\r\n",
        &[b'P'; 4000],
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c000000000000",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff000000000000",
    ];
    for (number, case) in cases.iter().enumerate() {
        let mut stranger = Stranger::connect(&daemon);
        stranger.send(case);
        stranger.0.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        stranger.0.read_to_end(&mut answer).ok();
        assert!(
            answer.is_empty(),
            "{number}: {}",
            String::from_utf8_lossy(&answer)
        );
        let lines = || daemon.log().matches("no valid PROXY header").count();
        eventually("one line", PATIENCE, || {
            (lines() == number + 1).then_some(())
        });
    }
    assert_eq!(daemon.log().matches("WARN").count(), cases.len());
}

#[test]
fn a_header_of_a_peer_nobody_trusts_is_rubbish() {
    let daemon = Daemon::start(|setup| setup.args(["--trusted-proxy", "10.9.0.0/16"]));
    let output = ssh_from(&daemon, "192.0.2.7", "true");
    said::failed(&output, 255);
    assert!(!daemon.log().contains("192.0.2.7"), "{}", daemon.log());
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn a_probe_is_no_news_with_and_without_a_proxy() {
    for flags in [&[][..], &["--trusted-proxy", "127.0.0.1"]] {
        let daemon = Daemon::start(|setup| setup.args(flags));
        let probe = || TcpStream::connect(&daemon.address).expect("the daemon listens");
        drop(probe());
        // Reset instead of closed.
        let reset = socket2::SockRef::from(&probe()).set_linger(Some(std::time::Duration::ZERO));
        reset.expect("a socket option");
        let mut patient = probe();
        if flags.is_empty() {
            patient.read_exact(&mut [0; 8]).expect("a banner");
        } else {
            // A health check in the proxy's own name.
            patient
                .write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
                .expect("sent");
        }
        drop(patient);
        let seen = || {
            daemon.log().matches("left without logging in").count()
                + daemon.log().matches("ended without logging in").count()
        };
        eventually("all three are over", PATIENCE, || {
            (seen() >= 3).then_some(())
        });
        let loud = |line: &&str| {
            [" INFO", " WARN", "ERROR"]
                .iter()
                .any(|level| line.contains(level))
        };
        let log = daemon.log();
        let news: Vec<_> = log
            .lines()
            .filter(loud)
            .filter(|line| line.contains("conn="))
            .collect();
        assert_eq!(news, Vec::<&str>::new());
    }
}

/// `count` logins with a key nobody knows.
fn fail(daemon: &Daemon, source: Option<&str>, count: usize) {
    let wrong = daemon.home().join("../client/wrong");
    if !wrong.exists() {
        generate_key(&wrong);
    }
    for _ in 0..count {
        let client = match source {
            Some(source) => client(daemon, version_1(source)),
            None => daemon.client.clone(),
        };
        let mut command = client.command("ssh");
        command.args(["-o", "IdentityFile=none", "-i"]).arg(&wrong);
        command.args(["-o", "NumberOfPasswordPrompts=0", "workspace", "true"]);
        // The configuration's own key comes after the one of the command line: leave it out.
        let text = std::fs::read_to_string(&client.config).expect("ssh_config");
        let without = text.lines().filter(|line| !line.contains("IdentityFile"));
        let without = without.collect::<Vec<_>>().join("\n") + "\n";
        std::fs::write(&client.config, without).expect("ssh_config");
        let output = crate::harness::process::run(&mut command, b"", PATIENCE);
        std::fs::write(&client.config, text).expect("ssh_config");
        said::failed(&output, 255);
    }
}

#[test]
fn a_source_that_only_fails_has_to_wait_and_its_neighbours_do_not() {
    let daemon = trusting();
    said::ok(&ssh_from(&daemon, "192.0.2.66", "true"));
    // Each failure counts for five seconds, and from fifteen on a source waits.
    fail(&daemon, Some("192.0.2.66"), 8);
    let refused = client(&daemon, version_1("192.0.2.66")).ssh(["-v", "true"]);
    let words = said::failed(&refused, 255);
    assert!(words.contains("wait a minute"), "{words}");
    said::ok(&ssh_from(&daemon, "192.0.2.67", "true"));
}

#[test]
fn nobody_is_locked_out_of_an_address_that_may_be_a_gateways() {
    let daemon = Daemon::start(|_| ());
    fail(&daemon, None, 12);
    said::ok(&daemon.ssh(["true"]));
}
