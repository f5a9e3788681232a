//! What may not be forwarded is refused, by `--forward` and the lists that narrow it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use crate::bare::text;
use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, run};
use crate::said;

const PROHIBITED: &str = "administratively prohibited";

fn daemon(args: &[&str]) -> Daemon {
    Daemon::start(|setup| setup.args(args))
}

/// A port that greets.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut visitor in listener.incoming().map_while(Result::ok) {
            visitor.write_all(b"hello").ok();
            visitor.read_exact(&mut [0]).ok();
        }
    });
    port
}

fn ssh(daemon: &Daemon) -> Command {
    let mut command = daemon.client.command("ssh");
    command.args(["-o", "ExitOnForwardFailure=yes"]);
    command
}

/// What `ssh -W` prints and complains about.
fn reach(daemon: &Daemon, target: &str) -> (String, String) {
    let output = run(ssh(daemon).args(["-W", target, "workspace"]), b"", PATIENCE);
    (said::out(&output), said::err(&output))
}

fn may_listen(daemon: &Daemon, spec: &str) -> bool {
    let output = run(
        ssh(daemon).args(["-R", spec, "workspace", "true"]),
        b"",
        PATIENCE,
    );
    output.status.success()
}

#[test]
fn none_forbids_both_directions_and_sockets_and_leaves_sessions_alone() {
    let daemon = daemon(&["--forward", "none"]);
    let (out, err) = reach(&daemon, &format!("127.0.0.1:{}", greeter()));
    assert!(out.is_empty() && err.contains(PROHIBITED), "{out} {err}");
    assert!(!may_listen(&daemon, "0:127.0.0.1:1"));
    let socket = daemon.home().join("socket");
    assert!(!may_listen(
        &daemon,
        &format!("{}:127.0.0.1:1", text(&socket))
    ));
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn local_and_remote_allow_one_direction_each() {
    let target = format!("127.0.0.1:{}", greeter());
    let local = daemon(&["--forward", "local"]);
    assert_eq!(reach(&local, &target).0, "hello");
    assert!(!may_listen(&local, "0:127.0.0.1:1"));
    let remote = daemon(&["--forward", "remote"]);
    assert!(reach(&remote, &target).1.contains(PROHIBITED));
    assert!(may_listen(&remote, "0:127.0.0.1:1"));
}

#[test]
fn a_list_of_destinations_permits_those_only() {
    let (listed, other) = (greeter(), greeter());
    let daemon = daemon(&["--permit-open", &format!("localhost:{listed},*:1")]);
    assert_eq!(reach(&daemon, &format!("localhost:{listed}")).0, "hello");
    for target in [format!("localhost:{other}"), format!("127.0.0.1:{listed}")] {
        let (out, err) = reach(&daemon, &target);
        assert!(
            out.is_empty() && err.contains(PROHIBITED),
            "{target}: {err}"
        );
    }
    assert!(reach(&daemon, "127.0.0.1:1").1.contains("connect failed"));
}

#[test]
fn a_list_of_listeners_permits_those_only() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let daemon = daemon(&["--permit-listen", &format!("localhost:{port}")]);
    assert!(may_listen(
        &daemon,
        &format!("localhost:{port}:127.0.0.1:1")
    ));
    assert!(!may_listen(&daemon, "localhost:0:127.0.0.1:1"));
    assert!(!may_listen(&daemon, &format!("*:{port}:127.0.0.1:1")));
}

#[test]
fn a_refused_forward_does_not_disturb_the_session_beside_it() {
    let daemon = daemon(&["--forward", "none"]);
    let mut command = daemon.client.command("ssh");
    let args = ["-R", "0:127.0.0.1:1", "workspace", "echo here"];
    let output = run(command.args(args), b"", PATIENCE);
    assert_eq!(said::ok(&output), "here\n");
    assert!(
        said::err(&output).contains("forwarding failed"),
        "{}",
        said::show(&output)
    );
}
