//! The end of the daemon: two stages, a reason, an exit code; and its life as root's child.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::bare::{Place, as_root, text};
use crate::harness::daemon::Daemon;
use crate::harness::http;
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::master::Master;
use crate::terminal::Terminal;
use crate::{proc, said};

#[track_caller]
fn refuses_connections(daemon: &Daemon) {
    eventually("new connections are refused", PATIENCE, || {
        TcpStream::connect(&daemon.address).is_err().then_some(())
    });
}

#[test]
fn a_drain_lets_sessions_go_on_and_nobody_new_in() {
    let mut daemon = Daemon::start(|setup| setup.args(["--grace", "50s"]));
    let mut terminal = Terminal::shell(&daemon.client);
    terminal.line("true");
    let mut master = Master::connect(&daemon.client, &[]);
    said::ok(&master.ssh("true"));
    daemon.signal(Signal::SIGTERM);
    refuses_connections(&daemon);
    terminal.until(0, "this workspace is stopping: SIGTERM");
    assert_eq!(http::get(&daemon.admin, "/readyz").0, 503);
    assert_eq!(http::get(&daemon.admin, "/livez").0, 200);
    // What runs goes on, but nothing new begins on a connection that is there.
    assert_eq!(terminal.line("echo still here"), "still here\n");
    assert!(!master.ssh("true").status.success());
    assert!(master.is_up());
    drop(master);
    let started = Instant::now();
    terminal.key("exit 5\r");
    assert_eq!(terminal.end(), 5);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "waited for the grace time"
    );
    assert!(daemon.log().contains("draining"), "{}", daemon.log());
}

/// A session that writes down its hang-up, and its `ssh`.
#[track_caller]
fn stubborn(daemon: &Daemon) -> Background {
    let mut command = daemon.client.command("ssh");
    let script = "trap 'echo hup >hup; exit 3' HUP; touch up; while :; do sleep 0.05; done";
    command.args(["workspace", script]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let session = Background::start(&mut command);
    eventually("the session runs", PATIENCE, || {
        daemon.home().join("up").exists().then_some(())
    });
    session
}

#[track_caller]
fn last_words(mut session: Background) -> (Option<i32>, String) {
    let status = eventually("the session ends", PATIENCE, || {
        session.0.try_wait().expect("our child")
    });
    let mut stderr = String::new();
    let mut pipe = session.0.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("text");
    (status.code(), stderr)
}

#[test]
fn the_end_of_the_grace_time_ends_sessions_with_a_hang_up_and_a_status() {
    let mut daemon = Daemon::start(|setup| setup.args(["--grace", "1s"]));
    let session = stubborn(&daemon);
    daemon.signal(Signal::SIGTERM);
    let (code, _) = last_words(session);
    assert_eq!(code, Some(3), "the status of the session's own end");
    assert!(daemon.home().join("hup").exists());
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

#[test]
fn an_idle_connection_is_told_why_it_ends() {
    let mut daemon = Daemon::start(|setup| setup.args(["--grace", "1s"]));
    let mut command = daemon.client.command("ssh");
    command.args(["-N", "-v", "workspace"]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let idle = Background::start(&mut command);
    eventually("the connection is there", PATIENCE, || {
        daemon.log().contains("logged in").then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    let (_, said) = last_words(idle);
    assert!(
        said.contains("this workspace is stopping: SIGTERM"),
        "{said}"
    );
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

#[test]
fn a_program_that_ignores_its_hang_up_is_killed() {
    let mut daemon = Daemon::start(|setup| setup.args(["--grace", "1s"]));
    let mut command = daemon.client.command("ssh");
    command.args([
        "workspace",
        "trap '' HUP TERM; echo $$ >pid; touch up; while :; do sleep 0.05; done",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let _session = Background::start(&mut command);
    let pid = eventually("the session runs", PATIENCE, || {
        let pid = fs::read_to_string(daemon.home().join("pid")).ok()?;
        pid.trim().parse().ok()
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    eventually("it is killed", PATIENCE, || {
        (!proc::is_alive(pid)).then_some(())
    });
}

#[test]
fn a_second_signal_hurries() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(|setup| setup.args(["--grace", "10m"]));
        let session = stubborn(&daemon);
        daemon.signal(Signal::SIGTERM);
        refuses_connections(&daemon);
        daemon.signal(second);
        assert_eq!(daemon.wait(PATIENCE), Some(0));
        assert_eq!(last_words(session).0, Some(3));
    }
}

#[test]
fn a_daemon_nobody_uses_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(|setup| setup.args(["--grace", "10m"]));
        daemon.signal(signal);
        assert_eq!(daemon.wait(Duration::from_secs(20)), Some(0));
    }
}

#[test]
fn the_end_of_the_side_process_is_the_daemons() {
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        let mut daemon = Daemon::start(|setup| {
            let go = setup.home().join("go");
            let script = format!("until [ -e {} ]; do sleep 0.02; done; {script}", text(&go));
            setup.args(["--", "/bin/sh", "-c", &script]);
        });
        said::ok(&daemon.ssh(["touch go"]));
        assert_eq!(daemon.wait(PATIENCE), Some(code), "{script}");
    }
}

#[test]
fn the_side_process_is_asked_to_stop_and_waited_for() {
    let mut daemon = Daemon::start(|setup| {
        let home = setup.home();
        let script = format!(
            "trap 'sleep 0.3; touch {0}/stopped; exit 9' TERM; touch {0}/up; while :; do sleep 0.02; done",
            text(&home)
        );
        setup.args(["--", "/bin/sh", "-c", &script]);
    });
    eventually("the side process runs", PATIENCE, || {
        daemon.home().join("up").exists().then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(PATIENCE), Some(9));
    assert!(daemon.home().join("stopped").exists());
}

#[test]
fn signals_that_are_the_side_process_s_affair_are_passed_on() {
    let mut daemon = Daemon::start(|setup| {
        let home = setup.home();
        let script = format!(
            "cd {0}; for s in QUIT USR1 USR2; do trap \"touch $s\" $s; done; \
             trap 'touch INT; exit 3' INT; touch up; while :; do sleep 0.02; done",
            text(&home)
        );
        setup.args(["--", "/bin/bash", "-c", &script]);
    });
    let written = |name: &str| {
        eventually(name, PATIENCE, || {
            daemon.home().join(name).exists().then_some(())
        });
    };
    written("up");
    for (signal, name) in [
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGINT, "INT"),
    ] {
        daemon.signal(signal);
        written(name);
    }
    assert_eq!(daemon.wait(PATIENCE), Some(3));
}

#[test]
fn a_side_process_that_ignores_its_end_is_ended_with_its_group() {
    let mut daemon = Daemon::start(|setup| {
        let script = "trap '' TERM; sleep 600 & echo $! >pid; while :; do sleep 0.05; done";
        setup.args(["--grace", "1s", "--", "/bin/bash", "-c", script]);
    });
    let pid = eventually("the side process runs", PATIENCE, || {
        let pid = fs::read_to_string(daemon.home().join("pid")).ok()?;
        pid.trim().parse().ok()
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    eventually("its group is gone", PATIENCE, || {
        (!proc::is_alive(pid)).then_some(())
    });
}

#[test]
fn sessions_outlive_signals_that_are_no_business_of_the_daemon() {
    let daemon = Daemon::start(|_| ());
    let master = Master::connect(&daemon.client, &[]);
    for signal in [
        Signal::SIGPIPE,
        Signal::SIGHUP,
        Signal::SIGCHLD,
        Signal::SIGWINCH,
        Signal::SIGUSR1,
    ] {
        daemon.signal(signal);
        assert_eq!(said::ok(&master.ssh("echo here")), "here\n", "{signal}");
    }
}

#[test]
fn started_as_root_it_drops_everything_for_good() {
    assert!(
        geteuid().is_root(),
        "NOT RUN: dropping root needs root; run the tests as root once"
    );
    let place = Place::new();
    fs::set_permissions(place.root.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut command = as_root();
    place.flags(&mut command);
    let home = place.path("root-home");
    command.args([
        "--user",
        "nobody",
        "--shell",
        "/bin/bash",
        "--home",
        text(&home),
    ]);
    let (daemon, client) = place.start(&mut command, "nobody");
    let pid = daemon.0.id();
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("passwd")
        .expect("nobody");
    let (uid, gid) = (nobody.uid.to_string(), nobody.gid.to_string());
    let four = |id: &str| [id; 4].join("\t");
    assert_eq!(proc::status(pid, "Uid"), four(&uid));
    assert_eq!(proc::status(pid, "Gid"), four(&gid));
    assert_eq!(proc::status(pid, "Groups"), gid);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(proc::status(pid, set), "0000000000000000", "{set}");
    }
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
        let path = thread.expect("a thread").path().join("status");
        let status = fs::read_to_string(path).expect("its status");
        assert!(
            status.contains(&format!("Uid:\t{}", four(&uid))),
            "{status}"
        );
    }
    let identity = said::ok(&client.ssh(["id -u; id -g; id -G; pwd"]));
    assert_eq!(identity, format!("{uid}\n{gid}\n{gid}\n{}\n", text(&home)));
    kill(Pid::from_raw(pid as i32), Signal::SIGTERM).expect("our child");
}

#[test]
fn root_is_refused_as_the_workspace_user() {
    assert!(
        geteuid().is_root(),
        "NOT RUN: needs root; run the tests as root once"
    );
    for (name, word) in [("root", "--user"), ("no-such-user", "no-such-user")] {
        let mut command = as_root();
        command.args(["serve", "--user", name, "--home", "/tmp"]);
        let output = crate::harness::process::run(&mut command, b"", PATIENCE);
        assert!(
            matches!(output.status.code(), Some(77 | 78)),
            "{}",
            said::show(&output)
        );
        assert!(said::err(&output).contains(word), "{}", said::show(&output));
    }
}
