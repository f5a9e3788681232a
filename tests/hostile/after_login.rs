//! What somebody who may log in can do to the daemon and to others: bounded, whatever he sends.
//! More of it is in tests/it/wire_channels.rs and tests/it/load.rs.

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually};
use crate::python::{self, WIRE};
use crate::{proc, said};

#[track_caller]
fn wire(script: &str) -> Daemon {
    let daemon = Daemon::start(|_| ());
    print!(
        "{}",
        python::check(&daemon, WIRE, &format!("{script}\nassert Wire().works()"))
    );
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    daemon
}

/// Runs a script whose connections are gone at its end, and with them all that the daemon held for them.
#[track_caller]
fn given_back(script: &str) {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    let before = proc::holds(daemon.pid()).0;
    print!("{}", python::check(&daemon, WIRE, script));
    eventually("everything is given back", PATIENCE, || {
        let (files, _, children) = proc::holds(daemon.pid());
        (files <= before + 2 && children == 0).then_some(())
    });
}

#[test]
fn ten_thousand_forwards_are_refused_or_bounded_and_given_back() {
    given_back(
        r#"
before = resident()
wire, other = Wire(), Wire()
granted = 0
for batch in range(20):
    for _ in range(500): wire.send(GLOBAL, "tcpip-forward", True, "127.0.0.1", 0)
    for _ in range(500): granted += wire.expect(GLOBAL_SUCCESS, GLOBAL_FAILURE)[0] == GLOBAL_SUCCESS
    for number in range(20): wire.send(GLOBAL, "streamlocal-forward@openssh.com", False, "%s/s%d-%d" % (HOME, batch, number))
assert granted == 256, granted
assert other.works() and wire.works()
growth = resident() - before
print("10000 forwards and 400 more, %d granted, the daemon grew by %d KiB" % (granted, growth))
assert growth < 32 * 1024, growth
wire.transport.close()
"#,
    );
}

#[test]
fn questions_whose_answers_nobody_reads_cost_little() {
    wire(
        r#"
other, wire = Wire(), Wire()
channel = wire.open()
before, most = resident(), 0
wire.queue.maxsize = 1 # the reader stops, and the connection fills up
wire.transport.sock.settimeout(5)
sent = 0
try:
    for sent in range(400000):
        if sent % 3 == 0: wire.send(GLOBAL, "nonsense@example.com", True)
        if sent % 3 == 1: wire.send(REQUEST, channel, "nonsense@example.com", True)
        if sent % 3 == 2: wire.send(200)
        if sent % 1000 == 0: most = max(most, resident() - before)
except (EOFError, OSError, paramiko.SSHException):
    pass
assert other.works()
print("%d questions, the daemon grew by %d KiB" % (sent, most))
assert most < 48 * 1024, most
wire.transport.sock.close()
"#,
    );
}

#[test]
fn key_exchanges_without_end_cost_nobody_else_much() {
    wire(
        r#"
import threading
wire, other = Wire(), Wire()
assert wire.works()
before, stop, count = resident(), threading.Event(), 0
def rekey():
    global count
    while not stop.is_set():
        wire.transport.renegotiate_keys()
        count += 1
thread = threading.Thread(target=rekey, daemon=True)
thread.start()
took = []
while len(took) < 10 or count < 20:
    began = time.monotonic()
    assert Wire().works()
    took.append(time.monotonic() - began)
    assert len(took) < 200
stop.set()
thread.join(20)
growth = resident() - before
print("%d key exchanges, a login beside them took %.2f s in the median, the daemon grew by %d KiB"
    % (count, sorted(took)[len(took) // 2], growth))
assert sorted(took)[len(took) // 2] < 2, took
assert growth < 32 * 1024, growth
assert wire.works()
"#,
    );
}

#[test]
fn signals_window_changes_and_variables_by_the_thousand_are_bounded() {
    wire(
        r#"
wire, other = Wire(), Wire()
channel = wire.open()
assert wire.request(channel, "pty-req", "xterm", 80, 24, 0, 0, b"\0")
for number in range(20000): wire.send(REQUEST, channel, "env", False, "LC_%d" % number, "x" * 200)
before = resident()
assert wire.request(channel, "exec", "trap '' WINCH USR1; echo ready; cat")
for number in range(20000):
    wire.send(REQUEST, channel, "window-change", False, number % 300 + 1, 24, 0, 0)
    wire.send(REQUEST, channel, "signal", False, "USR1")
    wire.send(REQUEST, channel, "signal", False, "WINCH")
assert other.works()
growth = resident() - before
print("60000 requests on a channel, the daemon grew by %d KiB" % growth)
assert growth < 32 * 1024, growth
wire.transport.close()
"#,
    );
}

#[test]
fn a_hundred_thousand_window_adjustments_are_bounded() {
    wire(
        r#"
wire, other = Wire(), Wire()
channel, idle = wire.open(window=0), wire.open(window=0)
assert wire.request(channel, "exec", "cat /dev/zero")
before = resident()
# Beyond what a window can be, by nothing, and for a channel without a program; the output is not read.
wire.queue.maxsize = 100
wire.transport.sock.settimeout(5)
sent = 0
try:
    for sent in range(0, 100000, 4):
        for where, more in [(channel, 1), (channel, 0), (idle, (1 << 32) - 1), (4242, 1)]:
            wire.send(ADJUST, where, more)
except (EOFError, OSError, paramiko.SSHException):
    pass
assert other.works()
growth = resident() - before
print("%d window adjustments, the daemon grew by %d KiB" % (sent, growth))
assert growth < 16 * 1024, growth
wire.transport.sock.close()
"#,
    );
}

#[test]
fn a_thousand_sessions_that_are_cut_at_once_leave_nothing() {
    given_back(
        r#"
wire = Wire()
channels = [wire.open() for _ in range(250)]
for channel in channels: wire.send(REQUEST, channel, "exec", False, "cat")
for number in range(750): wire.open()
assert Wire().works()
wire.transport.sock.close()
"#,
    );
}

#[test]
fn a_connection_without_a_channel_stays_as_long_as_its_client_answers() {
    // `ssh -N` for a master or a forward is exactly that, so there is no time-out for it.
    let daemon = Daemon::start(|setup| setup.args(["--keepalive", "1s"]));
    let mut master = crate::master::Master::connect(&daemon.client, &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| said::ok(&daemon.ssh(["sleep 6"])));
    });
    assert!(master.is_up());
    said::ok(&master.ssh("true"));
}
