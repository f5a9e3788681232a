//! Signals to the daemon: stop, hurry, reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::side_process::SideProcess;
use crate::keys::Keys;

/// Why the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A signal, by name.
    Signal(&'static str),
    /// The side process ended, with this exit code.
    SideProcess(u8),
}

/// The signals the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves. Needs this thread's runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Wait for a reason to stop; SIGHUP reads the keys again.
    pub async fn until_told(&mut self, side: Option<&mut SideProcess>, keys: &Keys) -> Told {
        let ended = async {
            match side {
                Some(side) => side.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Told::Signal("SIGTERM"),
                _ = self.interrupt.recv() => return Told::Signal("SIGINT"),
                _ = self.hangup.recv() => keys.reload(),
                code = &mut ended => return Told::SideProcess(code),
            }
        }
    }

    /// Wait for a second SIGTERM or SIGINT: no patience is left.
    pub async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
