//! One connection's state between callbacks, and the decisions they share.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use russh::server::{ChannelOpenHandle, Handle, Msg, Session};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error};

use super::Server;
use super::algorithms::WINDOW;
use super::auth::{Judge, Login};
use super::forwards::Forwards;
use super::startups::Startup;
use crate::channel::Table;
use crate::forward::{self, Destination, Refused, X11};
use crate::keys::{Options, Permission};
use crate::session::{Program, Setup};

/// What a person types at once, escape sequences and short pastes included, in bytes.
const KEYSTROKE: usize = 256;

/// Channels of one connection open or being opened at once: far more than any editor uses, and a
/// bound for its memory, some KiB each.
const MOST_CHANNELS: usize = 4096;

/// One connection's callbacks, which are in `callbacks.rs`.
pub(super) struct Handler {
    pub(super) server: Arc<Server>,
    pub(super) judge: Judge,
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) table: Table,
    pub(super) login: Arc<Login>,
    /// Sessions whose program has not been asked for.
    pub(super) setups: HashMap<ChannelId, Setup>,
    /// Sessions that run on a terminal.
    pub(super) terminals: HashSet<ChannelId>,
    pub(super) forwards: Forwards,
    /// Held by each forward that is still being dialled, to count them.
    dialling: Arc<()>,
    /// `no-more-sessions@openssh.com` was said.
    pub(super) closed_to_sessions: bool,
}

impl Handler {
    pub(super) fn new(
        server: Arc<Server>,
        number: u64,
        (client, local): (SocketAddr, SocketAddr),
        table: Table,
        login: Arc<Login>,
        startup: Arc<Startup>,
    ) -> Self {
        let forwards = Forwards::new(server.workspace.tasks.clone(), table.clone());
        Self {
            judge: Judge {
                number,
                client: client.ip().to_canonical(),
                granted: None,
                startup,
            },
            server,
            client,
            local,
            table,
            login,
            setups: HashMap::new(),
            terminals: HashSet::new(),
            forwards,
            dialling: Arc::default(),
            closed_to_sessions: false,
        }
    }

    /// The library has told the client that it is in; whether we had let it in.
    pub(super) fn log_in(&mut self, version: &[u8]) -> bool {
        let Some(grant) = self.judge.granted.take() else {
            return false;
        };
        self.judge.startup.leave();
        let identity = &grant.identity;
        let (who, key) = (&identity.label, &identity.fingerprint);
        let shown = identity.certificate.as_ref();
        let certificate = shown.map(|shown| format!("{} serial {}", shown.key_id, shown.serial));
        let version = String::from_utf8_lossy(version);
        tracing::info!(conn = self.judge.number, client = %self.client, who, key, certificate, %version, "logged in");
        self.login.enter(grant);
        true
    }

    /// Hand bytes to their channel; `false` if it is gone.
    pub(super) fn deliver(&self, channel: ChannelId, data: Bytes) -> bool {
        let Some(inbox) = self.table.get(channel) else {
            return false;
        };
        if !data.is_empty() {
            self.server.metrics.active();
        }
        if data.len() <= KEYSTROKE && self.terminals.contains(&channel) {
            self.table.typing().key();
        }
        inbox.push(data);
        true
    }

    /// What the key allows; nothing before login, when the library calls none of this.
    pub(super) fn options(&self) -> Option<&Options> {
        self.login.grant().map(|grant| &grant.options)
    }

    pub(super) fn may_open(&self, host: &str, port: u16) -> bool {
        let allows = |options: &Options| {
            let listed = options.permit_open.as_ref();
            options.permits(Permission::PortForwarding)
                && listed.is_none_or(|list| list.iter().any(|entry| entry.allows_open(host, port)))
        };
        self.server.forwarding.may_open(host, port) && self.options().is_some_and(allows)
    }

    pub(super) fn may_listen(&self, host: &str, port: u16) -> bool {
        let allows = |options: &Options| {
            let listed = options.permit_listen.as_ref();
            options.permits(Permission::PortForwarding)
                && listed
                    .is_none_or(|list| list.iter().any(|entry| entry.allows_listen(host, port)))
        };
        self.server.forwarding.may_listen(host, port) && self.options().is_some_and(allows)
    }

    /// Whether the key gives `permission`; nothing before login.
    pub(super) fn permits(&self, permission: Permission) -> bool {
        self.options()
            .is_some_and(|options| options.permits(permission))
    }

    /// Whether one more channel may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.table.len() + Arc::strong_count(&self.dialling) <= MOST_CHANNELS
    }

    pub(super) fn is_draining(&self) -> bool {
        self.server.workspace.tasks.is_draining()
    }

    /// Give a session without a program the client's display.
    pub(super) async fn display(
        &mut self,
        channel: ChannelId,
        asked: Option<X11>,
        handle: Handle,
    ) -> bool {
        let permitted = self.permits(Permission::X11Forwarding);
        let (Some(asked), Some(setup)) = (asked, self.setups.get_mut(&channel)) else {
            return false;
        };
        if !permitted || !setup.takes_x11() {
            return false;
        }
        let display = self.forwards.x11(asked, handle).await;
        display.map(|display| setup.x11(display)).is_some()
    }

    /// Dial in a task of its own and answer the open when it is known.
    pub(super) fn dial(
        &self,
        to: Destination,
        allowed: bool,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &Session,
    ) {
        let (table, handle) = (self.table.clone(), session.handle());
        let (room, draining) = (self.has_room(), self.is_draining());
        let (number, dialling) = (self.judge.number, Arc::clone(&self.dialling));
        let dial = async move {
            let dialled = match (room, allowed && !draining) {
                (false, _) => Err(Refused::TooMany),
                (true, false) => Err(Refused::Prohibited),
                (true, true) => forward::dial(&to).await,
            };
            match dialled {
                Ok(socket) => {
                    let (_, half) = channel.split();
                    let channel = table.open(half, &handle, WINDOW);
                    drop(dialling);
                    reply.accept().await;
                    forward::splice(channel, socket).await;
                }
                Err(refused) => {
                    tracing::debug!(conn = number, ?to, reason = %refused, "forward refused");
                    reply.reject(failure(&refused)).await;
                }
            }
        };
        self.server.workspace.tasks.spawn("local forward", dial);
    }

    /// Start a program on a session that has none yet.
    pub(super) fn start(
        &mut self,
        channel: ChannelId,
        program: Program,
        session: &mut Session,
    ) -> Result<(), Error> {
        let Some(setup) = self.setups.remove(&channel) else {
            return session.channel_failure(channel);
        };
        // Answered first: the program's output must not overtake the answer.
        match setup.check(&program) {
            Ok(()) => {
                session.channel_success(channel)?;
                self.server.metrics.active();
                if setup.has_terminal() {
                    self.terminals.insert(channel);
                }
                setup.start(program);
                Ok(())
            }
            Err(reason) => {
                tracing::info!(conn = self.judge.number, reason, "program refused");
                self.setups.insert(channel, setup);
                session.channel_failure(channel)
            }
        }
    }
}

/// An error in the system's own words, as sshd passes it on.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    text.split(" (os error ").next().unwrap_or(text).to_owned()
}

/// The failure code and words of RFC 4254 section 5.1, as sshd uses them.
fn failure(refused: &Refused) -> ChannelOpenFailure {
    match refused {
        Refused::Prohibited => ChannelOpenFailure::AdministrativelyProhibited,
        Refused::TooMany => ChannelOpenFailure::ResourceShortage,
        Refused::Connect(error) => ChannelOpenFailure::Other {
            code: 2,
            reason: plain(error),
        },
    }
}

pub(super) fn answer(
    session: &mut Session,
    channel: ChannelId,
    granted: bool,
) -> Result<(), Error> {
    if granted {
        session.channel_success(channel)
    } else {
        session.channel_failure(channel)
    }
}

/// Ports are sent as 32 bits; what is above 65535 is none.
pub(super) fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok()
}
