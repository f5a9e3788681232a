//! What a key's holder may do once logged in: the outcome of the line's options, and of the
//! certificate's where one was used. Whether they may log in at all is decided elsewhere.

use std::ffi::OsString;
use std::time::SystemTime;

use super::addresses::wildcard;

/// Something a key may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    /// A terminal for the session.
    Pty = 1,
    /// Forwarding in either direction, TCP and stream sockets.
    PortForwarding = 2,
    /// The client's agent, reachable from the session.
    AgentForwarding = 4,
    /// X11 connections back to the client.
    X11Forwarding = 8,
    /// Running `~/.ssh/rc` at login.
    UserRc = 16,
}

/// A set of [`Permission`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permissions(u8);

impl Permissions {
    pub(super) const ALL: Self = Self(31);
    pub(super) const NONE: Self = Self(0);

    pub(super) fn set(&mut self, permission: Permission, allowed: bool) {
        if allowed {
            self.0 |= permission as u8;
        } else {
            self.0 &= !(permission as u8);
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The host and port of a `permitopen` or `permitlisten`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without brackets; `*` is any host.
    pub host: String,
    /// `None` is any port.
    pub port: Option<u16>,
}

impl HostPort {
    /// `permitopen`: the host is compared as written, no lookups, no patterns but `*` alone.
    pub fn allows_open(&self, host: &str, port: u16) -> bool {
        self.allows_port(port) && (self.host == "*" || self.host == host)
    }

    /// `permitlisten`: the host may be a pattern. A client that names no address asks for
    /// `localhost`, which is not the same as `127.0.0.1` here.
    pub fn allows_listen(&self, host: &str, port: u16) -> bool {
        let (pattern, host) = (self.host.to_ascii_lowercase(), host.to_ascii_lowercase());
        self.allows_port(port) && wildcard(pattern.as_bytes(), host.as_bytes())
    }

    fn allows_port(&self, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port)
    }
}

/// What a connection may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Run this and nothing else, whatever program the client asks for.
    pub command: Option<OsString>,
    /// Variables for every session, the first of a name wins.
    pub environment: Vec<(String, OsString)>,
    /// The only destinations of local forwards, when given.
    pub permit_open: Option<Vec<HostPort>>,
    /// The only addresses to listen on for remote forwards, when given.
    pub permit_listen: Option<Vec<HostPort>>,
    /// When the right to be connected ends: the line's `expiry-time` or the certificate's window.
    pub expires: Option<SystemTime>,
    pub(super) permissions: Permissions,
}

impl Options {
    /// No restriction at all, what a bare key line gives.
    pub fn unrestricted() -> Self {
        Self {
            command: None,
            environment: Vec::new(),
            permit_open: None,
            permit_listen: None,
            expires: None,
            permissions: Permissions::ALL,
        }
    }

    /// Whether nothing that `self` allows has been taken away in `now`. Variables are no right, and
    /// time is judged by the clock.
    pub(super) fn are_within(&self, now: &Self) -> bool {
        let listed = |old: &Option<Vec<HostPort>>, new: &Option<Vec<HostPort>>| match (old, new) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(old), Some(new)) => old.iter().all(|place| new.contains(place)),
        };
        let command = now.command.is_none() || now.command == self.command;
        command
            && self.permissions.and(now.permissions) == self.permissions
            && listed(&self.permit_open, &now.permit_open)
            && listed(&self.permit_listen, &now.permit_listen)
    }

    /// Whether `permission` is given.
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions.0 & permission as u8 != 0
    }
}
