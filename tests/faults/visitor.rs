//! A client that comes, gets so far, and leaves without a word. Thousands of them are cheap.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, client};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::harness::daemon::{Daemon, user};
use crate::harness::process::PATIENCE;

/// How far a visitor gets before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Connected,
    Versions,
    KeyExchange,
    LoggedIn,
    Channel,
}

pub(crate) const PHASES: [Phase; 5] = [
    Phase::Connected,
    Phase::Versions,
    Phase::KeyExchange,
    Phase::LoggedIn,
    Phase::Channel,
];

/// How it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leave {
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

/// Where to go and as whom.
#[derive(Clone)]
pub(crate) struct Way {
    address: String,
    key: Arc<PrivateKey>,
}

/// Believes every host key: who the server is, is not the question here.
pub(crate) struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A connection, and a second hold on its socket.
pub(crate) struct Visitor {
    socket: TcpStream,
    pub(crate) handle: client::Handle<Trusting>,
}

impl Way {
    pub(crate) fn to(daemon: &Daemon) -> Self {
        let key = russh::keys::load_secret_key(&daemon.client.identity, None);
        Self {
            address: daemon.address.clone(),
            key: Arc::new(key.expect("the client's key")),
        }
    }

    fn connect(&self) -> io::Result<(TcpStream, tokio::net::TcpStream)> {
        let socket = TcpStream::connect(&self.address)?;
        socket.set_nodelay(true)?;
        let other = socket.try_clone()?;
        other.set_nonblocking(true)?;
        Ok((socket, tokio::net::TcpStream::from_std(other)?))
    }

    /// Gets as far as a key exchange.
    async fn exchange(&self) -> Result<Visitor, russh::Error> {
        let (socket, stream) = self.connect()?;
        let config = Arc::new(client::Config::default());
        let handle = client::connect_stream(config, stream, Trusting).await?;
        Ok(Visitor { socket, handle })
    }

    /// Logs in.
    pub(crate) async fn log_in(&self) -> Result<Visitor, russh::Error> {
        let mut visitor = self.exchange().await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), None);
        let answer = visitor.handle.authenticate_publickey(user(), key).await?;
        assert!(answer.success(), "the key was refused");
        Ok(visitor)
    }

    /// Comes, gets as far as `phase`, and leaves.
    pub(crate) async fn visit(&self, phase: Phase, leave: Leave) {
        let visit = timeout(PATIENCE * 3, self.try_visit(phase, leave)).await;
        let visit = visit.unwrap_or_else(|_| panic!("{phase:?}: not served"));
        visit.unwrap_or_else(|error| panic!("{phase:?}: {error}"));
    }

    async fn try_visit(&self, phase: Phase, leave: Leave) -> Result<(), russh::Error> {
        if phase <= Phase::Versions {
            let (socket, mut stream) = self.connect()?;
            if phase == Phase::Versions {
                stream.write_all(b"SSH-2.0-visitor\r\n").await?;
                stream.read_u8().await?;
            }
            drop(stream);
            depart(&socket, leave);
            return Ok(());
        }
        if phase == Phase::KeyExchange {
            let visitor = self.exchange().await?;
            visitor.leave(leave);
            return Ok(());
        }
        let visitor = self.log_in().await?;
        if phase == Phase::Channel {
            let _channel = visitor.start("cat").await?;
            visitor.leave(leave);
        } else {
            visitor.leave(leave);
        }
        Ok(())
    }
}

impl Visitor {
    /// A channel on which `command` runs.
    pub(crate) async fn start(&self, command: &str) -> Result<Channel<client::Msg>, russh::Error> {
        let mut channel = self.handle.channel_open_session().await?;
        channel.exec(true, command).await?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(channel),
                Some(ChannelMsg::Failure) | None => return Err(russh::Error::RequestDenied),
                Some(_) => {}
            }
        }
    }

    fn leave(self, leave: Leave) {
        depart(&self.socket, leave);
    }
}

fn depart(socket: &TcpStream, leave: Leave) {
    match leave {
        Leave::Close => {
            socket.shutdown(Shutdown::Both).ok();
        }
        // Takes effect when the last holder lets go.
        Leave::Reset => {
            SockRef::from(socket).set_linger(Some(Duration::ZERO)).ok();
        }
    }
}
