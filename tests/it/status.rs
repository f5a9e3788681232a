//! `podssh status`, and what the workspace tells of its last run and of memory.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

use crate::bare::{Place, as_root, podssh, podssh_with, text};
use crate::harness::daemon::{Daemon, binary, user};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::master::Master;
use crate::said;
use crate::terminal::Terminal;

fn status(command: &mut Command, control: &Path, further: &[&str]) -> Output {
    command
        .args(["status", "--control", text(control)])
        .args(further);
    run(command, b"", PATIENCE)
}

#[track_caller]
fn json(control: &Path) -> Value {
    let output = status(&mut as_root(), control, &["--json"]);
    serde_json::from_str(&said::ok(&output)).expect("one JSON document")
}

fn control(daemon: &Daemon) -> std::path::PathBuf {
    daemon.home().with_file_name("run/control.sock")
}

#[test]
fn status_tells_who_is_here_and_how_things_are() {
    let daemon = Daemon::start(|setup| {
        setup.args(["--", "/bin/sh", "-c", "exec sleep 600"]);
    });
    let _master = Master::connect(&daemon.client, &[]);
    let told = eventually("the side process runs", PATIENCE, || {
        let told = json(&control(&daemon));
        (told["side_process"]["state"] == "running").then_some(told)
    });
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["state"], "serving");
    assert_eq!(told["pid"], daemon.pid());
    assert_eq!(told["listen"][0], daemon.address.as_str());
    assert_eq!(told["user"], user());
    assert_eq!(told["home"]["path"], text(&daemon.home()));
    assert_eq!(told["home"]["faults"].as_array().map(Vec::len), Some(0));
    assert_eq!(told["side_process"]["command"], "/bin/sh -c exec sleep 600");
    assert_eq!(told["last_end"]["how"], "unknown");
    assert_eq!(told["hooks"].as_array().map(Vec::len), Some(0));
    let connections = told["connections"].as_array().expect("a list");
    assert_eq!(connections.len(), 1, "{told}");
    assert_eq!(connections[0]["who"], "tester");
    assert!(
        connections[0]["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("SHA256:"))
    );
    assert!(
        connections[0]["client"]
            .as_str()
            .is_some_and(|end| end.starts_with("127.0.0.1:"))
    );

    // A session asks the daemon that serves it, without being told which.
    let page = daemon.ssh([format!("{} status", text(binary()))]);
    let page = said::ok(&page);
    for words in [
        "serving",
        "running, pid",
        "tester from 127.0.0.1",
        "last end",
    ] {
        assert!(page.contains(words), "{words} is not in:\n{page}");
    }
}

#[test]
fn status_without_a_daemon_is_69_and_names_the_socket() {
    let place = Place::new();
    let socket = place.path("nobody.sock");
    let output = podssh_with(&["status", "--control", text(&socket)]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(said::err(&output).contains(text(&socket)), "{output:?}");
}

#[test]
fn another_user_is_refused_with_77() {
    assert!(
        geteuid().is_root(),
        "NOT RUN: needs two users; run the tests as root once"
    );
    let daemon = Daemon::start(|_| ());
    let socket = control(&daemon);
    let mode = fs::metadata(&socket)
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = status(&mut podssh(), &socket, &[]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
}

#[test]
fn a_word_that_is_not_known_is_answered_with_an_error_and_silence_is_borne() {
    let daemon = Daemon::start(|_| ());
    let socket = control(&daemon);
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&socket).expect("the control socket");
        stream.write_all(line.as_bytes()).expect("a question");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let silent = UnixStream::connect(&socket).expect("the control socket");
    assert!(ask("juggle 3 balls\n").contains("knows no \\\"juggle\\\""));
    assert!(ask("status with more words\n").contains("\"version\""));
    drop(silent);
    assert_eq!(json(&socket)["state"], "serving");
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_taken_over() {
    let place = Place::new();
    let home = place.path("home");
    let flags = ["--home", text(&home), "--shell", "/bin/bash"];
    drop(place.serve(&flags)); // killed
    assert!(place.path("control.sock").exists());
    fs::remove_file(place.path("ready")).expect("the ready file");
    let _daemon = place.serve(&flags);
    assert_eq!(json(&place.path("control.sock"))["state"], "serving");
}

/// Starts a daemon at a place for the next time.
fn again(place: &Place) -> (Background, crate::harness::client::Client) {
    let _ = fs::remove_file(place.path("ready"));
    let home = place.path("home");
    place.serve(&[
        "--home",
        text(&home),
        "--shell",
        "/bin/bash",
        "--motd",
        "/nonexistent",
    ])
}

#[test]
fn the_end_of_the_last_run_is_told_whether_in_order_or_not() {
    let place = Place::new();
    let last_end = || json(&place.path("control.sock"))["last_end"].clone();
    drop(again(&place)); // killed
    let (mut daemon, client) = again(&place);
    assert_eq!(last_end()["how"], "cut");
    assert_eq!(last_end()["memory"], false);
    let mut terminal = Terminal::shell(&client);
    let screen = terminal.screen();
    assert!(
        screen.contains("podssh: the last run was cut off"),
        "{screen}"
    );
    terminal.key("exit\r");
    terminal.end();

    kill(Pid::from_raw(daemon.0.id() as i32), Signal::SIGTERM).expect("our child");
    let ended = eventually("it ends", PATIENCE, || {
        daemon.0.try_wait().expect("our child")
    });
    assert!(ended.success(), "{ended}");
    assert!(
        !place.path("control.sock").exists(),
        "the socket is left behind"
    );
    let (_daemon, _) = again(&place);
    assert_eq!(last_end()["how"], "ended");
    assert_eq!(last_end()["reason"], "SIGTERM");
    assert_eq!(last_end()["code"], 0);
}

#[test]
fn a_program_is_killed_for_lack_of_memory_before_the_daemon_is() {
    let daemon = Daemon::start(|setup| {
        let script = "cat /proc/self/oom_score_adj >side; exec sleep 60";
        setup.args(["--", "/bin/sh", "-c", script]);
    });
    let read = |path: String| fs::read_to_string(path).ok()?.trim().parse::<i32>().ok();
    let own = read(format!("/proc/{}/oom_score_adj", daemon.pid())).expect("a number");
    let wanted = (own + 100).min(1000);
    let session = said::ok(&daemon.ssh(["cat /proc/self/oom_score_adj"]));
    assert_eq!(session, format!("{wanted}\n"));
    let side = daemon.home().join("side");
    let side = eventually("the side process has looked", PATIENCE, || {
        read(text(&side).to_owned())
    });
    assert_eq!(side, wanted);
}
