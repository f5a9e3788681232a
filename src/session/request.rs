//! What a peer asks for before its program runs.

use std::ffi::OsString;

use super::Connection;
use super::modes::Modes;
use super::run;
use crate::channel::{Channel, Size};

/// Variables a client may set on one session; sshd's own bound.
const MAX_VARIABLES: usize = 128;
/// Bytes of all of them together: far above any locale, far below a nuisance.
const MAX_VARIABLE_BYTES: usize = 64 * 1024;

/// The terminal asked for by `pty-req` (RFC 4254 section 6.2).
#[derive(Clone, Debug, Default)]
pub struct PtyRequest {
    /// `TERM`
    pub term: String,
    /// Initial size.
    pub size: Size,
    /// Encoded terminal modes.
    pub modes: Modes,
}

/// What a session runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `shell`: the login shell.
    Shell,
    /// `exec`: a command for the login shell's `-c`, bytes as they came.
    Exec(OsString),
    /// `subsystem`: by name.
    Subsystem(String),
}

/// A session whose program has not been asked for yet.
#[derive(Debug)]
pub struct Setup {
    pub(super) channel: Channel,
    pub(super) connection: Connection,
    pub(super) variables: Vec<(String, String)>,
    pub(super) pty: Option<PtyRequest>,
}

impl Setup {
    /// A new session on `channel`.
    pub fn new(channel: Channel, connection: Connection) -> Self {
        Self { channel, connection, variables: Vec::new(), pty: None }
    }

    /// `env`: whether the variable will be set.
    pub fn variable(&mut self, name: &str, value: &str) -> bool {
        let accepted = self.connection.workspace.rules.accept.matches(name)
            && !name.contains(['=', '\0'])
            && !value.contains('\0');
        let bytes: usize = self.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        let fits = self.variables.len() < MAX_VARIABLES
            && bytes + name.len() + value.len() <= MAX_VARIABLE_BYTES;
        if accepted && fits {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
        accepted && fits
    }

    /// `pty-req`: whether there will be a terminal. A second one is refused, as sshd does.
    pub fn pty(&mut self, request: PtyRequest) -> bool {
        let granted = self.connection.permissions.pty && self.pty.is_none();
        if granted {
            self.pty = Some(request);
        }
        granted
    }

    /// `window-change` before the program runs.
    pub fn resize(&mut self, size: Size) {
        if let Some(pty) = &mut self.pty {
            pty.size = size;
        }
    }

    /// Run the program. `false`: there is no such subsystem, and the session stays without one.
    pub fn start(self, program: Program) -> Result<(), Box<Self>> {
        if let Program::Subsystem(name) = &program
            && name != "sftp"
            && self.connection.permissions.command.is_none()
        {
            return Err(Box::new(self));
        }
        let tasks = self.connection.workspace.tasks.clone();
        tasks.spawn("session", run::session(self, program));
        Ok(())
    }
}
