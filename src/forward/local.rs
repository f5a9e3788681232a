//! `direct-tcpip` and `direct-streamlocal@openssh.com`: the peer reaches something from here.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};

use super::splice::Socket;

/// How long one address may take to answer: a dead one must not hold up the next for minutes.
const CONNECT: Duration = Duration::from_secs(30);

/// Where a client wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A name or address, and a port.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(String),
}

/// Why a forward was not opened.
#[derive(Debug, Error)]
pub enum Refused {
    /// Policy says no; nothing was tried.
    #[error("forwarding is not permitted")]
    Prohibited,
    /// The connection has as many channels as it may have.
    #[error("too many channels are open")]
    TooMany,
    /// It was tried and failed.
    #[error("{0}")]
    Connect(io::Error),
}

/// Connect to `destination`, trying every address of a name in turn.
pub async fn dial(destination: &Destination) -> Result<Socket, Refused> {
    match destination {
        Destination::Tcp(host, port) => dial_tcp(host, *port).await.map(Socket::Tcp),
        Destination::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
    }
    .map_err(Refused::Connect)
}

async fn dial_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_connection_says_so() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial(&Destination::Tcp("127.0.0.1".into(), port))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
