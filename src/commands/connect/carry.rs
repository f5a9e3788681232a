//! Both ways until the far end closes, over TCP or TLS.
//!
//! By read and write on the bare descriptors: the standard library's output holds bytes back until a
//! newline, and its copy splices, which keeps a pipe locked while it waits for the socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::ClientConnection;

use super::route::Opened;

/// One read of the tunnel.
const BUFFER: usize = 256 * 1024;

/// Carry standard input and output through the tunnel; returns when the far end has closed it.
pub(super) fn carry(opened: Opened) -> io::Result<()> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut up = opened.socket.try_clone()?;
    stdout.write_all(&opened.early)?;
    let ended = match opened.tls {
        None => {
            thread::spawn(move || {
                // Either end may leave; the other direction notices.
                let _ = copy(stdin, |bytes| up.write_all(bytes).map(|()| true));
                let _ = up.shutdown(Shutdown::Write);
            });
            copy(opened.socket, |bytes| {
                stdout.write_all(bytes).map(|()| true)
            })
        }
        Some(tls) => {
            let tls = Arc::new(Sealed(Mutex::new(*tls)));
            let sealing = Arc::clone(&tls);
            thread::spawn(move || {
                let _ = copy(stdin, |bytes| {
                    up.write_all(&sealing.seal(bytes)?).map(|()| true)
                });
                let _ = sealing.close().and_then(|end| up.write_all(&end));
                let _ = up.shutdown(Shutdown::Write);
            });
            let mut pass = |bytes: &[u8]| {
                let (plain, more) = tls.open(bytes)?;
                stdout.write_all(&plain).map(|()| more)
            };
            // The handshake may have read on into the tunnel.
            if pass(&[])? {
                copy(opened.socket, pass)
            } else {
                Ok(())
            }
        }
    };
    match ended {
        // ssh has gone; that is how a tunnel ends.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Until the end of `from`, or until `to` says that there is no more.
fn copy(mut from: impl Read, mut to: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                if !to(buffer.get(..read).unwrap_or_default())? {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The TLS state, which both directions need; held only while bytes are transformed, never while they
/// travel, so that one direction's standstill cannot stop the other.
struct Sealed(Mutex<ClientConnection>);

impl Sealed {
    /// `plain` as records to send, with whatever TLS itself had to say.
    fn seal(&self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut tls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tls.writer().write_all(plain)?;
        pending(&mut tls)
    }

    /// The end, as records to send.
    fn close(&self) -> io::Result<Vec<u8>> {
        let mut tls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tls.send_close_notify();
        pending(&mut tls)
    }

    /// The plain text that `sealed`, and what came before it, holds, and whether there may be more.
    fn open(&self, mut sealed: &[u8]) -> io::Result<(Vec<u8>, bool)> {
        let mut tls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plain = Vec::new();
        loop {
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader()
                .read_exact(plain.get_mut(start..).unwrap_or_default())?;
            if sealed.is_empty() || state.peer_has_closed() {
                return Ok((plain, !state.peer_has_closed()));
            }
            tls.read_tls(&mut sealed)?;
        }
    }
}

fn pending(tls: &mut ClientConnection) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records)?;
    }
    Ok(records)
}
