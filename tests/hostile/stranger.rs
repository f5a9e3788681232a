//! A connection that speaks in bare bytes and has not exchanged keys.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::process::PATIENCE;

/// The lists of a client that every server understands, strict key exchange offered.
const LISTS: [&str; 10] = [
    "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
    "ssh-ed25519",
    "aes256-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "none",
    "none",
    "",
    "",
];

pub(crate) struct Stranger(pub(crate) TcpStream);

impl Stranger {
    #[track_caller]
    pub(crate) fn connect(daemon: &Daemon) -> Self {
        let stream = TcpStream::connect(&daemon.address).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    /// Connected, and past the version lines.
    #[track_caller]
    pub(crate) fn greeted(daemon: &Daemon) -> Self {
        let mut stranger = Self::connect(daemon);
        let mut byte = [0];
        while byte != *b"\n" {
            stranger.0.read_exact(&mut byte).expect("a version line");
        }
        stranger.send(b"SSH-2.0-stranger\r\n");
        stranger
    }

    /// A daemon that has hung up already makes this fail, which the test finds by reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).ok();
    }

    pub(crate) fn packet(&mut self, payload: &[u8]) {
        self.send(&packet(payload));
    }

    /// The payload of the next packet of the daemon's.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut rest = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut rest)?;
        let padding = rest[0] as usize;
        Ok(rest[1..rest.len() - padding].to_vec())
    }

    /// How long until the daemon hangs up.
    #[track_caller]
    pub(crate) fn hung_up(&mut self, what: &str) -> Duration {
        let began = Instant::now();
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("{what}: not ended within {PATIENCE:?}")
            }
            _ => began.elapsed(),
        }
    }
}

/// A packet as it is before any keys.
pub(crate) fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 - (5 + payload.len()) % 8 + 8;
    let mut packet = ((1 + payload.len() + padding) as u32)
        .to_be_bytes()
        .to_vec();
    packet.push(padding as u8);
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// The payload of a KEXINIT.
pub(crate) fn kexinit() -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for list in LISTS {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    payload
}

/// The payload of a KEX_ECDH_INIT: the base point, any will do.
pub(crate) fn ecdh_init() -> Vec<u8> {
    let mut payload = vec![30, 0, 0, 0, 32, 9];
    payload.resize(5 + 32, 0);
    payload
}
