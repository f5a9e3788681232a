//! What the peer sent on one channel and nobody has taken yet.
//!
//! Bounded by the channel's window (bytes), a constant (signals) and coalescing (window sizes), so
//! an authenticated peer cannot grow it. Never blocks the connection that fills it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::pace::{Breather, Pace};

/// Data messages up to this many bytes are copied together, so that a flood of one-byte messages
/// costs its bytes and not a queue entry each.
const SMALL: usize = 1024;
/// Small messages are handed over in pieces of at most about this many bytes.
const COALESCED: usize = 16 * 1024;
/// Undelivered signals kept for a channel; more are dropped, as repeated signals are by the kernel.
const MAX_SIGNALS: usize = 32;

/// A terminal's size (RFC 4254 section 6.2): characters, and pixels where the client knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Width in pixels; 0 when unknown.
    pub width: u32,
    /// Height in pixels; 0 when unknown.
    pub height: u32,
}

/// What the peer may ask of a running channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `window-change` (RFC 4254 section 6.7); only the latest is kept.
    Resize(Size),
    /// `signal` (RFC 4254 section 6.9), the name without `SIG`.
    Signal(String),
    /// `break` (RFC 4335).
    Break,
    /// The channel is closed, by the peer or with its connection; nothing follows.
    Closed,
}

/// How a reader tells the connection that bytes were consumed: called with their number.
pub type Credit = Box<dyn Fn(u32) + Send + Sync>;

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    eof: bool,
    closed: bool,
    size: Option<Size>,
    signals: VecDeque<Request>,
}

/// The connection's end: everything is pushed here, in order, without ever waiting.
pub struct Inbox {
    state: Mutex<State>,
    data: Notify,
    requests: Notify,
    credit: Credit,
    /// Bytes consumed and not yet credited; given back a quarter window at a time.
    owed: AtomicU32,
    credit_step: u32,
    /// The other direction: how far ahead of the peer we are.
    pub(super) pace: Pace,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Inbox {
    /// An empty inbox for a channel with a receive window of `window` bytes.
    pub fn new(window: u32, credit: Credit) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            data: Notify::new(),
            requests: Notify::new(),
            credit,
            owed: AtomicU32::new(0),
            credit_step: (window / 4).max(1),
            pace: Pace::default(),
        })
    }

    /// The two ends its user holds: bytes, and requests.
    pub fn split(self: &Arc<Self>) -> (Reader, Control) {
        (
            Reader {
                inbox: Arc::clone(self),
                breather: Breather::default(),
            },
            Control {
                inbox: Arc::clone(self),
            },
        )
    }

    /// CHANNEL_DATA. Bytes that nobody will read (after end of file) are credited at once.
    pub fn push(&self, data: Bytes) {
        let length = data.len() as u32;
        let mut state = self.lock();
        if state.eof || state.closed {
            drop(state);
            self.consumed(length);
            return;
        }
        if data.len() <= SMALL {
            state.tail.extend_from_slice(&data);
            if state.tail.len() >= COALESCED {
                state.seal();
            }
        } else {
            state.seal();
            state.chunks.push_back(data);
        }
        drop(state);
        self.data.notify_one();
    }

    /// CHANNEL_WINDOW_ADJUST: the peer may be sent `window` bytes more than it has been.
    pub fn window(&self, window: u32) {
        self.pace.adjusted(window);
    }

    /// CHANNEL_EOF: no more bytes follow.
    pub fn eof(&self) {
        self.lock().eof = true;
        self.data.notify_one();
    }

    /// CHANNEL_CLOSE, or the connection's end. Bytes that arrived before it can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.data.notify_one();
        self.requests.notify_one();
    }

    /// A `window-change`, `signal` or `break` request.
    pub fn request(&self, request: Request) {
        let mut state = self.lock();
        match request {
            Request::Resize(size) => state.size = Some(size),
            Request::Signal(_) | Request::Break if state.signals.len() < MAX_SIGNALS => {
                state.signals.push_back(request);
            }
            Request::Signal(_) | Request::Break => return,
            Request::Closed => state.closed = true,
        }
        drop(state);
        self.requests.notify_one();
    }

    fn consumed(&self, bytes: u32) {
        let owed = self
            .owed
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if owed >= self.credit_step {
            (self.credit)(self.owed.swap(0, Ordering::Relaxed));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while holding it left plain data behind; the connection it belongs to is ending.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Turn the coalesced small messages into a chunk of their own.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let sealed = self.tail.split().freeze();
            self.chunks.push_back(sealed);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        self.chunks.pop_front().or_else(|| {
            let rest = std::mem::take(&mut self.tail);
            (!rest.is_empty()).then(|| rest.freeze())
        })
    }
}

/// Bytes from the peer, in order. One user at a time.
#[derive(Debug)]
pub struct Reader {
    inbox: Arc<Inbox>,
    breather: Breather,
}

impl Reader {
    /// The next bytes; `None` after end of file or close. Cancel safe.
    ///
    /// The peer's window stays debited until [`Reader::consumed`] is called for them.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.inbox.lock();
                if let Some(chunk) = state.take() {
                    return Some(chunk);
                }
                if state.eof || state.closed {
                    return None;
                }
            }
            self.inbox.data.notified().await;
        }
    }

    /// Bytes that are there already; `None` when there are none now.
    pub fn try_chunk(&mut self) -> Option<Bytes> {
        self.inbox.lock().take()
    }

    /// After `bytes` of bulk: a moment's rest now and then while somebody types.
    pub async fn rest(&self, bytes: usize) {
        self.breather.rest(bytes).await;
    }

    /// Let the peer send `bytes` more: they have gone where they were meant to go.
    pub fn consumed(&self, bytes: usize) {
        self.inbox.consumed(bytes as u32);
    }
}

impl Drop for Reader {
    /// Nobody reads any more: what comes is credited and dropped, so that the peer never waits.
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.eof = true;
        let rest: usize = state
            .chunks
            .drain(..)
            .map(|chunk| chunk.len())
            .sum::<usize>()
            + state.tail.len();
        state.tail = BytesMut::new();
        drop(state);
        self.inbox.consumed(rest as u32);
    }
}

/// What the peer asks of a running channel, beside its bytes. One user at a time.
#[derive(Debug)]
pub struct Control {
    inbox: Arc<Inbox>,
}

impl Control {
    /// The next request: signals first, then the latest size, then [`Request::Closed`] for ever.
    /// Cancel safe.
    pub async fn next(&mut self) -> Request {
        loop {
            {
                let mut state = self.inbox.lock();
                if let Some(signal) = state.signals.pop_front() {
                    return signal;
                }
                if let Some(size) = state.size.take() {
                    return Request::Resize(size);
                }
                if state.closed {
                    return Request::Closed;
                }
            }
            self.inbox.requests.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(window: u32) -> (Arc<Inbox>, Arc<AtomicU32>) {
        let credited = Arc::new(AtomicU32::new(0));
        let sum = Arc::clone(&credited);
        let credit = Box::new(move |bytes| {
            sum.fetch_add(bytes, Ordering::Relaxed);
        });
        (Inbox::new(window, credit), credited)
    }

    #[tokio::test]
    async fn bytes_come_out_in_order_whatever_their_size() {
        let (inbox, _) = inbox(1 << 20);
        let (mut reader, _control) = inbox.split();
        inbox.push(Bytes::from_static(b"a"));
        inbox.push(Bytes::from(vec![b'b'; 4096]));
        inbox.push(Bytes::from_static(b"c"));
        inbox.push(Bytes::from_static(b"d"));
        inbox.eof();
        let mut all = Vec::new();
        while let Some(chunk) = reader.chunk().await {
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all, [b"a".as_slice(), &[b'b'; 4096], b"cd"].concat());
    }

    #[tokio::test]
    async fn a_million_one_byte_messages_cost_a_few_chunks() {
        let (inbox, _) = inbox(1 << 20);
        for _ in 0..1_000_000 {
            inbox.push(Bytes::from_static(b"x"));
        }
        assert!(inbox.lock().chunks.len() <= 1_000_000 / COALESCED + 1);
    }

    #[test]
    fn credit_is_given_a_quarter_window_at_a_time() {
        let (inbox, credited) = inbox(400);
        let (reader, _control) = inbox.split();
        reader.consumed(99);
        assert_eq!(credited.load(Ordering::Relaxed), 0);
        reader.consumed(1);
        assert_eq!(credited.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn bytes_for_a_reader_that_left_are_credited() {
        let (inbox, credited) = inbox(4);
        let (reader, _control) = inbox.split();
        inbox.push(Bytes::from_static(b"ab"));
        drop(reader);
        inbox.push(Bytes::from_static(b"cd"));
        assert_eq!(credited.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn only_the_latest_size_is_kept_and_close_comes_last() {
        let (inbox, _) = inbox(1024);
        let (_reader, mut control) = inbox.split();
        for columns in 1..=100 {
            inbox.request(Request::Resize(Size {
                columns,
                ..Size::default()
            }));
        }
        inbox.request(Request::Signal("INT".into()));
        inbox.close();
        assert_eq!(control.next().await, Request::Signal("INT".into()));
        assert_eq!(
            control.next().await,
            Request::Resize(Size {
                columns: 100,
                ..Size::default()
            })
        );
        assert_eq!(control.next().await, Request::Closed);
        assert_eq!(control.next().await, Request::Closed);
    }

    #[test]
    fn a_flood_of_signals_is_bounded() {
        let (inbox, _) = inbox(1024);
        for _ in 0..10_000 {
            inbox.request(Request::Signal("USR1".into()));
        }
        assert_eq!(inbox.lock().signals.len(), MAX_SIGNALS);
    }
}
