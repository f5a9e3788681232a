//! The way to the API server, which a test can cut, or lead into another network: bytes pass as they are, TLS
//! and all.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A way to one address.
pub(crate) struct Link {
    /// Where it begins: `127.0.0.1:PORT`, or a socket's path.
    pub(crate) address: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    /// From a free port to `HOST:PORT`.
    #[track_caller]
    pub(crate) fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let from = listener.local_addr().expect("bound").to_string();
        Self::between(from, address, move || Some(listener.accept().ok()?.0))
    }

    /// From a unix socket, for who lives in a network of his own.
    #[track_caller]
    pub(crate) fn from_socket(path: &Path, address: &str) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        // A stream is a stream: what follows reads, writes and shuts down.
        let accept = move || Some(TcpStream::from(OwnedFd::from(listener.accept().ok()?.0)));
        Self::between(path.display().to_string(), address, accept)
    }

    fn between(
        from: String,
        address: &str,
        accept: impl Fn() -> Option<TcpStream> + Send + 'static,
    ) -> Self {
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let link = Self {
            address: from,
            open: Arc::clone(&open),
        };
        let address = address.to_owned();
        thread::spawn(move || {
            while let Some(client) = accept() {
                let Ok(server) = TcpStream::connect(&address) else {
                    continue;
                };
                let (there, back) = (pass(&client, &server), pass(&server, &client));
                if there.and(back).is_some() {
                    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.extend([client, server]);
                }
            }
        });
        link
    }

    /// Ends what is under way. New connections pass.
    pub(crate) fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in open.drain(..) {
            socket.shutdown(Shutdown::Both).ok();
        }
    }
}

fn pass(from: &TcpStream, to: &TcpStream) -> Option<()> {
    let (mut from, mut to) = (from.try_clone().ok()?, to.try_clone().ok()?);
    thread::spawn(move || {
        copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    Some(())
}
