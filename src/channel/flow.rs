//! Bytes between a channel and a descriptor: large reads, gathered writes, credit on consumption,
//! and no buffer held while nothing flows.

use std::future::Future;
use std::io::{self, IoSlice};

use bytes::{Bytes, BytesMut};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};

use super::inbox::Reader;

/// One read at most: what a pipe holds by default, and two packets to an OpenSSH client.
pub const READ: usize = 64 * 1024;
/// Pieces of input written by one system call at most.
const PIECES: usize = 32;

/// Where bytes are read from without blocking.
pub trait Source {
    /// Append what is there to `buffer`; 0 at end of file, `WouldBlock` for nothing now.
    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize>;
    /// Resolves when a read is worth trying.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Where bytes are written to without blocking.
pub trait Sink {
    /// Write some of `pieces`; `WouldBlock` for nothing now.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Resolves when a write is worth trying.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

macro_rules! source {
    ($type:ty) => {
        impl Source for $type {
            fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
                self.try_read_buf(buffer)
            }

            fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
                <$type>::readable(self)
            }
        }
    };
}

macro_rules! sink {
    ($type:ty) => {
        impl Sink for $type {
            fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                self.try_write_vectored(pieces)
            }

            fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
                <$type>::writable(self)
            }
        }
    };
}

source!(pipe::Receiver);
source!(TcpStream);
source!(UnixStream);
sink!(pipe::Sender);
sink!(TcpStream);
sink!(UnixStream);

/// What one attempt to read brought.
#[derive(Debug)]
pub enum Read {
    /// Bytes.
    Data(Bytes),
    /// Nothing now; wait until readable.
    Nothing,
    /// The end, by end of file or by error.
    End,
}

/// Reads from a source into a buffer that exists only while bytes flow.
#[derive(Debug, Default)]
pub struct Gather {
    buffer: BytesMut,
}

impl Gather {
    /// Try once.
    pub fn read(&mut self, source: &impl Source) -> Read {
        loop {
            self.buffer.reserve(READ);
            match source.try_read(&mut self.buffer) {
                Ok(0) => return Read::End,
                Ok(_) => return Read::Data(self.take()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.buffer = BytesMut::new();
                    return Read::Nothing;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Read::End,
            }
        }
    }

    /// A few bytes are copied out, lest they hold the whole buffer until they are sent.
    fn take(&mut self) -> Bytes {
        let data = self.buffer.split();
        if data.len() < READ / 16 {
            Bytes::copy_from_slice(&data)
        } else {
            data.freeze()
        }
    }
}

/// Write everything the peer sends, to its end of file; the peer may send more as it is written.
/// An error means that the sink takes no more.
pub async fn pour(reader: &mut Reader, sink: &impl Sink) -> io::Result<()> {
    let mut pieces = Vec::new();
    while let Some(piece) = reader.chunk().await {
        pieces.push(piece);
        while pieces.len() < PIECES
            && let Some(piece) = reader.try_chunk()
        {
            pieces.push(piece);
        }
        let bytes = pieces.iter().map(Bytes::len).sum();
        let written = write_all(sink, &mut pieces, reader).await;
        reader.rest(bytes).await;
        if written.is_err() {
            reader.consumed(pieces.iter().map(Bytes::len).sum());
            return written;
        }
    }
    Ok(())
}

/// Take everything the peer sends and forget it, to its end of file.
pub async fn swallow(reader: &mut Reader) {
    while let Some(piece) = reader.chunk().await {
        reader.consumed(piece.len());
    }
}

async fn write_all(sink: &impl Sink, pieces: &mut Vec<Bytes>, reader: &Reader) -> io::Result<()> {
    while !pieces.is_empty() {
        let attempt = {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            sink.try_write(&slices)
        };
        match attempt {
            Ok(written) => {
                advance(pieces, written);
                reader.consumed(written);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sink.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Take `written` bytes off the front of `pieces`.
fn advance(pieces: &mut Vec<Bytes>, mut written: usize) {
    let whole = pieces.iter().take_while(|piece| {
        let fits = piece.len() <= written;
        if fits {
            written -= piece.len();
        }
        fits
    });
    let whole = whole.count();
    pieces.drain(..whole);
    if let Some(first) = pieces.first_mut() {
        *first = first.split_off(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_advance_within_and_across_pieces() {
        let mut pieces: Vec<_> = [b"abc".as_slice(), b"de", b"f"]
            .map(Bytes::from_static)
            .into();
        advance(&mut pieces, 2);
        assert_eq!(pieces.concat(), b"cdef");
        advance(&mut pieces, 2);
        assert_eq!(pieces.concat(), b"ef");
        advance(&mut pieces, 2);
        assert!(pieces.is_empty());
    }
}
