//! A channel without a connection: for tests and fuzzing of what runs on a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::inbox::{Control, Inbox, Reader, Request};
use super::writer::{Outcome, Writer};

/// What the peer of an in-memory channel is sent, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the messages of RFC 4254")]
pub enum Output {
    Data(Bytes),
    Stderr(Bytes),
    Eof,
    EndOfWrite,
    Outcome(Outcome),
    Close,
}

/// The far end of an in-memory channel.
#[derive(Debug)]
pub struct Peer {
    inbox: Arc<Inbox>,
    output: mpsc::Receiver<Output>,
    credited: Arc<AtomicU64>,
}

impl Peer {
    /// Send bytes; the caller keeps within the window if it cares.
    pub fn send(&self, data: impl Into<Bytes>) {
        self.inbox.push(data.into());
    }

    /// Send end of file.
    pub fn eof(&self) {
        self.inbox.eof();
    }

    /// Send a request, or close the channel with [`Request::Closed`].
    pub fn request(&self, request: Request) {
        match request {
            Request::Closed => self.inbox.close(),
            other => self.inbox.request(other),
        }
    }

    /// What was sent to the peer next; `None` once the writer is gone.
    pub async fn receive(&mut self) -> Option<Output> {
        self.output.recv().await
    }

    /// Bytes credited so far.
    pub fn credited(&self) -> u64 {
        self.credited.load(Ordering::Relaxed)
    }
}

/// A channel with a receive window of `window` bytes, whose far end is a [`Peer`].
pub fn pair(window: u32) -> (Reader, Control, Writer, Peer) {
    let credited = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&credited);
    let credit = Box::new(move |bytes: u32| {
        sum.fetch_add(bytes.into(), Ordering::Relaxed);
    });
    let inbox = Inbox::new(window, credit);
    let (reader, control) = inbox.split();
    let (sender, output) = mpsc::channel(64);
    (
        reader,
        control,
        Writer::memory(sender),
        Peer {
            inbox,
            output,
            credited,
        },
    )
}
