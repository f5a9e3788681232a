//! `tcpip-forward` and `streamlocal-forward@openssh.com`: listening here for the peer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use super::splice::Socket;

/// Sockets bound for one forward; closed, and a unix socket's file removed, when dropped.
#[derive(Debug)]
pub enum Listener {
    /// One listener, or one for each family.
    Tcp(Vec<TcpListener>),
    /// A unix socket and its path.
    Unix(UnixListener, Bound),
}

/// Where an accepted stream came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The address at the far end.
    Tcp(SocketAddr),
    /// Unix sockets have no name worth telling.
    Unix,
}

/// The file of a bound unix socket, known by its inode: only our own is ever removed.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if identity(&self.path).is_some_and(|inode| inode == self.inode) {
            // A directory that has become read-only keeps the file; nothing listens on it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata
        .file_type()
        .is_socket()
        .then(|| (metadata.dev(), metadata.ino()))
}

/// Listen on `host:port` and return the port, a free one for port 0.
///
/// As sshd with `GatewayPorts clientspecified`: `localhost` is loopback, `*` and the empty name are
/// every interface, anything else is an address of ours.
pub async fn listen_tcp(host: &str, port: u16) -> io::Result<(Listener, u16)> {
    let addresses: Vec<SocketAddr> = match host {
        "localhost" => {
            vec![
                (Ipv4Addr::LOCALHOST, port).into(),
                (Ipv6Addr::LOCALHOST, port).into(),
            ]
        }
        "" | "*" => vec![
            (Ipv4Addr::UNSPECIFIED, port).into(),
            (Ipv6Addr::UNSPECIFIED, port).into(),
        ],
        name => tokio::net::lookup_host((name, port))
            .await?
            .take(1)
            .collect(),
    };
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut bound = port;
    let mut failed = None;
    for mut address in addresses {
        // Both families share the port that the first one got.
        address.set_port(bound);
        match bind(address) {
            Ok(listener) => {
                bound = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) => failed = Some(error),
        }
    }
    match (listeners.is_empty(), failed) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        // A port taken in one family is taken: the peer must not share it with a stranger.
        (false, Some(error)) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        (false, _) => Ok((Listener::Tcp(listeners), bound)),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

/// Listen on a unix socket at `path`, mode 0600, which must not exist: as sshd without
/// `StreamLocalBindUnlink`.
pub fn listen_unix(path: &Path) -> io::Result<Listener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let inode = identity(path).ok_or(io::ErrorKind::NotFound)?;
    Ok(Listener::Unix(
        listener,
        Bound {
            path: path.to_owned(),
            inode,
        },
    ))
}

impl Listener {
    /// The next stream. Cancel safe.
    pub async fn accept(&self) -> io::Result<(Socket, Origin)> {
        match self {
            Self::Tcp(listeners) => {
                let accepts = listeners.iter().map(|listener| Box::pin(listener.accept()));
                let accepted = first(accepts.collect()).await;
                accepted.map(|(stream, from)| (Socket::Tcp(stream), Origin::Tcp(from)))
            }
            Self::Unix(listener, _) => listener
                .accept()
                .await
                .map(|(stream, _)| (Socket::Unix(stream), Origin::Unix)),
        }
    }
}

/// The first of a few futures to be ready.
async fn first<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(move |context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context) {
                return std::task::Poll::Ready(output);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_zero_gives_one_port_for_both_families() {
        let (listener, port) = listen_tcp("localhost", 0).await.unwrap();
        assert_ne!(port, 0);
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap();
        let (_, origin) = listener.accept().await.unwrap();
        assert_eq!(origin, Origin::Tcp(stream.local_addr().unwrap()));
    }

    #[tokio::test]
    async fn a_taken_port_is_refused() {
        let (_listener, port) = listen_tcp("localhost", 0).await.unwrap();
        assert!(listen_tcp("localhost", port).await.is_err());
    }

    #[tokio::test]
    async fn a_unix_socket_is_private_and_leaves_with_its_listener() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = listen_unix(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            listen_unix(&path).is_err(),
            "an existing path must not be replaced"
        );
        drop(listener);
        assert!(!path.exists());
    }
}
