//! A russh server whose handler reports what it sees, and a client that speaks packets.
//!
//! Client and server agree on no encryption, so that a packet can be written and read by hand. With
//! `kex::NONE` the key exchange is skipped; with `kex::CURVE25519` the packets are exchanged and the
//! result is not looked at, which is all that is needed to have a real one in progress.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Config, Handler, Msg, RunningSession, Session};
use russh::{Channel, ChannelId, Preferred, Pty, cipher, compression, kex, mac};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

pub(crate) const SERVICE_REQUEST: u8 = 5;
pub(crate) const SERVICE_ACCEPT: u8 = 6;
pub(crate) const EXT_INFO: u8 = 7;
pub(crate) const KEXINIT: u8 = 20;
pub(crate) const NEWKEYS: u8 = 21;
pub(crate) const KEX_ECDH_INIT: u8 = 30;
pub(crate) const KEX_ECDH_REPLY: u8 = 31;
pub(crate) const USERAUTH_REQUEST: u8 = 50;
pub(crate) const USERAUTH_FAILURE: u8 = 51;
pub(crate) const USERAUTH_SUCCESS: u8 = 52;
pub(crate) const GLOBAL_REQUEST: u8 = 80;
pub(crate) const REQUEST_SUCCESS: u8 = 81;
pub(crate) const REQUEST_FAILURE: u8 = 82;
pub(crate) const CHANNEL_OPEN: u8 = 90;
pub(crate) const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
pub(crate) const CHANNEL_OPEN_FAILURE: u8 = 92;
pub(crate) const CHANNEL_WINDOW_ADJUST: u8 = 93;
pub(crate) const CHANNEL_DATA: u8 = 94;
pub(crate) const CHANNEL_EXTENDED_DATA: u8 = 95;
pub(crate) const CHANNEL_EOF: u8 = 96;
pub(crate) const CHANNEL_CLOSE: u8 = 97;
pub(crate) const CHANNEL_REQUEST: u8 = 98;
pub(crate) const CHANNEL_SUCCESS: u8 = 99;
pub(crate) const CHANNEL_FAILURE: u8 = 100;

/// Far more than any step takes; under a paused clock it passes as soon as nothing can happen any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// Wait for `future`, or fail the test.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let output = tokio::time::timeout(PATIENCE, future).await;
        output.unwrap_or_else(|_| panic!("waited in vain at {caller}"))
    }
}

/// A configuration without encryption, with the application in charge of the windows.
pub(crate) fn config(kex: kex::Name) -> Config {
    Config {
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: None,
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        preferred: Preferred {
            host_key_certificates: Cow::Borrowed(&[]),
            kex: Cow::Owned(vec![kex]),
            key: Cow::Owned(vec![Algorithm::Ed25519]),
            cipher: Cow::Owned(vec![cipher::NONE]),
            mac: Cow::Owned(vec![mac::NONE]),
            compression: Cow::Owned(vec![compression::NONE]),
        },
        manual_flow_control: true,
        ..Config::default()
    }
}

/// What the server's handler saw.
#[derive(Debug)]
pub(crate) enum Event {
    Opened(Channel<Msg>),
    Confirmed,
    Data(Option<u32>, Bytes),
    Eof,
    Closed(ChannelId),
    Request,
}

/// A handler that accepts everything and reports it.
pub(crate) struct Reporter(mpsc::UnboundedSender<Event>);

impl Reporter {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    fn report(&self, event: Event) {
        // The test may have stopped listening.
        let _ = self.0.send(event);
    }

    fn accept(&self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.report(Event::Request);
        session.channel_success(channel)
    }
}

impl Handler for Reporter {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        self.report(Event::Opened(channel));
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        self.report(Event::Opened(channel));
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        _: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.report(Event::Confirmed);
        Ok(())
    }

    async fn data_owned(
        &mut self,
        _: ChannelId,
        ext: Option<u32>,
        data: Bytes,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.report(Event::Data(ext, data));
        Ok(())
    }

    async fn channel_eof(&mut self, _: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.report(Event::Eof);
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.report(Event::Closed(channel));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.accept(channel, session)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.accept(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.accept(channel, session)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.accept(channel, session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.accept(channel, session)
    }
}

/// A packet's payload under construction.
#[derive(Clone)]
pub(crate) struct Packet(pub(crate) Vec<u8>);

impl Packet {
    pub(crate) fn new(message: u8) -> Self {
        Self(vec![message])
    }

    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn string(mut self, value: impl AsRef<[u8]>) -> Self {
        self = self.u32(value.as_ref().len() as u32);
        self.0.extend_from_slice(value.as_ref());
        self
    }
}

/// A received payload and how far it has been read.
pub(crate) struct Reply {
    payload: Vec<u8>,
    at: usize,
}

impl Reply {
    pub(crate) fn byte(&mut self) -> u8 {
        self.at += 1;
        self.payload[self.at - 1]
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.at += 4;
        u32::from_be_bytes(self.payload[self.at - 4..self.at].try_into().unwrap())
    }

    pub(crate) fn string(&mut self) -> Vec<u8> {
        let len = self.u32() as usize;
        self.at += len;
        self.payload[self.at - len..self.at].to_vec()
    }

    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.payload.split_off(self.at)
    }
}

/// The client's end of a connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    kex: kex::Name,
}

impl Peer {
    /// Start a server with this configuration and handler, and get through the first key exchange.
    pub(crate) async fn connect<H: Handler + Send + 'static>(
        config: Config,
        handler: H,
    ) -> (Self, RunningSession<H>)
    where
        H::Error: std::fmt::Debug,
    {
        let (mut peer, session) = Self::greet(config, handler).await;
        peer.finish_kex().await;
        (peer, session)
    }

    /// Start a server and exchange KEXINIT with it.
    pub(crate) async fn greet<H: Handler + Send + 'static>(
        config: Config,
        handler: H,
    ) -> (Self, RunningSession<H>)
    where
        H::Error: std::fmt::Debug,
    {
        let (stream, server) = tokio::io::duplex(1 << 20);
        let kex = config.preferred.kex[0];
        let mut peer = Self { stream, kex };
        peer.stream.write_all(b"SSH-2.0-patches\r\n").await.unwrap();
        let session = soon(server::run_stream(Arc::new(config), server, handler))
            .await
            .unwrap();
        while peer.stream.read_u8().await.unwrap() != b'\n' {}
        peer.expect(KEXINIT).await;
        peer.send(peer.kexinit()).await;
        (peer, session)
    }

    /// `connect` and log in by the method "none".
    pub(crate) async fn log_in<H: Handler + Send + 'static>(
        config: Config,
        handler: H,
    ) -> (Self, RunningSession<H>)
    where
        H::Error: std::fmt::Debug,
    {
        let (mut peer, session) = Self::connect(config, handler).await;
        peer.request_userauth().await;
        peer.send(
            Packet::new(USERAUTH_REQUEST)
                .string("user")
                .string("ssh-connection")
                .string("none"),
        )
        .await;
        peer.expect(USERAUTH_SUCCESS).await;
        (peer, session)
    }

    pub(crate) async fn request_userauth(&mut self) {
        self.send(Packet::new(SERVICE_REQUEST).string("ssh-userauth"))
            .await;
        self.expect(SERVICE_ACCEPT).await;
    }

    pub(crate) fn kexinit(&self) -> Packet {
        let mut packet = Packet::new(KEXINIT);
        packet.0.extend_from_slice(&[0; 16]);
        for names in [
            &format!("{},ext-info-c", self.kex.as_ref()),
            "ssh-ed25519",
            "none",
            "none",
            "none",
            "none",
            "none",
            "none",
            "",
            "",
        ] {
            packet = packet.string(names);
        }
        packet.byte(0).u32(0)
    }

    /// The rest of a key exchange, after both KEXINIT.
    pub(crate) async fn finish_kex(&mut self) {
        if self.kex != kex::NONE {
            // The base point: any point will do.
            let mut point = [0; 32];
            point[0] = 9;
            self.send(Packet::new(KEX_ECDH_INIT).string(point)).await;
            self.expect(KEX_ECDH_REPLY).await;
        }
        self.expect(NEWKEYS).await;
        self.send(Packet::new(NEWKEYS)).await;
    }

    pub(crate) async fn send(&mut self, payload: impl AsRef<Packet>) {
        let payload = &payload.as_ref().0;
        let padding = 8 - (5 + payload.len()) % 8 + 8;
        let mut packet = Packet(Vec::with_capacity(payload.len() + padding + 5))
            .u32((1 + payload.len() + padding) as u32)
            .byte(padding as u8)
            .0;
        packet.extend_from_slice(payload);
        packet.resize(packet.len() + padding, 0);
        self.send_bytes(&packet).await;
    }

    /// Bytes that need not be a packet.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // A server that has hung up is noticed when the answer is missing.
        let _ = soon(self.stream.write_all(bytes)).await;
    }

    /// The next packet, or `None` when the server hung up. `EXT_INFO` is skipped.
    pub(crate) async fn receive(&mut self) -> Option<Reply> {
        let read = async {
            let len = self.stream.read_u32().await.ok()?;
            let mut payload = vec![0; len as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let padding = payload[0] as usize;
            payload.truncate(payload.len() - padding);
            payload.remove(0);
            Some(Reply { payload, at: 0 })
        };
        soon(read).await
    }

    /// The next packet, which has to be this one; it is returned read up to its first field.
    pub(crate) async fn expect(&mut self, message: u8) -> Reply {
        loop {
            let mut reply = self.receive().await.expect("the server hung up");
            match reply.byte() {
                found if found == message => return reply,
                EXT_INFO => {}
                found => panic!("expected message {message}, found {found}"),
            }
        }
    }

    /// Assert that the server ends the connection, whatever it says before.
    pub(crate) async fn expect_end(&mut self) {
        while self.receive().await.is_some() {}
    }

    /// Assert that the server has nothing more to say, and still answers.
    pub(crate) async fn expect_silence(&mut self) {
        self.send(
            Packet::new(GLOBAL_REQUEST)
                .string("are-you-there@example.com")
                .byte(1),
        )
        .await;
        self.expect(REQUEST_FAILURE).await;
    }

    /// Open a session with the given send window for the server; returns the server's number of it.
    pub(crate) async fn open_session(&mut self, own_number: u32, window: u32) -> u32 {
        self.send(
            Packet::new(CHANNEL_OPEN)
                .string("session")
                .u32(own_number)
                .u32(window)
                .u32(32768),
        )
        .await;
        let mut reply = self.expect(CHANNEL_OPEN_CONFIRMATION).await;
        assert_eq!(reply.u32(), own_number);
        reply.u32()
    }

    pub(crate) async fn data(&mut self, channel: u32, len: usize) {
        self.send(
            Packet::new(CHANNEL_DATA)
                .u32(channel)
                .string(vec![b'x'; len]),
        )
        .await;
    }
}

impl AsRef<Packet> for Packet {
    fn as_ref(&self) -> &Packet {
        self
    }
}

/// A channel request that wants a reply, up to its type-specific part.
pub(crate) fn channel_request(channel: u32, name: &str) -> Packet {
    Packet::new(CHANNEL_REQUEST)
        .u32(channel)
        .string(name)
        .byte(1)
}

/// The next channel the handler was asked to open.
pub(crate) async fn opened(events: &mut mpsc::UnboundedReceiver<Event>) -> Channel<Msg> {
    loop {
        if let Event::Opened(channel) = soon(events.recv()).await.expect("the session ended") {
            return channel;
        }
    }
}
