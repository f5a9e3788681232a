//! How sessions end: background children, hang-ups, and who survives a client that is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::case::{Case, check, ssh};
use crate::harness::process::{Background, PATIENCE, eventually};
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case::custom("a child in the background keeps the output", |server| {
        timed(server, &[], "sleep 6 & echo started")
    }).intended("true", "false", "a child in the background does not hold the channel, whatever it keeps open"),
    Case::custom("a child in the background with its own output", |server| {
        timed(server, &[], "sleep 6 >/dev/null 2>&1 & echo started")
    }),
    Case::custom("a child in the background keeps stderr", |server| {
        timed(server, &[], "sleep 6 >/dev/null & echo started")
    }).intended("true", "false", "a child in the background does not hold the channel, whatever it keeps open"),
    Case::custom("a child in the background of a terminal", |server| {
        timed(server, &["-tt"], "sleep 6 & echo started")
    }),
    Case::custom("the last stage of a pipeline", |server| {
        ssh(server, &[], "(sleep 0.3; echo late) & exit 0", b"")
    }),
    Case::custom("output of a child after the exit, 1 s", |server| {
        ssh(
            server,
            &[],
            "(sleep 1; echo late) & echo first; exit 0",
            b"",
        )
    }).intended("late", "first", "a child in the background does not hold the channel, whatever it keeps open; what it writes within half a second still arrives"),
    Case::custom("client killed: command in a pipe", |server| {
        survivors(server, &[], "exec sleep 300")
    }),
    Case::custom("client killed: command that writes", |server| {
        survivors(
            server,
            &[],
            "while :; do echo x; sleep 0.1; done; sleep 300",
        )
    }),
    Case::custom("client killed: command on a terminal", |server| {
        survivors(server, &["-tt"], "exec sleep 300")
    }),
    Case::custom("client killed: trap of HUP in a pipe", |server| {
        hung_up(server, &[])
    }),
    Case::custom("client killed: trap of HUP on a terminal", |server| {
        hung_up(server, &["-tt"])
    }),
    Case::custom("client killed: nohup in a pipe", |server| {
        survivors(server, &[], "exec nohup sleep 300 >/dev/null 2>&1")
    }),
    Case::custom("client killed: nohup on a terminal", |server| {
        survivors(server, &["-tt"], "exec nohup sleep 300 >/dev/null 2>&1")
    }),
    Case::custom("client killed: setsid in a pipe", |server| {
        survivors(server, &[], "setsid sleep 300 & wait")
    }),
    Case::custom("client killed: setsid on a terminal", |server| {
        survivors(
            server,
            &["-tt"],
            "setsid sleep 300 </dev/null >/dev/null 2>&1 & wait",
        )
    }),
    Case::custom("client killed: a reader of standard input ends", |server| {
        survivors(server, &[], "cat >/dev/null; exec sleep 300")
    }),
    Case::custom("left behind by a normal exit: in a pipe", |server| {
        left_behind(server, &[])
    }),
    Case::custom("left behind by a normal exit: on a terminal", |server| {
        left_behind(server, &["-tt"])
    }),
];

/// The outcome, and whether it took long.
fn timed(server: &Server, options: &[&str], command: &str) -> String {
    let began = Instant::now();
    let outcome = ssh(server, options, command, b"");
    let held = began.elapsed() > Duration::from_secs(5);
    format!("{outcome}held until the child ended: {held}")
}

/// A directory in the home where sessions may write, and the command that goes there.
fn workplace(server: &Server) -> (TempDir, String) {
    let directory = tempfile::tempdir_in(&server.home).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let enter = format!("cd {};", directory.path().display());
    (directory, enter)
}

/// Starts `command` with ssh, kills ssh when it runs, and tells what became of the `sleep 300` or shell.
fn survivors(server: &Server, options: &[&str], command: &str) -> String {
    let (directory, enter) = workplace(server);
    survivors_in(&directory, server, options, &format!("{enter} {command}"))
}

fn survivors_in(directory: &TempDir, server: &Server, options: &[&str], command: &str) -> String {
    // `$!` of what is in the background, the shell itself otherwise.
    let command = if command.ends_with("& wait") {
        command.replace("& wait", "& echo $! > pid; wait")
    } else {
        command.replacen(';', "; echo $$ > pid;", 1)
    };
    let mut client = server.client.command("ssh");
    client
        .args(options)
        .args(["workspace", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let client = Background::start(&mut client);
    let pid_file = directory.path().join("pid");
    let pid = eventually("the command runs", PATIENCE, || {
        let text = fs::read_to_string(&pid_file).ok()?;
        text.trim().parse::<i32>().ok()
    });
    // Long enough for exec and nohup to have happened.
    thread::sleep(Duration::from_millis(500));
    drop(client);
    if lives_on(pid) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        return "lives on".into();
    }
    "ends".into()
}

/// Whether `pid` still runs a while later.
fn lives_on(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_millis(1500);
    let is_there = || {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    while Instant::now() < deadline {
        if !is_there() {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Which signals a shell sees when its client is gone.
fn hung_up(server: &Server, options: &[&str]) -> String {
    let (directory, enter) = workplace(server);
    let traps = "for s in HUP TERM INT PIPE CONT; do trap \"echo $s >> seen\" $s; done; \
                 i=0; while [ $i -lt 15 ]; do sleep 0.1; i=$((i+1)); done; exit";
    survivors_in(&directory, server, options, &format!("{enter} {traps}"));
    let text = fs::read_to_string(directory.path().join("seen")).unwrap_or_default();
    format!("signals: {}", text.replace('\n', " "))
}

/// Whether a child in the background outlives its session.
fn left_behind(server: &Server, options: &[&str]) -> String {
    let (directory, enter) = workplace(server);
    let command = format!("{enter} sleep 300 </dev/null >/dev/null 2>&1 & echo $! > pid");
    let outcome = ssh(server, options, &command, b"");
    let pid = fs::read_to_string(directory.path().join("pid")).unwrap();
    let pid = pid.trim().parse().unwrap();
    let alive = lives_on(pid);
    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    format!("{outcome}lives on: {alive}")
}

#[test]
fn sessions_end_as_under_sshd() {
    check(CASES);
}
