//! `~/.ssh/rc`, which runs before a shell or command and not before SFTP.

use std::fs;

use crate::harness::daemon::{Daemon, Setup, write_secret};
use crate::harness::process::{PATIENCE, run};
use crate::said;
use crate::terminal::Terminal;

fn with_rc(setup: &Setup, script: &str) {
    fs::create_dir_all(setup.home().join(".ssh")).expect("~/.ssh");
    fs::write(setup.home().join(".ssh/rc"), script).expect("~/.ssh/rc");
}

#[test]
fn the_users_rc_runs_first_in_the_home_with_the_sessions_environment() {
    let daemon = Daemon::start(|setup| {
        setup.env("COLOUR", "image");
        // No mode makes it a program, and no line says of what: sh runs it, as with sshd.
        with_rc(
            setup,
            "echo \"rc: $(pwd) ${SSH_CONNECTION%% *} $COLOUR $0\"\necho complaint >&2\n",
        );
    });
    let home = daemon.home();
    let first = format!("rc: {} 127.0.0.1 image ", home.display());
    let output = daemon.ssh(["echo then the command"]);
    let shown = said::ok(&output);
    assert!(shown.starts_with(&first), "{shown}");
    assert!(shown.ends_with("\nthen the command\n"), "{shown}");
    assert_eq!(said::err(&output), "complaint\n");

    let output = daemon.client.ssh_with(["-T"], b"echo then the shell\n");
    let shown = said::ok(&output);
    assert!(shown.starts_with(&first), "{shown}");
    assert!(shown.ends_with("\nthen the shell\n"), "{shown}");

    let mut terminal = Terminal::shell(&daemon.client);
    assert_eq!(
        terminal.line("echo then the terminal"),
        "then the terminal\n"
    );
    assert!(
        terminal.screen().starts_with(&first),
        "{}",
        terminal.screen()
    );
}

#[test]
fn an_rc_that_fails_or_reads_keeps_nobody_out() {
    let daemon = Daemon::start(|setup| with_rc(setup, "cat >read\nkill -9 $$\n"));
    let output = daemon.client.ssh_with(["cat; exit 7"], b"for the command");
    said::failed(&output, 7);
    assert_eq!(said::out(&output), "for the command");
    let read = fs::read_to_string(daemon.home().join("read"));
    assert_eq!(read.expect("rc ran"), "", "the command's input is not rc's");
}

#[test]
fn sftp_is_not_disturbed_by_an_rc_that_talks() {
    let daemon = Daemon::start(|setup| with_rc(setup, "echo noise; touch rc-ran\n"));
    let mut sftp = daemon.client.command("sftp");
    let output = run(sftp.args(["-b", "-", "workspace"]), b"pwd\n", PATIENCE);
    said::ok(&output);
    assert!(!daemon.home().join("rc-ran").exists());
}

#[test]
fn a_key_with_no_user_rc_or_restrict_runs_none() {
    for option in ["no-user-rc", "restrict"] {
        let daemon = Daemon::start(|setup| {
            with_rc(setup, "echo noise\n");
            let key = fs::read_to_string(setup.identity().with_extension("pub")).expect("the key");
            let line = format!("{option} {key}");
            write_secret(&setup.authorized_keys(), &[("tester", line.as_bytes())]);
        });
        assert_eq!(said::ok(&daemon.ssh(["echo quiet"])), "quiet\n", "{option}");
    }
}
