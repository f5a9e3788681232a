//! One forwarded stream: a socket and a channel, each direction on its own.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::channel::flow::{self, Gather, Read, Sink, Source};
use crate::channel::{Channel, Control, Reader, Request, Writer};

/// How long a socket may take the last bytes of a channel that has closed.
const LAST_BYTES: Duration = Duration::from_secs(30);

/// A connected stream socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// Carry bytes both ways until both ends are done; end of file is passed on one way at a time.
///
/// A socket that fails closes the channel at once; a channel that closes closes the socket.
pub async fn splice(channel: Channel, socket: Socket) {
    let Channel {
        mut reader,
        mut control,
        writer,
    } = channel;
    match socket {
        Socket::Tcp(stream) => {
            // A stream that is dead already shows it at the first read.
            let _ = stream.set_nodelay(true);
            carry(&mut reader, &mut control, &writer, &stream).await;
        }
        Socket::Unix(stream) => carry(&mut reader, &mut control, &writer, &stream).await,
    }
    let _ = writer.close().await;
}

/// A socket that can be shut down in one direction.
trait Stream: Source + Sink {
    fn shutdown_write(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn shutdown_write(&self) -> io::Result<()> {
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn shutdown_write(&self) -> io::Result<()> {
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Write)
    }
}

async fn carry(reader: &mut Reader, control: &mut Control, writer: &Writer, stream: &impl Stream) {
    let inward = async {
        let poured = flow::pour(reader, stream).await;
        if poured.is_ok() {
            // The other direction notices a stream that is gone.
            let _ = stream.shutdown_write();
        } else {
            flow::swallow(reader).await;
        }
    };
    let outward = async {
        let mut gather = Gather::default();
        loop {
            match gather.read(stream) {
                Read::Data(data) => {
                    if writer.data(data).await.is_err() {
                        return;
                    }
                }
                Read::Nothing => {
                    if stream.readable().await.is_err() {
                        break;
                    }
                }
                Read::End => break,
            }
        }
        let _ = writer.eof().await;
    };
    let gone = async { while control.next().await != Request::Closed {} };
    let mut inward = pin!(inward);
    let mut delivered = false;
    let both = async {
        let inward = async {
            inward.as_mut().await;
            delivered = true;
        };
        tokio::join!(inward, outward);
    };
    tokio::select! {
        () = both => {}
        () = gone => {}
    }
    if !delivered {
        // What came before the close is owed to the socket still.
        let _ = tokio::time::timeout(LAST_BYTES, inward).await;
    }
}
