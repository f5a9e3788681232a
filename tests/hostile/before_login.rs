//! What strangers send: refused, with little held, and nothing done.

use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::python::{self, WIRE};
use crate::stranger::{Stranger, ecdh_init, kexinit, packet};
use crate::{proc, said};

/// A stranger who breaks the protocol is gone long before his time would be up.
const SOON: Duration = Duration::from_secs(8);

/// A paramiko transport that has exchanged keys and not logged in.
const EARLY: &str = r#"
def early(first=None):
    transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
    if first: first(transport)
    transport.start_client(timeout=20)
    return transport

def put(transport, *fields):
    """Whether there was still somebody to send it to."""
    message = Message()
    message.add_bytes(b"".join(fields))
    try:
        transport._send_message(message)
        return True
    except (EOFError, OSError, paramiko.SSHException):
        return False

def refused(transport, what):
    eventually(lambda: not transport.is_active(), what + ": the connection is ended", 8)
    assert not transport.is_authenticated(), what
"#;

#[track_caller]
fn early(script: &str) -> Daemon {
    let daemon = Daemon::start(|_| ());
    let library = format!("{WIRE}{EARLY}");
    python::check(
        &daemon,
        &library,
        &format!("{script}\nassert Wire().works()"),
    );
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    daemon
}

#[test]
fn a_packet_length_is_not_believed_before_login() {
    let daemon = Daemon::start(|_| ());
    for length in [
        0,
        1,
        3,
        4,
        11,
        35_001,
        200_000,
        262_144,
        0x7fff_ffff,
        u32::MAX,
    ] {
        let mut stranger = Stranger::greeted(&daemon);
        stranger.send(&length.to_be_bytes());
        stranger.send(&[20; 64]);
        let took = stranger.hung_up(&format!("a packet of {length} bytes"));
        assert!(took < SOON, "{length}: {took:?}");
    }
    early(
        r#"
for length in [1, 35001, 200000, 1 << 31, (1 << 32) - 1]:
    transport = early()
    # Under encryption the length is only believed after its MAC, or not at all.
    transport.sock.sendall(struct.pack(">I", length) + os.urandom(4000))
    refused(transport, "length %d" % length)
"#,
    );
}

#[test]
fn padding_that_does_not_fit_its_packet_ends_the_connection() {
    let daemon = Daemon::start(|_| ());
    for (padding, length) in [(0_u8, 12_u32), (12, 12), (200, 12), (255, 16), (11, 12)] {
        let mut stranger = Stranger::greeted(&daemon);
        stranger.send(&length.to_be_bytes());
        stranger.send(&[padding]);
        stranger.send(&vec![2; length as usize - 1]);
        // A packet may be one that is ignored; the next is none.
        stranger.send(&[0xff; 64]);
        assert!(stranger.hung_up(&format!("padding {padding} of {length}")) < SOON);
    }
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn version_lines_without_end_are_cut_off() {
    let daemon = Daemon::start(|_| ());
    let lines = b"no version line\r\n".repeat(1000);
    let long = [b"SSH-2.0-".as_slice(), &[b'a'; 4000]].concat();
    for bytes in [
        lines,
        long,
        vec![b'\n'; 10_000],
        vec![0; 10_000],
        b"SSH-1.5-old\r\n".to_vec(),
    ] {
        let mut stranger = Stranger::connect(&daemon);
        stranger.send(&bytes);
        assert!(stranger.hung_up("a flood of lines") < SOON);
    }
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn a_second_kexinit_before_newkeys_ends_the_connection() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    let before = proc::resident(daemon.pid());
    for number in 0..300 {
        let mut stranger = Stranger::greeted(&daemon);
        // A thousand of them, of which two are read.
        let flood = packet(&kexinit()).repeat(if number == 0 { 1000 } else { 2 });
        stranger.send(&flood);
        assert!(stranger.hung_up("a second KEXINIT") < SOON);
    }
    let growth = proc::resident(daemon.pid()).saturating_sub(before);
    assert!(growth < 16 * 1024, "grew by {growth} KiB");
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn a_second_key_exchange_before_login_is_refused() {
    early(
        r#"
transport = early()
transport._send_kex_init()
refused(transport, "a second key exchange")
"#,
    );
}

#[test]
fn terrapin_a_message_slipped_in_before_newkeys_ends_a_strict_connection() {
    let daemon = Daemon::start(|_| ());
    let mut stranger = Stranger::greeted(&daemon);
    let offer = stranger.receive().expect("the daemon's KEXINIT");
    let offer = String::from_utf8_lossy(&offer).into_owned();
    assert!(offer.contains("kex-strict-s-v00@openssh.com"), "{offer}");
    for slipped in [2_u8, 3, 4] {
        let slip = [&[slipped][..], &[0; 12]].concat();
        // Before the client's KEXINIT, and between it and the key exchange.
        let mut first = Stranger::greeted(&daemon);
        first.packet(&slip);
        first.packet(&kexinit());
        assert!(first.hung_up("IGNORE before KEXINIT") < SOON);
        let mut second = Stranger::greeted(&daemon);
        second.packet(&kexinit());
        second.packet(&slip);
        second.packet(&ecdh_init());
        assert!(second.hung_up("IGNORE after KEXINIT") < SOON);
    }
}

#[test]
fn nothing_of_the_connection_protocol_is_done_before_login() {
    let daemon = early(
        r#"
session = pack("session", 0, 1 << 20, 32768)
messages = [bytes([kind]) + rest for kind, rest in
    [(GLOBAL, pack("tcpip-forward", True, "127.0.0.1", 0)), (GLOBAL, pack("keepalive@openssh.com", True)),
     (OPEN, session), (REQUEST, pack(0, "exec", True, "touch bad")), (DATA, pack(0, b"x")), (ADJUST, pack(0, 1)),
     (CLOSE, pack(0)), (EOF, pack(0)), (SUCCESS, pack(0)), (CONFIRMATION, pack(0, 0, 1, 1))]]
for message in messages:
    transport = early()
    put(transport, message)
    refused(transport, "message %d" % message[0])
    # With what Erlang's server took for a login in 2025: all in one go.
transport = early()
put(transport, bytes([OPEN]) + session)
put(transport, bytes([REQUEST]) + pack(0, "exec", True, "touch bad"))
refused(transport, "open and exec")
"#,
    );
    assert!(!daemon.home().join("bad").exists());
}

#[test]
fn messages_only_a_server_sends_end_the_connection() {
    early(
        r#"
# libssh took USERAUTH_SUCCESS from a client in 2018.
for kind in [51, 52, 60, 61]:
    for service in [False, True]:
        transport = early()
        if service: put(transport, bytes([5]) + pack("ssh-userauth"))
        put(transport, bytes([kind]) + pack("publickey", False))
        put(transport, bytes([OPEN]) + pack("session", 0, 1 << 20, 32768))
        refused(transport, "message %d" % kind)
"#,
    );
    let daemon = Daemon::start(|_| ());
    for kind in [5_u8, 6, 7, 21, 30, 31, 50, 51, 52, 80, 90, 98, 192, 255] {
        let mut stranger = Stranger::greeted(&daemon);
        stranger.packet(&[&[kind][..], &[0; 20]].concat());
        stranger.packet(&[&[kind][..], &[0; 20]].concat());
        assert!(stranger.hung_up(&format!("message {kind} first")) < SOON);
    }
}

#[test]
fn a_stranger_may_send_a_megabyte_and_no_more() {
    early(
        r#"
before = resident()
for kind in [2, 200]: # IGNORE, which nobody answers, and one that is answered with UNIMPLEMENTED
    transport = early()
    sent = 0
    while sent < 64 << 20 and put(transport, bytes([kind]) + pack(b"x" * 1000)):
        sent += 1000
    refused(transport, "message %d" % kind)
    # What the sockets hold on both sides comes on top.
    assert sent < 16 << 20, sent
assert resident() - before < 8 * 1024, resident() - before
"#,
    );
}

#[test]
fn twenty_keys_may_be_tried_and_no_more() {
    early(
        r#"
transport = early()
put(transport, bytes([5]) + pack("ssh-userauth"))
key = paramiko.PKey.from_path(KEY).asbytes()[:-1] + b"?"
for _ in range(200):
    put(transport, bytes([50]) + pack(USER, "ssh-connection", "publickey", False, "ssh-ed25519", key))
    time.sleep(0.01)
refused(transport, "200 keys")
"#,
    );
}

#[test]
fn nothing_is_decompressed_before_login_and_a_bomb_after_it_does_no_harm() {
    let daemon = Daemon::start(|_| ());
    let mut stranger = Stranger::greeted(&daemon);
    let offer = stranger.receive().expect("the daemon's KEXINIT");
    let offer = String::from_utf8_lossy(&offer).into_owned();
    assert!(
        offer.contains("none,zlib@openssh.com") && !offer.contains("zlib,"),
        "{offer}"
    );
    python::check(
        &daemon,
        WIRE,
        r#"
other = Wire()
connect = paramiko.Transport.__init__
def compressed(self, *rest, **more):
    connect(self, *rest, **more)
    self.use_compression(True)
paramiko.Transport.__init__ = compressed
bomb = Wire()
paramiko.Transport.__init__ = connect
before = resident()
channel = bomb.open()
assert bomb.request(channel, "exec", "sleep 600")
try:
    # 1000:1, and each unpacks to more than a packet may hold.
    for _ in range(200): bomb.send(DATA, channel, b"\0" * (8 << 20))
except (EOFError, OSError, paramiko.SSHException):
    pass
growth = resident() - before
print("a bomb of 1.6 GB made the daemon grow by %d KiB" % growth)
assert growth < 32 * 1024, growth
assert bomb.ended()
assert other.works() and Wire().works()
"#,
    );
}
