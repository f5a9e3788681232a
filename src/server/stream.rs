//! A connection's stream as the SSH library gets it: with a switch that ends it at any moment,
//! prompt acknowledgements while logging in, read-ahead only while bytes flow, and writes that never
//! keep it from reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::startups::Startup;
use crate::channel::Backlog;

/// One read from the socket: several packets at once in bulk.
const READ_AHEAD: usize = 64 * 1024;
/// A request for this much is served without the detour of the buffer.
const DIRECT: usize = 16 * 1024;
/// Unsent bytes after which a peer that does not read is given up: far above what the channels'
/// gate admits, so only replies to a flood of requests get here.
const MOST_BEHIND: usize = 16 * 1024 * 1024;
/// The same three while nobody has logged in: what a stranger may make us hold, and send in all. A
/// login takes some 5 KB, and with twenty of the largest keys and certificates 200.
const EARLY_AHEAD: usize = 4 * 1024;
const EARLY_BEHIND: usize = 64 * 1024;
const EARLY_BYTES: usize = 1024 * 1024;
/// Reads after which the kernel may delay acknowledgements again. A client with Nagle's algorithm
/// on waits for ours several times while it logs in, 40 ms each.
const PROMPT_READS: u32 = 40;

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    switch: Pin<Box<WaitForCancellationFutureOwned>>,
    ahead: BytesMut,
    /// Accepted from the library and not taken by the socket yet; exists only meanwhile.
    behind: BytesMut,
    backlog: Backlog,
    prompt: u32,
    /// Until somebody has logged in.
    stranger: Option<Arc<Startup>>,
    received: usize,
}

impl Stream {
    /// `switch`, once cancelled, is the end of the stream in both directions; `backlog` is told what
    /// the socket has not taken. `ahead` was read before. Little is held until `stranger` is over.
    pub(super) fn new(
        socket: TcpStream,
        ahead: BytesMut,
        switch: CancellationToken,
        backlog: Backlog,
        stranger: Arc<Startup>,
    ) -> Self {
        Self {
            socket,
            switch: Box::pin(switch.cancelled_owned()),
            ahead,
            behind: BytesMut::new(),
            backlog,
            prompt: PROMPT_READS,
            stranger: Some(stranger),
            received: 0,
        }
    }

    /// Whether nobody has logged in.
    fn is_strange(&mut self) -> bool {
        if self
            .stranger
            .as_ref()
            .is_some_and(|stranger| stranger.is_over())
        {
            self.stranger = None;
        }
        self.stranger.is_some()
    }

    /// A stranger who sends this much is none who logs in.
    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.received = self.received.saturating_add(bytes);
        if self.received > EARLY_BYTES && self.is_strange() {
            return Err(io::Error::other("too many bytes before login"));
        }
        Ok(())
    }

    fn is_switched_off(&mut self, context: &mut Context<'_>) -> bool {
        self.switch.as_mut().poll(context).is_ready()
    }

    /// After a read: acknowledge at once while logging in.
    fn acknowledge(&mut self) {
        if self.prompt > 0 {
            self.prompt -= 1;
            // Only a hint; the login is slower without it.
            let _ = socket2::SockRef::from(&self.socket).set_tcp_quickack(true);
        }
    }

    /// Fill the read-ahead; it exists only while bytes flow.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let strange = self.is_strange();
        self.ahead
            .reserve(if strange { EARLY_AHEAD } else { READ_AHEAD });
        let polled = poll_read_buf(Pin::new(&mut self.socket), context, &mut self.ahead);
        match &polled {
            Poll::Pending => self.ahead = BytesMut::new(),
            Poll::Ready(read) => {
                self.acknowledge();
                self.count(*read.as_ref().unwrap_or(&0))?;
            }
        }
        polled
    }
}

impl Drop for Stream {
    /// Whoever waits for the socket to take more waits no longer.
    fn drop(&mut self) {
        self.backlog.set(0);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_switched_off(context) {
            return Poll::Ready(Ok(()));
        }
        // Reading is what the library does all the time: the place to get rid of what is behind.
        if let Poll::Ready(Err(error)) = self.poll_drain(context) {
            return Poll::Ready(Err(error));
        }
        if self.ahead.is_empty() && buffer.remaining() >= DIRECT {
            let before = buffer.filled().len();
            let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
            if polled.is_ready() {
                self.acknowledge();
                self.count(buffer.filled().len() - before)?;
            }
            return polled;
        }
        if self.ahead.is_empty() {
            match self.poll_fill(context) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..length).unwrap_or_default());
        self.ahead.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    /// Hand the socket what it takes of what is behind. Errors are the next write's to report.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.behind.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, &self.behind) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.behind.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.backlog.set(self.behind.len());
                    return Poll::Pending;
                }
            }
        }
        self.behind = BytesMut::new();
        self.backlog.set(0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    /// Takes everything, always: the library waits for its writes before it reads again, and a peer
    /// that does the same would wait for ever. What channels hand over is bounded by the backlog,
    /// what the peer provokes by the replies to what it sends.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let much = self.behind.len() > EARLY_BEHIND;
        let most = if much && self.is_strange() {
            EARLY_BEHIND
        } else {
            MOST_BEHIND
        };
        if self.is_switched_off(context) || self.behind.len() > most {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut rest = data;
        if self.behind.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, data) {
                Poll::Ready(Ok(written)) => rest = data.get(written..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        self.behind.extend_from_slice(rest);
        match self.poll_drain(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(data.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is behind leaves while the connection waits for its peer.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_switched_off(context) {
            std::task::ready!(self.poll_drain(context))?;
        }
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
