//! A connection's stream as the SSH library gets it: with a switch that ends it at any moment,
//! prompt acknowledgements while logging in, and read-ahead only while bytes flow.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// One read from the socket: several packets at once in bulk.
const READ_AHEAD: usize = 64 * 1024;
/// A request for this much is served without the detour of the buffer.
const DIRECT: usize = 16 * 1024;
/// Reads after which the kernel may delay acknowledgements again. A client with Nagle's algorithm
/// on waits for ours several times while it logs in, 40 ms each.
const PROMPT_READS: u32 = 40;

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    switch: Pin<Box<WaitForCancellationFutureOwned>>,
    ahead: BytesMut,
    prompt: u32,
}

impl Stream {
    /// `switch`, once cancelled, is the end of the stream in both directions.
    pub(super) fn new(socket: TcpStream, switch: CancellationToken) -> Self {
        Self {
            socket,
            switch: Box::pin(switch.cancelled_owned()),
            ahead: BytesMut::new(),
            prompt: PROMPT_READS,
        }
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
        self.ahead.reserve(READ_AHEAD);
        let polled = poll_read_buf(Pin::new(&mut self.socket), context, &mut self.ahead);
        match &polled {
            Poll::Pending => self.ahead = BytesMut::new(),
            Poll::Ready(_) => self.acknowledge(),
        }
        polled
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
        if self.ahead.is_empty() && buffer.remaining() >= DIRECT {
            let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
            if polled.is_ready() {
                self.acknowledge();
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

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_switched_off(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.socket).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_switched_off(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
