//! What a peer asks for before its program runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Connection;
use super::modes::Modes;
use super::run;
use crate::channel::{Channel, Size};
use crate::forward::X11;
use crate::keys::Permission;

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
    pub(super) variables: Vec<(String, OsString)>,
    pub(super) pty: Option<PtyRequest>,
    pub(super) agent: Option<PathBuf>,
    pub(super) x11: Option<X11>,
}

impl Setup {
    /// A new session on `channel`.
    pub fn new(channel: Channel, connection: Connection) -> Self {
        Self {
            channel,
            connection,
            variables: Vec::new(),
            pty: None,
            agent: None,
            x11: None,
        }
    }

    /// `env`: whether the variable will be set.
    pub fn variable(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else {
            return false;
        };
        let accepted = self.connection.workspace.rules.accept.matches(name)
            && !name.contains(['=', '\0'])
            && !value.contains(&0);
        let bytes: usize = self
            .variables
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let fits = self.variables.len() < MAX_VARIABLES
            && bytes + name.len() + value.len() <= MAX_VARIABLE_BYTES;
        if accepted && fits {
            let value = OsStr::from_bytes(value).to_owned();
            self.variables.push((name.to_owned(), value));
        }
        accepted && fits
    }

    /// `pty-req`: whether there will be a terminal. A second one is refused, as sshd does, and so is
    /// one whose TERM no program could be given.
    pub fn pty(&mut self, request: PtyRequest) -> bool {
        let permitted = self.connection.options.permits(Permission::Pty) && self.pty.is_none();
        let granted = permitted && !request.term.contains('\0');
        if granted {
            self.pty = Some(request);
        }
        granted
    }

    /// Whether its program will run on a terminal.
    pub fn has_terminal(&self) -> bool {
        self.pty.is_some()
    }

    /// `window-change` before the program runs.
    pub fn resize(&mut self, size: Size) {
        if let Some(pty) = &mut self.pty {
            pty.size = size;
        }
    }

    /// `auth-agent-req@openssh.com`: where the forwarded agent is found.
    pub fn agent(&mut self, socket: PathBuf) {
        self.agent = Some(socket);
    }

    /// Whether an `x11-req` may be granted: not without `xauth`, not twice.
    pub fn takes_x11(&self) -> bool {
        self.x11.is_none() && X11::xauth().is_some()
    }

    /// `x11-req`: programs will find the client's display.
    pub fn x11(&mut self, display: X11) {
        self.x11 = Some(display);
    }

    /// Whether there is such a program; the only one that may not be is a subsystem.
    pub fn check(&self, program: &Program) -> Result<(), &'static str> {
        match program {
            Program::Subsystem(name) if name != "sftp" => {
                Err("there is no such subsystem; sftp is the only one")
            }
            _ => Ok(()),
        }
    }

    /// Run the program, in a task of its own.
    pub fn start(self, program: Program) {
        let tasks = self.connection.workspace.tasks.clone();
        tasks.spawn("session", run::session(self, program));
    }
}
