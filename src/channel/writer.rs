//! Bytes and endings towards the peer of one channel.

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Sig};
use tokio::sync::mpsc;

use super::memory::Output;
use super::ssh::{PIECE, Registration};

/// The channel or its connection has ended; nothing can be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

/// Where a [`Writer`] sends.
#[derive(Debug)]
enum Sink {
    Ssh {
        half: ChannelWriteHalf<Msg>,
        handle: Handle,
        registration: Registration,
    },
    Memory(mpsc::Sender<Output>),
}

/// The sending end of one channel. Waits for the peer's window; keeps the order of its calls.
#[derive(Debug)]
pub struct Writer {
    sink: Sink,
}

impl Writer {
    pub(super) fn ssh(
        half: ChannelWriteHalf<Msg>,
        handle: Handle,
        registration: Registration,
    ) -> Self {
        Self {
            sink: Sink::Ssh {
                half,
                handle,
                registration,
            },
        }
    }

    pub(super) fn memory(sender: mpsc::Sender<Output>) -> Self {
        Self {
            sink: Sink::Memory(sender),
        }
    }

    /// CHANNEL_DATA: all of `data`, as the peer's window allows.
    pub async fn data(&self, data: impl Into<Bytes>) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh {
                half, registration, ..
            } => {
                let mut data = data.into();
                while !data.is_empty() {
                    let piece = data.split_to(data.len().min(PIECE));
                    registration.admit(piece.len()).await;
                    half.data_bytes(piece).await.map_err(|_| Closed)?;
                }
                Ok(())
            }
            Sink::Memory(sender) => send(sender, Output::Data(data.into())).await,
        }
    }

    /// CHANNEL_EXTENDED_DATA of type 1, standard error (RFC 4254 section 5.2).
    pub async fn stderr(&self, data: impl Into<Bytes>) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh {
                half, registration, ..
            } => {
                let data = data.into();
                registration.admit(data.len()).await;
                half.extended_data_bytes(1, data).await.map_err(|_| Closed)
            }
            Sink::Memory(sender) => send(sender, Output::Stderr(data.into())).await,
        }
    }

    /// CHANNEL_EOF: no more data from us.
    pub async fn eof(&self) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh { half, .. } => half.eof().await.map_err(|_| Closed),
            Sink::Memory(sender) => send(sender, Output::Eof).await,
        }
    }

    /// `eow@openssh.com` (OpenSSH's PROTOCOL section 2.1): nothing reads what the peer sends.
    pub async fn end_of_write(&self) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh { half, handle, .. } => handle
                .send_channel_request(half.id(), "eow@openssh.com", Bytes::new())
                .await
                .map_err(|()| Closed),
            Sink::Memory(sender) => send(sender, Output::EndOfWrite).await,
        }
    }

    /// `exit-status` (RFC 4254 section 6.10).
    pub async fn exit_status(&self, status: u32) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh { half, .. } => half.exit_status(status).await.map_err(|_| Closed),
            Sink::Memory(sender) => send(sender, Output::ExitStatus(status)).await,
        }
    }

    /// `exit-signal` (RFC 4254 section 6.10); `name` without `SIG`.
    pub async fn exit_signal(&self, name: &str, core: bool, message: &str) -> Result<(), Closed> {
        let (name, message) = (name.to_owned(), message.to_owned());
        match &self.sink {
            Sink::Ssh { half, handle, .. } => handle
                .exit_signal_request(half.id(), Sig::Custom(name), core, message, String::new())
                .await
                .map_err(|()| Closed),
            Sink::Memory(sender) => {
                send(
                    sender,
                    Output::ExitSignal {
                        name,
                        core,
                        message,
                    },
                )
                .await
            }
        }
    }

    /// CHANNEL_CLOSE: we are done with the channel.
    pub async fn close(&self) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh { half, .. } => half.close().await.map_err(|_| Closed),
            Sink::Memory(sender) => send(sender, Output::Close).await,
        }
    }
}

async fn send(sender: &mpsc::Sender<Output>, output: Output) -> Result<(), Closed> {
    sender.send(output).await.map_err(|_| Closed)
}
