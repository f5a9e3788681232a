//! What the SSH library calls, inside its own loop: record, answer, hand over; never wait.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use bytes::Bytes;
use russh::server::{
    Auth, ChannelOpenHandle, GlobalReply, Handler as Callbacks, Msg, PublicKeyOffer, Session,
    VerifiedCertificate, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty, Sig};

use super::algorithms::WINDOW;
use super::forwards::Asked;
use super::handler::{Handler, answer, port};
use super::identity;
use super::startups::Phase;
use crate::channel::{Request, Size};
use crate::forward::{self, Destination};
use crate::keys::Permission;
use crate::session::{self, Modes, Program, PtyRequest, Setup};

impl Callbacks for Handler {
    type Error = Error;

    /// Every client asks this first, to learn what else there is.
    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Error> {
        self.judge.startup.reach(Phase::Encrypted);
        Ok(Auth::reject())
    }

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
        if !self.log_in(session.remote_sshid()) {
            return Err(Error::Inconsistent);
        }
        let body = identity::announcement(&self.server.ssh.keys);
        session.send_global_request(identity::ANNOUNCE, false, &body)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        let grant = self.login.grant();
        let closed = self.closed_to_sessions || self.is_draining() || !self.has_room();
        let Some(grant) = grant.filter(|_| !closed) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let connection = session::Connection {
            workspace: Arc::clone(&self.server.workspace),
            number: self.judge.number,
            client: self.client,
            server: self.local,
            openssh: session.remote_sshid().starts_with(b"SSH-2.0-OpenSSH"),
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
        let permitted = self.permits(Permission::PortForwarding);
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
        let length = data.len() as u32;
        // Extended data towards a server means nothing.
        if extended.is_some() || !self.deliver(channel, data) {
            session.credit(channel, length);
        }
        Ok(())
    }

    async fn window_adjusted(
        &mut self,
        channel: ChannelId,
        window: u32,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if let Some(inbox) = self.table.get(channel) {
            inbox.window(window);
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
        self.terminals.remove(&channel);
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

    async fn env_request_bytes(
        &mut self,
        channel: ChannelId,
        name: &[u8],
        value: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        let setup = self.setups.get_mut(&channel);
        let granted = setup.is_some_and(|setup| setup.variable(name, value));
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
        session: &mut Session,
    ) -> Result<(), Error> {
        let name = match signal {
            Sig::Custom(name) => name,
            named => format!("{named:?}"),
        };
        let running = self
            .table
            .get(channel)
            .filter(|_| !self.setups.contains_key(&channel));
        let known = running.filter(|_| session::is_signal(&name));
        let sent = known.map(|inbox| inbox.request(Request::Signal(name)));
        answer(session, channel, sent.is_some())
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let permitted = self.permits(Permission::AgentForwarding);
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
        Ok(match asked {
            Some(asked) => self.forwards.cancel(&asked).await,
            None => false,
        })
    }

    async fn streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Error> {
        let permitted = self.permits(Permission::PortForwarding);
        let allowed = permitted && self.server.forwarding.remote && !self.is_draining();
        Ok(allowed && self.forwards.listen_unix(path, session.handle()))
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, Error> {
        Ok(self.forwards.cancel(&Asked::Unix(path.to_owned())).await)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        single: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        let asked = forward::X11::new(protocol, cookie, screen, single);
        let granted = self.display(channel, asked, session.handle()).await;
        answer(session, channel, granted)
    }

    async fn unknown_channel_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        _want_reply: bool,
        _data: &[u8],
        _session: &mut Session,
    ) -> Result<bool, Error> {
        // RFC 4335: there must be a line to break.
        let running = self
            .table
            .get(channel)
            .filter(|_| self.terminals.contains(&channel));
        match (name, running) {
            ("break", Some(inbox)) => {
                inbox.request(Request::Break);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn global_request(
        &mut self,
        name: &str,
        _want_reply: bool,
        data: &[u8],
        session: &mut Session,
    ) -> Result<GlobalReply, Error> {
        let proof = match name {
            identity::PROVE => identity::prove(&self.server.ssh.keys, session.session_id(), data),
            "no-more-sessions@openssh.com" => {
                self.closed_to_sessions = true;
                Some(Vec::new())
            }
            // keepalive@openssh.com among them: any answer is a sign of life.
            _ => None,
        };
        Ok(proof.map_or(GlobalReply::Failure, GlobalReply::Success))
    }
}
