//! A bad network: a TCP proxy that passes bytes on in other pieces, late, not for a while, or no more.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socket2::SockRef;

use crate::harness::client::Client;
use crate::harness::daemon::Daemon;

/// How often a quiet direction looks whether the connection still stands.
const LOOK: Duration = Duration::from_millis(20);

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Passed on in pieces of 1 to so many bytes; 0 as they come.
    pub(crate) pieces: usize,
    /// Gathered up to so many bytes, for a moment, before they go on.
    pub(crate) gather: usize,
    /// Waited before each piece.
    pub(crate) delay: Duration,
    /// After so many bytes nothing passes for so long.
    pub(crate) stall: Option<(usize, Duration)>,
    /// After so many bytes the connection ends.
    pub(crate) end: Option<(usize, End)>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides are told, as when a gateway closes.
    Close,
    /// Both sides are reset, as when one crashes.
    Reset,
}

/// A proxy in front of a daemon; its threads end with the connections.
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Every connection gets the same weather, upwards to the daemon and downwards from it.
    pub(crate) fn start(daemon: &Daemon, up: Weather, down: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let address = daemon.address.clone();
        thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&address)) else {
                    return;
                };
                carry(client, server, (up, down), number as u64);
            }
        });
        Self { port }
    }

    /// The daemon's client, by way of this proxy.
    pub(crate) fn client(&self, daemon: &Daemon) -> Client {
        let lines = format!("  HostName 127.0.0.1\n  Port {}\n", self.port);
        daemon.client.reaching(&self.port.to_string(), &lines)
    }
}

/// Carries one connection, a thread for each direction.
fn carry(client: TcpStream, server: TcpStream, (up, down): (Weather, Weather), seed: u64) {
    let (client, server) = (Arc::new(client), Arc::new(server));
    let over = Arc::new(AtomicBool::new(false));
    for (from, to, weather) in [
        (Arc::clone(&client), Arc::clone(&server), up),
        (server, client, down),
    ] {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let ended = pass(&from, &to, weather, &over, StdRng::seed_from_u64(seed));
            if over.swap(true, Ordering::Relaxed) {
                return;
            }
            // A socket with this and unsent bytes is reset when its last holder lets go.
            if ended == Some(End::Reset) {
                for socket in [&from, &to] {
                    SockRef::from(&**socket)
                        .set_linger(Some(Duration::ZERO))
                        .ok();
                }
            } else if ended == Some(End::Close) {
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
            }
        });
    }
}

/// Passes bytes until an end: of the weather's making, or (`None`) because a side closed by itself,
/// which is passed on as it is.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    weather: Weather,
    over: &AtomicBool,
    mut random: StdRng,
) -> Option<End> {
    for socket in [from, to] {
        socket.set_nodelay(true).ok()?;
        socket.set_read_timeout(Some(LOOK)).ok()?;
    }
    let mut buffer = vec![0; 64 * 1024];
    let (mut passed, mut held) = (0, 0);
    let mut stall = weather.stall;
    loop {
        if over.load(Ordering::Relaxed) {
            return None;
        }
        let read = match from.read(&mut buffer[held..]) {
            Ok(0) => {
                to.write_all(&buffer[..held]).ok();
                to.shutdown(Shutdown::Write).ok();
                return drained(over);
            }
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(_) => return Some(End::Close),
        };
        held += read;
        if read > 0 && held < weather.gather {
            continue;
        }
        let mut rest = &buffer[..held];
        while !rest.is_empty() {
            let most = weather.end.map_or(usize::MAX, |(after, _)| after - passed);
            let most = most.min(rest.len());
            let piece = match weather.pieces {
                0 => most,
                pieces => random.random_range(1..=pieces).min(most),
            };
            thread::sleep(weather.delay);
            if to.write_all(&rest[..piece]).is_err() {
                return Some(End::Close);
            }
            passed += piece;
            rest = &rest[piece..];
            if let Some((_, time)) = stall.filter(|(after, _)| passed >= *after) {
                thread::sleep(time);
                stall = None;
            }
            if let Some((_, end)) = weather.end.filter(|(after, _)| passed >= *after) {
                return Some(end);
            }
        }
        held = 0;
    }
}

/// This direction is done; the other may go on, and says when it is over.
fn drained(over: &AtomicBool) -> Option<End> {
    while !over.load(Ordering::Relaxed) {
        thread::sleep(LOOK);
    }
    None
}
