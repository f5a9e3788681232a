//! Bytes and endings towards the peer of one channel.

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelMsg, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;

use super::memory::Output;
use super::ssh::{PIECE, Registration};

/// The channel or its connection has ended; nothing can be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

/// How a session's program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `exit-status`.
    Status(u32),
    /// `exit-signal`.
    Signal {
        /// Without `SIG`.
        name: String,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl From<Outcome> for ChannelMsg {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Status(exit_status) => Self::ExitStatus { exit_status },
            Outcome::Signal { name, core } => Self::ExitSignal {
                signal_name: Sig::Custom(name),
                core_dumped: core,
                error_message: String::new(),
                lang_tag: String::new(),
            },
        }
    }
}

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

    /// The end of a session: CHANNEL_EOF, `exit-status` or `exit-signal` (RFC 4254 section 6.10), and
    /// CHANNEL_CLOSE. At once, or a client that answers the end of file with its own CLOSE would not
    /// hear the rest.
    pub async fn end(&self, outcome: Option<Outcome>) -> Result<(), Closed> {
        match &self.sink {
            Sink::Ssh { half, handle, .. } => {
                let outcome = outcome.map(ChannelMsg::from);
                let all = [Some(ChannelMsg::Eof), outcome, Some(ChannelMsg::Close)];
                let all = all.into_iter().flatten().collect();
                handle.together(half.id(), all).await.map_err(|()| Closed)
            }
            Sink::Memory(sender) => {
                send(sender, Output::Eof).await?;
                if let Some(outcome) = outcome {
                    send(sender, Output::Outcome(outcome)).await?;
                }
                send(sender, Output::Close).await
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
