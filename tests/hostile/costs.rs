//! What a stranger can make the daemon hold: the bound that SECURITY.md states.

use crate::harness::daemon::Daemon;
use crate::python::{self, WIRE};
use crate::stranger::{Stranger, kexinit, packet};
use crate::{proc, said};

/// For one unauthenticated connection, in KiB; SECURITY.md says so.
const BOUND: u64 = 136;
/// The same before it has sent a packet.
const GREETED: u64 = 56;
const MANY: u64 = 100;

/// What each of the strangers costs, with all of them there.
#[track_caller]
fn cost(what: &str, bound: u64, enter: impl Fn(&Daemon) -> Stranger) {
    let daemon = Daemon::start(|setup| setup.args(["--login-grace", "100s"]));
    said::ok(&daemon.ssh(["true"]));
    let before = proc::resident(daemon.pid());
    let mut strangers: Vec<_> = (0..MANY).map(|_| enter(&daemon)).collect();
    // An answer to somebody else says that what came before has been read.
    said::ok(&daemon.ssh(["true"]));
    let each = proc::resident(daemon.pid()).saturating_sub(before) / MANY;
    println!("{what}: {each} KiB each");
    assert!(each < bound, "{what}: {each} KiB each");
    for stranger in &mut strangers {
        stranger.0.set_nonblocking(true).expect("a socket option");
        let here = std::io::Read::read(&mut stranger.0, &mut [0; 1 << 12]);
        assert!(
            !matches!(here, Ok(0)),
            "{what}: one was put out before it was counted"
        );
    }
}

#[test]
fn what_a_silent_stranger_costs() {
    cost("connected", GREETED, Stranger::connect);
}

#[test]
fn what_a_stranger_with_a_version_costs() {
    cost("greeted", GREETED, Stranger::greeted);
}

#[test]
fn what_a_stranger_within_his_largest_packet_costs() {
    cost("34 KB of a packet of 35", BOUND, |daemon| {
        let mut stranger = Stranger::greeted(daemon);
        stranger.send(&35_000_u32.to_be_bytes());
        stranger.send(&vec![20; 34_000]);
        stranger
    });
    cost(
        "the largest KEXINIT, and 34 KB of another packet",
        BOUND,
        |daemon| {
            let mut stranger = Stranger::greeted(daemon);
            let mut large = kexinit();
            // The reserved languages are lists too, and nobody looks at them.
            let end = large.len() - 9;
            let languages = vec![b'l'; 33_000];
            let length = (languages.len() as u32).to_be_bytes();
            large.splice(end..end + 4, length.into_iter().chain(languages));
            stranger.send(&packet(&large));
            stranger.send(&35_000_u32.to_be_bytes());
            stranger.send(&vec![30; 34_000]);
            stranger
        },
    );
}

#[test]
fn what_a_stranger_with_keys_costs() {
    let daemon =
        Daemon::start(|setup| setup.args(["--login-grace", "100s", "--max-startups", "200"]));
    let printed = python::check(
        &daemon,
        WIRE,
        &format!(
            r#"
Wire().works()
before = resident()
strangers = []
for _ in range({MANY}):
    transport = paramiko.Transport(socket.create_connection((HOST, PORT)))
    transport.start_client(timeout=30)
    message = Message()
    message.add_bytes(bytes([5]) + pack("ssh-userauth"))
    transport._send_message(message)
    message = Message() # the largest it reads, and then answers
    message.add_bytes(bytes([50]) + pack("u" * 34000, "ssh-connection", "none"))
    transport._send_message(message)
    strangers.append(transport)
Wire().works()
each = (resident() - before) // len(strangers)
assert all(transport.is_active() for transport in strangers)
print("with keys, and a user name of 34 KB: %d KiB each" % each)
assert each < {BOUND}, each
os._exit(0)
"#
        ),
    );
    print!("{printed}");
}
