//! The terminal itself: modes, size, name, signals and break.

use crate::harness::daemon::Daemon;
use crate::terminal::Terminal;
use crate::{python, said};

#[test]
fn the_clients_terminal_modes_are_those_of_the_session() {
    let daemon = Daemon::start(|_| ());
    // What no default has: it must have come from the client.
    let stty = "sane intr ^B erase ^H -ixon iutf8 -echoctl";
    let mut terminal = Terminal::open(&daemon.client, "xterm", stty, &["workspace"]);
    let modes = terminal.line("stty -a");
    for mode in [
        "intr = ^B;",
        "erase = ^H;",
        "-ixon",
        "iutf8",
        "-echoctl",
        "rows 30; columns 100;",
    ] {
        let found = modes
            .split([' ', '\n'])
            .collect::<Vec<_>>()
            .join(" ")
            .contains(&format!(" {mode} "));
        assert!(found, "no {mode} in\n{modes}");
    }
    let mut terminal = Terminal::open(
        &daemon.client,
        "xterm",
        "sane kill ^X ixon -iutf8",
        &["workspace"],
    );
    let modes = terminal.line("stty -a");
    for mode in ["intr = ^C;", "kill = ^X;", "ixon", "-iutf8"] {
        let found = modes
            .split([' ', '\n'])
            .collect::<Vec<_>>()
            .join(" ")
            .contains(&format!(" {mode} "));
        assert!(found, "no {mode} in\n{modes}");
    }
}

#[test]
fn a_change_of_size_arrives_and_is_signalled() {
    let daemon = Daemon::start(|_| ());
    let mut terminal = Terminal::shell(&daemon.client);
    assert_eq!(
        terminal.line("stty size; tput cols; tput lines"),
        "30 100\n100\n30\n"
    );
    let from = terminal.screen().len();
    terminal.key(
        "bash -c 'trap \"stty size; exit\" WINCH; echo rea''dy; while :; do sleep 0.05; done'\r",
    );
    terminal.until(from, "ready");
    terminal.resize(57, 211);
    terminal.until(from, "57 211");
}

#[test]
fn the_terminal_has_a_name_that_the_session_knows() {
    let daemon = Daemon::start(|_| ());
    let mut terminal = Terminal::shell(&daemon.client);
    let shown = terminal.line("echo $SSH_TTY; tty; echo $TERM");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[0].starts_with("/dev/pts/"), "{shown}");
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], "xterm-256color");
    let output = daemon.ssh(["echo \"[$SSH_TTY]\"; tty"]);
    assert_eq!(said::out(&output), "[]\nnot a tty\n");
}

#[test]
fn absurd_sizes_become_what_a_terminal_can_have() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
async def main(conn):
    for size in [(0, 0), (4294967295, 4294967295), (0, 4294967295, 4294967295, 0), (80, 24)]:
        process = await conn.create_process("stty size; read x; stty size", term_type="xterm", term_size=size)
        first = await process.stdout.readline()
        rows, cols = map(int, first.split())
        fit = lambda number: min(number, 65535)
        assert (cols, rows) == (fit(size[0]), fit(size[1])), (size, first)
        process.change_terminal_size(4294967295, 0)
        process.change_terminal_size(132, 43)
        process.stdin.write("\n")
        await process.stdout.readline() # the echo
        second = await process.stdout.readline()
        assert second == "43 132\r\n", (size, second)
        assert (await process.wait()).exit_status == 0
start(main)
"#,
    );
}

#[test]
fn a_signal_request_reaches_the_program() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
async def main(conn):
    for pty in [{}, dict(term_type="xterm", term_modes={asyncssh.PTY_ECHO: 0})]:
        for name in "INT TERM HUP USR1 USR2 QUIT ALRM ABRT FPE ILL PIPE SEGV".split():
            script = "trap 'echo got %s; exit 33' %s; echo ready; sleep 600 & wait" % (name, name)
            process = await conn.create_process(script, **pty)
            assert (await process.stdout.readline()).strip() == "ready"
            process.send_signal(name)
            assert (await process.stdout.readline()).strip() == "got " + name, name
            assert (await process.wait()).exit_status == 33
        process = await conn.create_process("echo ready; exec sleep 600", **pty)
        await process.stdout.readline()
        process.send_signal("KILL")
        result = await process.wait()
        assert result.exit_signal and result.exit_signal[0] == "KILL", result
        # A signal nobody knows does nothing.
        process = await conn.create_process("echo ready; read x; exit 5", **pty)
        await process.stdout.readline()
        process.channel.send_signal("NOSUCH")
        process.stdin.write("\n")
        assert (await process.wait()).exit_status == 5
start(main)
"#,
    );
}

#[test]
fn a_signal_reaches_what_the_shell_has_started_too() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
async def main(conn):
    process = await conn.create_process("sh -c 'trap \"echo child; exit\" TERM; echo ready; while :; do sleep 0.02; done'; echo shell")
    await process.stdout.readline()
    process.terminate()
    assert await process.stdout.readline() == "child\n"
start(main)
"#,
    );
}

#[test]
fn a_break_is_accepted_on_a_terminal() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::WIRE,
        r#"
wire = Wire()
channel = wire.open()
assert wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0")
assert wire.request(channel, "exec", "read x; exit 3")
wire.send(REQUEST, channel, "break", True, 500)
kind, _ = wire.expect(SUCCESS, REFUSED)
assert kind == SUCCESS, "break refused"
wire.send(DATA, channel, b"\n")
assert wire.to_the_end()[2] == 3
assert wire.works()
"#,
    );
}

#[test]
fn hundreds_of_terminals_are_given_back() {
    let daemon = Daemon::start(|_| ());
    python::check(
        &daemon,
        python::ASYNCSSH,
        r#"
def terminals():
    return sum(os.readlink("/proc/%d/fd/%s" % (PID, fd)).startswith("/dev/pt") for fd in os.listdir("/proc/%d/fd" % PID))
async def main(conn):
    for _ in range(4):
        await asyncio.gather(*(conn.run("tty", term_type="xterm") for _ in range(50)))
    for _ in range(500):
        if terminals() == 0: return
        await asyncio.sleep(0.02)
    raise AssertionError("%d terminals are still open" % terminals())
start(main)
"#,
    );
}
