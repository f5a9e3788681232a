//! After login: channels and requests as no client would use them.

use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::process::PATIENCE;
use crate::python::{self, WIRE};

/// Runs a script of the raw client against a daemon of its own, which must live on.
#[track_caller]
fn wire(script: &str) -> Daemon {
    wire_for(PATIENCE, script)
}

/// The same for a script that has much to do.
#[track_caller]
fn wire_for(patience: Duration, script: &str) -> Daemon {
    let daemon = Daemon::start(|_| ());
    let script = format!("{script}\nassert Wire().works()");
    python::check_for(patience, &daemon, WIRE, &script);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    daemon
}

#[test]
fn a_second_program_on_a_channel_is_refused() {
    wire(
        r#"
wire = Wire()
for first, second in [("exec", "exec"), ("shell", "exec"), ("exec", "shell"), ("exec", "subsystem")]:
    fields = dict(exec=["cat"], shell=[], subsystem=["sftp"])
    channel = wire.open()
    assert wire.request(channel, first, *fields[first])
    assert not wire.request(channel, second, *fields[second]), (first, second)
    wire.send(EOF, channel)
    output, order, status = wire.to_the_end()
    assert (output, status) == (b"", 0), (first, output, status)
    wire.send(CLOSE, channel)
assert wire.works()
"#,
    );
}

#[test]
fn the_end_comes_in_order() {
    wire(
        r#"
wire = Wire()
for pty in [False, True]:
    channel = wire.open()
    if pty: assert wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0")
    assert wire.request(channel, "exec", "echo out; exit 42")
    output, order, status = wire.to_the_end()
    assert output.strip() == b"out" and status == 42
    # sshd itself is free to send the status before or after the end of file
    assert order == [DATA, EOF, REQUEST, CLOSE], order
    wire.send(CLOSE, channel)
"#,
    );
}

#[test]
fn a_terminal_or_a_variable_after_the_program_is_refused() {
    wire(
        r#"
wire = Wire()
channel = wire.open()
assert wire.request(channel, "exec", "cat")
assert not wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0")
assert not wire.request(channel, "env", "LANG", "C")
assert not wire.request(channel, "auth-agent-req@openssh.com")
wire.send(EOF, channel)
assert wire.to_the_end()[2] == 0
wire.send(CLOSE, channel)
channel = wire.open()
assert wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0")
assert not wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0"), "a second terminal"
"#,
    );
}

#[test]
fn unknown_requests_and_channel_types_are_answered_with_failure() {
    wire(
        r#"
wire = Wire()
channel = wire.open()
for name in ["no-such@example.com", "x11-req-2", "", "eow@openssh.com", "xon-xoff", "keepalive@openssh.com"]:
    assert not wire.request(channel, name), name
assert not wire.request(channel, "subsystem", "no-such-subsystem")
assert wire.request(channel, "exec", "exit 9"), "a refused subsystem leaves the channel usable"
assert wire.to_the_end()[2] == 9
wire.send(CLOSE, channel)
for name in ["no-such@example.com", "keepalive@openssh.com", ""]:
    wire.send(GLOBAL, name, True)
    assert wire.expect(GLOBAL_SUCCESS, GLOBAL_FAILURE)[0] == GLOBAL_FAILURE, name
# answers come in the order of the questions
wire.send(GLOBAL, "cancel-tcpip-forward", True, "127.0.0.1", 1)
wire.send(GLOBAL, "tcpip-forward", True, "127.0.0.1", 0)
wire.send(GLOBAL, "nonsense", True)
assert [wire.expect(GLOBAL_SUCCESS, GLOBAL_FAILURE)[0] for _ in range(3)] == [GLOBAL_FAILURE, GLOBAL_SUCCESS, GLOBAL_FAILURE]
where = ("127.0.0.1", 1, "127.0.0.1", 1)
for kind, rest in [("no-such-type", where), ("", ()), ("x11", where[:2]), ("forwarded-tcpip", where),
                   ("tun@openssh.com", (1, 1)), ("auth-agent@openssh.com", ())]:
    wire.send(OPEN, kind, 77, 1000, 1000, *rest)
    found, message = wire.expect(CONFIRMATION, FAILURE)
    assert found == FAILURE and message.get_int() == 77, kind
assert wire.works()
"#,
    );
}

#[test]
fn what_is_said_on_channels_that_are_not_there_harms_nobody() {
    for script in [
        "wire.send(DATA, 4242, b'x')",
        "wire.send(EOF, 4242)",
        "wire.send(CLOSE, 4242)",
        "wire.send(ADJUST, 4242, 1000)",
        "wire.send(REQUEST, 4242, 'exec', True, 'touch bad')",
        "wire.send(EXTENDED, 4242, 1, b'x')",
        "wire.send(SUCCESS, 4242)",
        "wire.send(CONFIRMATION, 4242, 0, 1, 1)",
        "c = wire.open(); wire.send(CLOSE, c); wire.send(DATA, c, b'x'); wire.send(REQUEST, c, 'exec', True, 'touch bad')",
        "c = wire.open(); wire.send(CLOSE, c); wire.send(CLOSE, c); wire.send(EOF, c)",
        "c = wire.open(); wire.send(EOF, c); wire.send(EOF, c); wire.send(DATA, c, b'late')",
    ] {
        let daemon = wire(&format!(
            r"
other, wire = Wire(), Wire()
{script}
assert other.works()
# this connection either goes on or is ended, but never hangs
try:
    assert wire.works()
except (AssertionError, EOFError, OSError, paramiko.SSHException):
    pass
assert other.works()
"
        ));
        assert!(!daemon.home().join("bad").exists(), "{script}");
    }
}

#[test]
fn data_before_the_program_is_its_input() {
    wire(
        r#"
wire = Wire()
channel = wire.open()
data = bytes(range(256)) * 400
for start in range(0, len(data), 20000):
    wire.send(DATA, channel, data[start:start + 20000])
wire.send(EOF, channel)
assert wire.request(channel, "exec", "cat; exit 4")
output, _, status = wire.to_the_end()
assert output == data and status == 4, (len(output), status)
"#,
    );
}

#[test]
fn a_flood_of_variables_is_bounded() {
    wire(
        r#"
wire = Wire()
channel = wire.open()
before = resident()
granted = sum(wire.request(channel, "env", "LC_%d" % number, "x" * 1000) for number in range(2000))
assert 0 < granted <= 128, granted
assert not wire.request(channel, "env", "LC_BIG", "x" * 200000)
assert not wire.request(channel, "env", "LC_A=B", "x") and not wire.request(channel, "env", "LC_\0", "x")
assert resident() - before < 16 * 1024
assert wire.request(channel, "exec", "env | grep -c ^LC_")
output, _, status = wire.to_the_end()
assert int(output) >= granted - 1, (output, granted)
"#,
    );
}

#[test]
fn ten_thousand_channels_are_opened_and_closed() {
    wire(
        r#"
wire = Wire()
before = resident()
for batch in range(100):
    channels = []
    for _ in range(100):
        wire.send(OPEN, "session", next(wire.numbers), 1 << 20, 32768)
    for _ in range(100):
        kind, message = wire.expect(CONFIRMATION)
        message.get_int(); channels.append(message.get_int())
    for channel in channels: wire.send(CLOSE, channel)
    for _ in channels: wire.expect(CLOSE)
assert wire.works()
growth = resident() - before
assert growth < 32 * 1024, growth
"#,
    );
}

/// Those beyond what a connection may have are refused for want of resources (code 4 of RFC 4254 section 5.1).
#[test]
fn a_hundred_thousand_channels_asked_for_are_bounded_and_disturb_nobody() {
    wire_for(
        PATIENCE * 4,
        r#"
wire, other = Wire(), Wire()
beside = wire.open()
assert wire.request(beside, "exec", "cat")
before = resident()
opened = refused = 0
for batch in range(100):
    for _ in range(1000):
        wire.send(OPEN, "session", next(wire.numbers), 1 << 20, 32768)
    for _ in range(1000):
        kind, message = wire.expect(CONFIRMATION, FAILURE)
        if kind == CONFIRMATION: opened += 1
        else:
            message.get_int()
            code = message.get_int()
            assert code == 4, code
            refused += 1
    growth = resident() - before
    assert growth < 64 * 1024, (batch, opened, growth)
assert opened + refused == 100000 and opened >= 1000 and refused >= 90000, (opened, refused)
wire.send(DATA, beside, b"still here")
kind, message = wire.expect(DATA)
message.get_int()
assert message.get_binary() == b"still here"
assert other.works()
wire.transport.close()
eventually(lambda: resident() - before < 64 * 1024, "memory stays bounded after the end")
"#,
    );
}

#[test]
fn more_data_than_the_window_ends_that_connection_only() {
    wire(
        r#"
other, wire = Wire(), Wire()
channel = wire.open()
assert wire.request(channel, "exec", "sleep 600")
before = resident()
try:
    for _ in range(3000): wire.send(DATA, channel, b"x" * 32768) # 96 MB, whatever the window
except (EOFError, OSError, paramiko.SSHException):
    pass
growth = resident() - before
assert growth < 64 * 1024, growth
assert other.works()
try:
    assert wire.ended()
except queue.Empty:
    raise AssertionError("the connection goes on")
assert other.works()
"#,
    );
}

#[test]
fn absurd_windows_and_packet_sizes_do_no_harm() {
    wire(
        r#"
wire = Wire()
channel = wire.open(window=0, packet=32768)
assert wire.request(channel, "exec", "echo slow; exit 3")
for _ in range(5): wire.send(ADJUST, channel, 1)
output, _, status = wire.to_the_end()
assert (output, status) == (b"slow\n", 3), output
wire.send(CLOSE, channel)
channel = wire.open(window=(1 << 32) - 1, packet=(1 << 32) - 1)
wire.send(ADJUST, channel, (1 << 32) - 1)
assert wire.request(channel, "exec", "head -c 1000000 /dev/zero")
output, _, status = wire.to_the_end()
assert (len(output), status) == (1000000, 0), len(output)
wire.send(CLOSE, channel)
other = Wire()
# Nothing can be sent in packets of no size: that connection may be ended, and no other.
wire.send(OPEN, "session", 5000, 1 << 20, 0)
kind, _ = wire.receive()
assert kind in (CONFIRMATION, FAILURE, DISCONNECT, None), kind
assert other.works()
"#,
    );
}

#[test]
fn the_connection_protocol_before_login_is_refused() {
    wire(
        r#"
for first in ["channel", "global", "success"]:
    transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
    transport.start_client(timeout=20)
    message = Message()
    fields = {"channel": bytes([OPEN]) + pack("session", 0, 1 << 20, 32768),
              "global": bytes([GLOBAL]) + pack("tcpip-forward", True, "127.0.0.1", 0),
              "success": bytes([52])}
    message.add_bytes(fields[first])
    transport._send_message(message)
    eventually(lambda: not transport.is_active(), first + ": the connection is ended", 5)
    assert not transport.is_authenticated()
"#,
    );
}

#[test]
fn everything_ends_when_the_client_cuts_a_busy_connection() {
    let daemon = wire(
        r#"
wire = Wire()
commands = ["cat /dev/zero", "sleep 600", "cat", "yes"]
channels = [wire.open() for _ in commands]
assert wire.request(channels[3], "pty-req", "xterm", 80, 24, 0, 0, b"\0")
for channel, command in zip(channels, commands):
    wire.send(REQUEST, channel, "exec", False, command)
wire.expect(DATA)
wire.transport.sock.close()
"#,
    );
    // `sleep` has neither terminal nor streams to notice by: sshd leaves it running too.
    crate::harness::process::eventually("the writers are gone", PATIENCE, || {
        let left = crate::proc::children(daemon.pid());
        (left.len() <= 1).then_some(())
    });
}
