//! Start hooks: their order, what they hand on, and that a bad one keeps nobody out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::bare::text;
use crate::harness::daemon::{Daemon, Setup};
use crate::harness::process::{PATIENCE, eventually};
use crate::terminal::Terminal;
use crate::{proc, said};

/// Adds a directory of hooks, each a name and a text; what is not `*.sh` is executable.
fn hooks(setup: &mut Setup, files: &[(&str, &str)]) {
    let directory = setup.home().with_file_name("hooks");
    fs::create_dir(&directory).expect("a directory");
    for (name, text) in files {
        write(&directory.join(name), text);
    }
    setup.args(["--hooks", text(&directory)]);
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("a hook");
    let sourced = path.extension().is_some_and(|extension| extension == "sh");
    let mode = if sourced { 0o644 } else { 0o755 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[track_caller]
fn number_in(path: &Path) -> u32 {
    eventually("a process id is written", PATIENCE, || {
        fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

#[test]
fn hooks_run_in_order_and_what_a_sourced_one_exports_reaches_everything_after_it() {
    let daemon = Daemon::start(|setup| {
        let on_start = setup.home().join(".config/podssh/on-start");
        write(&on_start, "#!/bin/sh\necho on-start $COLOUR >>order\n");
        hooks(
            setup,
            &[
                (
                    "30",
                    "#!/bin/sh\necho 30 $COLOUR >>order\nexport COLOUR=lost\n",
                ),
                ("10", "#!/bin/sh\necho 10 $COLOUR >>order\n"),
                (
                    "20-colour.sh",
                    "export COLOUR='dark blue' PATH=/opt/hook:$PATH\nunset GONE\necho 20 >>order\n",
                ),
            ],
        );
        setup.env("GONE", "not yet");
        let side = "echo side $COLOUR $GONE >>order; exec sleep 600";
        setup.args(["--", "/bin/sh", "-c", side]);
    });
    let seen = daemon.ssh(["echo $COLOUR $GONE; echo $PATH"]);
    let seen = said::ok(&seen);
    assert!(
        seen.starts_with("dark blue\n/opt/hook:/usr/local/sbin:"),
        "{seen}"
    );
    let order = eventually("the side process has started", PATIENCE, || {
        let order = fs::read_to_string(daemon.home().join("order")).ok()?;
        order.contains("side").then_some(order)
    });
    let expected = "10\n20\n30 dark blue\non-start dark blue\nside dark blue\n";
    assert_eq!(order, expected);
}

#[test]
fn a_hook_that_fails_hangs_or_cannot_run_is_told_and_the_others_run() {
    let daemon = Daemon::start(|setup| {
        hooks(
            setup,
            &[
                (
                    "10-fails",
                    "#!/bin/sh\necho what went wrong\necho more >&2\nexit 3\n",
                ),
                (
                    "20-hangs",
                    "#!/bin/sh\ntrap '' TERM\necho $$ >hanging\nwhile :; do sleep 0.1; done\n",
                ),
                ("30-exits.sh", "export HALF=done\nexit 4\n"),
                ("40-no-shebang", "echo never\n"),
                ("50-dies.sh", "kill -9 $$\n"),
                ("60-last", "#!/bin/sh\ntouch last\n"),
            ],
        );
        setup.args(["--hook-timeout", "1s"]);
    });
    eventually("the last hook has run", PATIENCE, || {
        daemon.home().join("last").exists().then_some(())
    });
    let hanging = number_in(&daemon.home().join("hanging"));
    assert!(!proc::is_alive(hanging), "the hanging hook was not ended");
    assert_eq!(said::ok(&daemon.ssh(["echo $HALF"])), "\n");
    let log = daemon.log();
    for words in [
        "exit code 3",
        "what went wrong",
        "took too long",
        "exit code 4",
        "no #! line",
    ] {
        assert!(log.contains(words), "{words} is not in the log:\n{log}");
    }
    let kept = fs::read_to_string(daemon.home().join(".local/state/podssh/hooks.log"));
    let kept = kept.expect("hooks.log");
    assert!(
        kept.contains("10-fails: failed with exit code 3 after"),
        "{kept}"
    );
    assert!(kept.contains("what went wrong\nmore\n"), "{kept}");

    let mut terminal = Terminal::shell(&daemon.client);
    let screen = terminal.screen();
    for words in [
        "10-fails: failed with exit code 3",
        "20-hangs: took too long",
        "50-dies.sh: killed by signal 9",
    ] {
        assert!(screen.contains(words), "{words} is not in:\n{screen}");
    }
    assert!(!screen.contains("60-last"), "{screen}");
    terminal.key("exit\r");
}

#[test]
fn a_hanging_hook_keeps_nobody_out_and_does_not_hold_up_the_end() {
    let mut daemon = Daemon::start(|setup| {
        hooks(
            setup,
            &[("10-hangs", "#!/bin/sh\necho $$ >hanging\nexec sleep 3600\n")],
        );
        setup.args(["--", "/bin/sh", "-c", "touch side; exec sleep 600"]);
    });
    let hanging = number_in(&daemon.home().join("hanging"));
    assert_eq!(said::ok(&daemon.ssh(["echo in"])), "in\n");
    let mut terminal = Terminal::shell(&daemon.client);
    terminal.until(0, "10-hangs: running");
    terminal.key("exit\r");
    terminal.end();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(Duration::from_secs(30)), Some(0));
    assert!(!proc::is_alive(hanging), "the hook outlived the daemon");
    assert!(
        !daemon.home().join("side").exists(),
        "the side process waits for the hooks"
    );
}

#[test]
fn what_a_hook_leaves_running_lives_on_and_holds_up_nothing() {
    let daemon = Daemon::start(|setup| {
        hooks(
            setup,
            &[
                (
                    "10-server",
                    "#!/bin/sh\n(while :; do echo talking; sleep 0.05; done) & echo $! >first\n",
                ),
                (
                    "20-server.sh",
                    "sleep 600 & echo $! >second\nexport AFTER=yes\n",
                ),
            ],
        );
    });
    let pids = ["first", "second"].map(|name| number_in(&daemon.home().join(name)));
    assert_eq!(said::ok(&daemon.ssh(["echo $AFTER"])), "yes\n");
    for pid in pids {
        assert!(proc::is_alive(pid), "it died with its hook");
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, Signal::SIGKILL).expect("it is there");
    }
}
