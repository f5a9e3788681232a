//! The login shell, and what a person sees of it.

use std::fs;

use crate::bare::text;
use crate::harness::daemon::{Daemon, Setup};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::said;
use crate::terminal::Terminal;

#[test]
fn a_login_shell_starts_in_the_home_under_its_login_name() {
    let daemon = Daemon::start(|_| ());
    let mut terminal = Terminal::shell(&daemon.client);
    let shown = terminal.line("echo $0; shopt login_shell; pwd; ps -o args= $$");
    let home = daemon.home();
    assert_eq!(
        shown,
        format!("-bash\nlogin_shell    \ton\n{}\n-bash\n", text(&home))
    );
    terminal.key("exit 17\r");
    assert_eq!(terminal.end(), 17);
}

#[test]
fn a_shell_without_a_terminal_is_a_login_shell_that_reads_its_script() {
    let daemon = Daemon::start(|_| ());
    let output = daemon.client.ssh_with(["-T"], b"echo $0; tty; exit 4\n");
    // `ssh workspace -T` is an option still: nothing follows it, so a shell is asked for.
    assert_eq!(said::failed(&output, 4), "");
    assert_eq!(said::out(&output), "-bash\nnot a tty\n");
}

#[test]
fn an_interrupt_stops_the_foreground_and_not_the_shell() {
    // One job throughout: between two of them the foreground is nobody's for a moment.
    let daemon = Daemon::start(|_| ());
    let mut terminal = Terminal::shell(&daemon.client);
    terminal.line("true");
    let from = terminal.screen().len();
    terminal.key("sh -c 'touch runs; exec sleep 600'\r");
    eventually("sleep runs", PATIENCE, || {
        daemon.home().join("runs").exists().then_some(())
    });
    terminal.key("\x03");
    terminal.until(from, "^C");
    assert_eq!(terminal.line("echo $?"), "130\n");
    terminal.key("sh -c 'touch again; exec sleep 600'\r");
    eventually("sleep runs again", PATIENCE, || {
        daemon.home().join("again").exists().then_some(())
    });
    terminal.key("\x1a");
    terminal.until(from, "Stopped");
    assert!(terminal.line("jobs").contains("sleep 600"));
}

fn with_motd(setup: &mut Setup) {
    let motd = setup.home().join("motd");
    fs::write(&motd, "Hello, person\nsecond line\n").expect("motd");
    setup.args(["--motd", text(&motd)]);
}

#[test]
fn the_message_of_the_day_greets_a_person() {
    let daemon = Daemon::start(with_motd);
    let mut terminal = Terminal::shell(&daemon.client);
    terminal.line("true");
    let screen = terminal.screen();
    assert!(
        screen.starts_with("Hello, person\r\nsecond line\r\n"),
        "{screen:?}"
    );
}

#[test]
fn the_message_of_the_day_is_for_nobody_else() {
    let daemon = Daemon::start(with_motd);
    let silent = |terminal: &mut Terminal, what: &str| {
        terminal.line("true");
        assert!(!terminal.screen().contains("Hello"), "{what}");
    };
    let mut dumb = Terminal::open(&daemon.client, "dumb", "sane", &["workspace"]);
    silent(&mut dumb, "TERM=dumb");
    let mut exec = Terminal::open(
        &daemon.client,
        "xterm",
        "sane",
        &["workspace", "bash --norc"],
    );
    silent(&mut exec, "a command on a terminal");
    assert_eq!(said::ok(&daemon.ssh(["true"])), "");
    let mut shell = daemon.client.command("ssh");
    let output = run(shell.args(["-T", "workspace"]), b"true\n", PATIENCE);
    assert_eq!(said::ok(&output), "");
    said::ok(&daemon.ssh(["touch .hushlogin"]));
    silent(&mut Terminal::shell(&daemon.client), "~/.hushlogin");
}

#[test]
fn a_missing_message_of_the_day_is_no_news() {
    let daemon = Daemon::start(|setup| setup.args(["--motd", "/nonexistent/motd"]));
    let mut terminal = Terminal::shell(&daemon.client);
    assert_eq!(terminal.line("echo here"), "here\n");
}

#[test]
fn a_hundred_outputs_on_a_terminal_are_whole_at_the_exit() {
    let daemon = Daemon::start(|_| ());
    let master = crate::master::Master::connect(&daemon.client, &[]);
    let lines: Vec<_> = (1..=20_000).map(|n| n.to_string()).collect();
    let expected = lines.join("\n") + "\n";
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..25 {
                    let mut command = master.command("ssh");
                    command.args(["-tt", "workspace", "seq 20000; exit 6"]);
                    let output = run(&mut command, b"", PATIENCE);
                    said::failed(&output, 6);
                    // What becomes of a line end is the mode's affair, and a pipe has none to send.
                    let got = said::out(&output).replace('\r', "");
                    assert!(
                        got == expected,
                        "round {round}: {} of {} bytes, ends with {:?}",
                        got.len(),
                        expected.len(),
                        &got[got.len().saturating_sub(40)..]
                    );
                }
            });
        }
    });
}

#[test]
fn a_terminal_echoes_what_is_typed_and_knows_its_end_of_file() {
    let daemon = Daemon::start(|_| ());
    let mut terminal = Terminal::open(&daemon.client, "xterm", "sane", &["workspace", "cat"]);
    terminal.key("typed\r");
    terminal.until(0, "typed\r\ntyped\r\n");
    terminal.key("\x04");
    assert_eq!(terminal.end(), 0);
}
