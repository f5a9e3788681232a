//! Signals to the daemon: stop, hurry, reload, and those that are the side process's affair.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use super::side_process::{SideProcess, State};
use crate::keys::Keys;

/// Why the daemon stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A signal.
    Signal(Signal),
    /// The side process ended, with this exit code.
    SideProcess(u8),
    /// The side process cannot be started, for this reason.
    NoSideProcess(String),
}

/// The signals the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    quit: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves. Needs this thread's runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Wait for a reason to stop. SIGHUP reads the keys again; the others go to the side process.
    pub async fn until_told(&mut self, side: &SideProcess, keys: &Keys) -> Told {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Told::Signal(Signal::SIGTERM),
                _ = self.interrupt.recv() => return Told::Signal(Signal::SIGINT),
                _ = self.hangup.recv() => keys.reload(),
                _ = self.quit.recv() => side.signal(Signal::SIGQUIT),
                _ = self.user1.recv() => side.signal(Signal::SIGUSR1),
                _ = self.user2.recv() => side.signal(Signal::SIGUSR2),
                over = side.over() => match over {
                    State::NotStarted { reason } => return Told::NoSideProcess(reason),
                    State::Ended { code } => return Told::SideProcess(code),
                    // It is not over; `over` does not say so.
                    State::None | State::Waiting | State::Running { .. } => {}
                },
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
