//! A session (RFC 4254 section 6): setup, start, run, exit.
//!
//! [`Setup`] records what the peer asks before its program, inside the connection's own loop.
//! [`Setup::start`] consumes it, so a second program on a channel finds none; from then on one task
//! owns the channel and always listens to it, whatever the process does.

mod command;
mod environment;
mod exit;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod modes;
mod pipes;
mod pty;
mod rc;
mod request;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::EnvironmentRules;
use crate::keys::Options;
use crate::shutdown::Tasks;
use crate::user::User;
use crate::workspace::condition::Condition;
use crate::workspace::reaper::Reaper;

pub use exit::is_signal;
pub use modes::Modes;
pub use request::{Program, PtyRequest, Setup};

/// What every session of the daemon shares.
#[derive(Debug)]
pub struct Workspace {
    /// Whom sessions run as and for.
    pub user: User,
    /// How the workspace is, and the environment that sessions inherit.
    pub condition: Condition,
    /// What of it, and of the client's, a session gets.
    pub rules: EnvironmentRules,
    /// Shown at login shells on a terminal.
    pub motd: PathBuf,
    /// Starts processes.
    pub reaper: Reaper,
    /// Starts tasks.
    pub tasks: Tasks,
}

/// What the sessions of one connection share.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The daemon's part.
    pub workspace: Arc<Workspace>,
    /// Number of the connection in the log.
    pub number: u64,
    /// The client's end, as far as it is known.
    pub client: SocketAddr,
    /// Our end.
    pub server: SocketAddr,
    /// Whether the client is OpenSSH, and knows OpenSSH's own requests.
    pub openssh: bool,
    /// What the key that logged in allows.
    pub options: Arc<Options>,
}
