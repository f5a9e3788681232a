//! Processes that outlive the command, the session or the connection that started them.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::master::Master;
use crate::{proc, said};

/// Far below what the background process takes, far above any delay of a loaded machine.
const AT_ONCE: Duration = Duration::from_secs(20);

#[track_caller]
fn number_in(path: &Path) -> u32 {
    eventually("a process id is written", PATIENCE, || {
        fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

#[test]
fn a_background_process_neither_holds_the_session_nor_dies_with_it() {
    let daemon = Daemon::start(|_| ());
    let started = Instant::now();
    let output = daemon.ssh(["sleep 60 & echo $! >pid; echo x"]);
    assert_eq!(said::ok(&output), "x\n");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    let pid = number_in(&daemon.home().join("pid"));
    assert!(proc::is_alive(pid), "{pid} died with its session");
}

#[test]
fn a_background_process_may_write_after_its_session_has_ended() {
    let daemon = Daemon::start(|_| ());
    let script = "(while [ ! -e go ]; do sleep 0.05; done; \
                  for i in 1 2 3; do echo late; echo late >&2; done; touch survived) & echo x";
    let output = daemon.ssh([script]);
    assert_eq!(said::ok(&output), "x\n");
    fs::write(daemon.home().join("go"), "").expect("a file");
    eventually("the late writer survives", PATIENCE, || {
        daemon.home().join("survived").exists().then_some(())
    });
}

#[test]
fn a_background_process_that_goes_on_writing_much_is_not_blocked_for_ever() {
    let daemon = Daemon::start(|_| ());
    let script =
        "(while [ ! -e go ]; do sleep 0.05; done; head -c 5000000 /dev/zero; touch wrote) & echo x";
    assert_eq!(said::ok(&daemon.ssh([script])), "x\n");
    fs::write(daemon.home().join("go"), "").expect("a file");
    eventually("the late bulk writer ends", PATIENCE, || {
        daemon.home().join("wrote").exists().then_some(())
    });
}

#[test]
fn a_server_started_in_its_own_session_outlives_the_connection() {
    let daemon = Daemon::start(|_| ());
    let script = "setsid -f sh -c 'echo $$ >server; exec sleep 60' </dev/null >/dev/null 2>&1; \
                  nohup sleep 60 >/dev/null 2>&1 & echo $! >nohup; sleep 60";
    let mut command = daemon.client.command("ssh");
    command
        .args(["-tt", "workspace", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let session = Background::start(&mut command);
    let server = number_in(&daemon.home().join("server"));
    let nohup = number_in(&daemon.home().join("nohup"));
    eventually("nohup has become what it runs", PATIENCE, || {
        let name = fs::read_to_string(format!("/proc/{nohup}/comm")).ok()?;
        (name == "sleep\n").then_some(())
    });
    drop(session); // killed: the connection is gone without a word
    eventually("the daemon notices", PATIENCE, || {
        daemon.log().contains("session ended").then_some(())
    });
    assert!(proc::is_alive(server), "the setsid process died");
    assert!(proc::is_alive(nohup), "the nohup process died");
}

#[test]
fn what_runs_on_a_terminal_is_hung_up_when_the_connection_goes() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    let script = "bash -c 'trap \"echo hup >hung-up; exit\" HUP; echo $$ >pid; while :; do sleep 0.1; done'; true";
    command.args(["-tt", "workspace", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let session = Background::start(&mut command);
    let pid = number_in(&daemon.home().join("pid"));
    drop(session);
    eventually("the foreground is hung up", PATIENCE, || {
        (daemon.home().join("hung-up").exists() && !proc::is_alive(pid)).then_some(())
    });
}

#[test]
fn a_command_without_a_terminal_is_not_left_running_for_nobody() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    command.args(["workspace", "echo $$ >pid; exec cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let session = Background::start(&mut command);
    let pid = number_in(&daemon.home().join("pid"));
    drop(session);
    eventually("cat sees the end of its input", PATIENCE, || {
        (!proc::is_alive(pid)).then_some(())
    });
}

#[test]
fn a_command_whose_input_has_ended_finds_its_output_closed_as_soon_as_its_client_leaves() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    command.args(["-n", "workspace", "echo $$ >pid; exec yes"]);
    command.stdout(Stdio::piped()); // which nobody reads
    let session = Background::start(&mut command);
    let pid = number_in(&daemon.home().join("pid"));
    // The end of the input is with the daemon: it is sent before any output is taken.
    said::ok(&daemon.ssh(["true"]));
    let left = Instant::now();
    drop(session);
    eventually("yes is told by its pipe", PATIENCE, || {
        (!proc::is_alive(pid)).then_some(())
    });
    // What is owed to a process that still reads is waited for thirty seconds.
    assert!(left.elapsed() < AT_ONCE, "{:?}", left.elapsed());
}

#[test]
fn no_zombie_is_left_behind() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    for _ in 0..10 {
        said::ok(&master.ssh("true & (setsid true &) ; sleep 0.01 | true"));
    }
    eventually("the daemon has no children", PATIENCE, || {
        proc::children(daemon.pid()).is_empty().then_some(())
    });
}
