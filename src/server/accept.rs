//! Listening and accepting: an accept error never stops the daemon.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{Server, connection};
use crate::workers::Workers;

/// Connections waiting to be accepted: a gateway that drains brings everybody back at once.
const BACKLOG: i32 = 1024;
/// Out of descriptors: wait for some to be closed instead of spinning.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that is bound, with nothing accepted yet.
#[derive(Debug)]
pub struct Bound {
    listener: StdListener,
    /// The address, with the port that was picked for port 0.
    pub address: SocketAddr,
}

/// Bind `address`. The any-address of IPv6 means both families, and only IPv4 where the pod has no
/// IPv6.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = match listen(address) {
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && lacks_ipv6(&error) => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())?
        }
        other => other?,
    };
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn lacks_ipv6(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EAFNOSUPPORT};
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

impl Bound {
    /// The bare listener, for a service that is not SSH.
    pub fn into_listener(self) -> StdListener {
        self.listener
    }

    /// Accept until the daemon drains. Needs this thread's runtime.
    pub async fn serve(self, server: Arc<Server>, workers: Arc<Workers>) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let mut short = false;
        loop {
            let accepted = tokio::select! {
                () = server.workspace.tasks.draining() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut short) {
                        tracing::info!("accepting connections again");
                    }
                    match stream.into_std() {
                        Ok(stream) => hand_over(&server, &workers, stream, peer),
                        Err(error) => tracing::debug!(%peer, %error, "lost while accepting"),
                    }
                }
                // The client left before it was accepted.
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    // Out of descriptors, most likely; said once, until it is over.
                    if !std::mem::replace(&mut short, true) {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                    }
                    server.startups.make_room();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | TimedOut | WouldBlock
    )
}

fn hand_over(
    server: &Arc<Server>,
    workers: &Workers,
    stream: std::net::TcpStream,
    peer: SocketAddr,
) {
    let Some(startup) = server.startups.enter() else {
        server.metrics.refused();
        return;
    };
    let open = server.connections.enter();
    let connection = connection::run(Arc::clone(server), stream, peer, startup, open);
    server
        .workspace
        .tasks
        .spawn_on("connection", workers.next(), connection);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_told_as_the_port_it_became() {
        let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(bound.address.port(), 0);
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(bind(bound.address).is_err());
    }
}
