//! What the SSH library calls, inside its own loop: record, answer, hand over; never wait.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use bytes::Bytes;
use russh::server::{
    Auth, ChannelOpenHandle, Handler as Callbacks, Msg, PublicKeyOffer, Session,
    VerifiedCertificate, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty, Sig};

use super::Server;
use super::algorithms::WINDOW;
use super::auth::{Judge, Login};
use super::forwards::{Asked, Forwards};
use super::limits::Startup;
use crate::channel::{Request, Size, Table};
use crate::forward::{self, Destination, Refused};
use crate::keys::{Options, Permission};
use crate::session::{self, Modes, Program, PtyRequest, Setup};

/// One connection's callbacks.
pub(super) struct Handler {
    server: Arc<Server>,
    judge: Judge,
    client: SocketAddr,
    local: SocketAddr,
    table: Table,
    login: Arc<Login>,
    /// Given back at login.
    startup: Option<Startup>,
    /// Sessions whose program has not been asked for.
    setups: HashMap<ChannelId, Setup>,
    forwards: Forwards,
}

impl Handler {
    pub(super) fn new(
        server: Arc<Server>,
        number: u64,
        client: SocketAddr,
        local: SocketAddr,
        table: Table,
        login: Arc<Login>,
        startup: Startup,
    ) -> Self {
        let forwards = Forwards::new(server.workspace.tasks.clone(), table.clone());
        Self {
            judge: Judge {
                number,
                client: client.ip().to_canonical(),
                granted: None,
            },
            server,
            client,
            local,
            table,
            login,
            startup: Some(startup),
            setups: HashMap::new(),
            forwards,
        }
    }

    /// What the key allows; nothing before login, when the library calls none of this.
    fn options(&self) -> Option<&Options> {
        self.login.grant().map(|grant| &grant.options)
    }

    fn may_open(&self, host: &str, port: u16) -> bool {
        let allows = |options: &Options| {
            let listed = options.permit_open.as_ref();
            options.permits(Permission::PortForwarding)
                && listed.is_none_or(|list| list.iter().any(|entry| entry.allows_open(host, port)))
        };
        self.server.forwarding.may_open(host, port) && self.options().is_some_and(allows)
    }

    fn may_listen(&self, host: &str, port: u16) -> bool {
        let allows = |options: &Options| {
            let listed = options.permit_listen.as_ref();
            options.permits(Permission::PortForwarding)
                && listed
                    .is_none_or(|list| list.iter().any(|entry| entry.allows_listen(host, port)))
        };
        self.server.forwarding.may_listen(host, port) && self.options().is_some_and(allows)
    }

    fn is_draining(&self) -> bool {
        self.server.workspace.tasks.is_draining()
    }

    /// Dial in a task of its own and answer the open when it is known.
    fn dial(
        &self,
        to: Destination,
        allowed: bool,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &Session,
    ) {
        let (table, handle) = (self.table.clone(), session.handle());
        let draining = self.is_draining();
        let number = self.judge.number;
        self.server
            .workspace
            .tasks
            .spawn("local forward", async move {
                let dialled = if allowed && !draining {
                    forward::dial(&to).await
                } else {
                    Err(Refused::Prohibited)
                };
                match dialled {
                    Ok(socket) => {
                        let (_, half) = channel.split();
                        let channel = table.open(half, &handle, WINDOW);
                        reply.accept().await;
                        forward::splice(channel, socket).await;
                    }
                    Err(refused) => {
                        tracing::debug!(conn = number, ?to, reason = %refused, "forward refused");
                        reply.reject(failure(&refused)).await;
                    }
                }
            });
    }

    /// Start a program on a session that has none yet.
    fn start(
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

/// The failure code and words of RFC 4254 section 5.1, as sshd uses them.
fn failure(refused: &Refused) -> ChannelOpenFailure {
    match refused {
        Refused::Prohibited => ChannelOpenFailure::AdministrativelyProhibited,
        Refused::Connect(error) => ChannelOpenFailure::Other {
            code: 2,
            reason: error.to_string(),
        },
    }
}

fn answer(session: &mut Session, channel: ChannelId, granted: bool) -> Result<(), Error> {
    if granted {
        session.channel_success(channel)
    } else {
        session.channel_failure(channel)
    }
}

/// Ports are sent as 32 bits; what is above 65535 is none.
fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok()
}

impl Callbacks for Handler {
    type Error = Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        Ok(self.judge.probe(&self.server, user, &offer))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Error> {
        Ok(self.judge.key(&self.server, user, &key))
    }

    async fn auth_verified_certificate(
        &mut self,
        user: &str,
        shown: VerifiedCertificate<'_>,
    ) -> Result<Auth, Error> {
        Ok(self.judge.certificate(&self.server, user, &shown))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Error> {
        let Some(grant) = self.judge.granted.take() else {
            return Err(Error::Inconsistent);
        };
        self.startup = None;
        let (who, key) = (&grant.identity.label, &grant.identity.fingerprint);
        let version = String::from_utf8_lossy(session.remote_sshid()).into_owned();
        tracing::info!(conn = self.judge.number, client = %self.client, who, key, version, "logged in");
        self.login.enter(grant);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let grant = self.login.grant();
        let Some(grant) = grant.filter(|_| !self.is_draining()) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let connection = session::Connection {
            workspace: Arc::clone(&self.server.workspace),
            number: self.judge.number,
            client: self.client,
            server: self.local,
            options: Arc::new(grant.options.clone()),
        };
        let id = channel.id();
        let (_, half) = channel.split();
        let channel = self.table.open(half, &session.handle(), WINDOW);
        self.setups.insert(id, Setup::new(channel, connection));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        number: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let to = Destination::Tcp(host.to_owned(), port(number).unwrap_or_default());
        let allowed = port(number).is_some_and(|number| self.may_open(host, number));
        self.dial(to, allowed, channel, reply, session);
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        // A list of hosts and ports names no path; sshd's PermitOpen leaves sockets alone too.
        let permitted = self
            .options()
            .is_some_and(|options| options.permits(Permission::PortForwarding));
        let allowed = self.server.forwarding.local && permitted;
        self.dial(
            Destination::Unix(path.to_owned()),
            allowed,
            channel,
            reply,
            session,
        );
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _max_packet_size: u32,
        _window_size: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        // Bytes may follow before the task that asked for the channel has it in its hands.
        self.table.inbox(id, &session.handle(), WINDOW);
        Ok(())
    }

    async fn data_owned(
        &mut self,
        channel: ChannelId,
        extended: Option<u32>,
        data: Bytes,
        session: &mut Session,
    ) -> Result<(), Error> {
        match self.table.get(channel) {
            Some(inbox) if extended.is_none() => inbox.push(data),
            // Extended data towards a server means nothing, and a channel that is gone takes none.
            _ => session.credit(channel, data.len() as u32),
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if let Some(inbox) = self.table.get(channel) {
            inbox.eof();
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if let Some(inbox) = self.table.get(channel) {
            inbox.close();
        }
        self.setups.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let modes = Modes(
            modes
                .iter()
                .map(|(opcode, argument)| (*opcode as u8, *argument))
                .collect(),
        );
        let size = Size {
            columns,
            rows,
            width,
            height,
        };
        let request = PtyRequest {
            term: term.to_owned(),
            size,
            modes,
        };
        let granted = self
            .setups
            .get_mut(&channel)
            .is_some_and(|setup| setup.pty(request));
        answer(session, channel, granted)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let granted = self
            .setups
            .get_mut(&channel)
            .is_some_and(|setup| setup.variable(name, value));
        answer(session, channel, granted)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.start(channel, Program::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        let command = OsString::from_vec(command.to_vec());
        self.start(channel, Program::Exec(command), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.start(channel, Program::Subsystem(name.to_owned()), session)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        let size = Size {
            columns,
            rows,
            width,
            height,
        };
        let setup = self
            .setups
            .get_mut(&channel)
            .map(|setup| setup.resize(size));
        let running = self
            .table
            .get(channel)
            .map(|inbox| inbox.request(Request::Resize(size)));
        answer(session, channel, setup.or(running).is_some())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let name = match signal {
            Sig::Custom(name) => name,
            named => format!("{named:?}"),
        };
        if let Some(inbox) = self.table.get(channel) {
            inbox.request(Request::Signal(name));
        }
        Ok(())
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let permitted = self
            .options()
            .is_some_and(|options| options.permits(Permission::AgentForwarding));
        let uid = self.server.workspace.user.uid.as_raw();
        if !permitted || !self.setups.contains_key(&channel) {
            return Ok(false);
        }
        let forwarded = self.forwards.agent(uid, session.handle());
        if let Some(setup) = self.setups.get_mut(&channel).filter(|_| forwarded) {
            setup.agent(forward::agent_socket(uid));
        }
        Ok(forwarded)
    }

    async fn tcpip_forward(
        &mut self,
        host: &str,
        number: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let Some(wanted) = port(*number).filter(|number| self.may_listen(host, *number)) else {
            return Ok(false);
        };
        let bound = self
            .forwards
            .listen_tcp(host, wanted, session.handle())
            .await;
        if let Some(bound) = bound {
            *number = bound.into();
        }
        Ok(bound.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        host: &str,
        number: u32,
        _session: &mut Session,
    ) -> Result<bool, Error> {
        let asked = port(number).map(|number| Asked::Tcp(host.to_owned(), number));
        Ok(asked.is_some_and(|asked| self.forwards.cancel(&asked)))
    }

    async fn streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let permitted = self
            .options()
            .is_some_and(|options| options.permits(Permission::PortForwarding));
        let allowed = permitted && self.server.forwarding.remote && !self.is_draining();
        Ok(allowed && self.forwards.listen_unix(path, session.handle()))
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, Error> {
        Ok(self.forwards.cancel(&Asked::Unix(path.to_owned())))
    }
}
