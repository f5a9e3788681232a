//! What bulk does for the sake of keystrokes: how far it may run ahead of its reader while somebody types
//! on the same connection, and its rests while anybody types at all.
//!
//! A peer that reads slower than we send has a window's worth of bytes, 2 MiB with OpenSSH, waiting
//! in its socket, and a keystroke's echo waits behind all of them. So for a moment after each
//! keystroke every bulk channel keeps only a little outstanding, as far as the peer's window
//! adjustments tell; without anybody typing there is no limit but the window.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A bulk channel may send while it has no more bytes than this outstanding and somebody types.
/// OpenSSH's client adjusts its window once it has read more than 96 KiB, so less would make each
/// adjustment wait for [`PATIENCE`].
const AHEAD: u32 = 96 * 1024;
/// While anybody types, on whichever connection, bulk rests after so many bytes. Where the peer takes or
/// sends as fast as we do, neither has a reason to wait for anything, and then a keystroke waits until a
/// processor takes its next turn: 4 ms at a time, and more.
const BURST: usize = 1024 * 1024;
/// How long the rest is: together with the burst still some four gigabits a second.
const REST: Duration = Duration::from_millis(1);
/// Typing is over this long after the last key: longer than between two keys of a fast typist.
const TYPING: Duration = Duration::from_millis(500);
/// A peer that adjusts its window rarely must not be waited for: go on after this.
const PATIENCE: Duration = Duration::from_millis(4);

/// When a connection's user last typed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Typing(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    start: Instant,
    /// Milliseconds after `start`, plus one; 0 for never.
    last: AtomicU64,
}

impl Keys {
    fn press(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        self.last.store(now + 1, Ordering::Relaxed);
    }
}

impl Default for Typing {
    fn default() -> Self {
        Self(Arc::new(Keys {
            start: Instant::now(),
            last: AtomicU64::new(0),
        }))
    }
}

impl Typing {
    /// Somebody typed now.
    pub fn key(&self) {
        self.0.press();
        ANYBODY.0.press();
    }

    fn goes_on(&self) -> bool {
        let last = self.0.last.load(Ordering::Relaxed);
        last != 0
            && self.0.start.elapsed().as_millis() as u64 - (last - 1) < TYPING.as_millis() as u64
    }
}

/// A workspace has one user: all of its connections.
static ANYBODY: LazyLock<Typing> = LazyLock::new(Typing::default);

/// The bulk of one channel in one direction since its last rest.
#[derive(Debug, Default)]
pub(super) struct Breather(AtomicUsize);

impl Breather {
    /// After `bytes` of bulk.
    pub(super) async fn rest(&self, bytes: usize) {
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes >= BURST {
            self.0.store(0, Ordering::Relaxed);
            if ANYBODY.goes_on() {
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// What one channel's peer has been sent and has not read, as its window tells.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The largest window seen: everything read.
    full: AtomicU32,
    outstanding: AtomicU32,
    less: Notify,
}

impl Pace {
    /// The peer's window has grown to `window`.
    pub(super) fn adjusted(&self, window: u32) {
        let full = self.full.load(Ordering::Relaxed).max(window);
        self.full.store(full, Ordering::Relaxed);
        self.outstanding.store(full - window, Ordering::Relaxed);
        self.less.notify_waiters();
    }

    /// `length` bytes are on their way.
    pub(super) fn sent(&self, length: usize) {
        self.outstanding.fetch_add(length as u32, Ordering::Relaxed);
    }

    /// Resolves when more bulk may be sent.
    pub(super) async fn admit(&self, typing: &Typing) {
        if self.outstanding.load(Ordering::Relaxed) <= AHEAD || !typing.goes_on() {
            return;
        }
        let less = self.less.notified();
        if self.outstanding.load(Ordering::Relaxed) > AHEAD {
            let _ = tokio::time::timeout(PATIENCE, less).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bulk_waits_for_its_reader_only_while_somebody_types() {
        let (pace, typing) = (Pace::default(), Typing::default());
        pace.sent(AHEAD as usize + 1);
        let began = tokio::time::Instant::now();
        pace.admit(&typing).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody types");
        typing.key();
        pace.admit(&typing).await;
        assert!(began.elapsed() >= PATIENCE, "somebody types");
        pace.adjusted(1 << 21);
        let began = tokio::time::Instant::now();
        pace.admit(&typing).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "everything is read");
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_rests_now_and_then_while_anybody_types() {
        let breather = Breather::default();
        Typing::default().key();
        let began = tokio::time::Instant::now();
        breather.rest(BURST - 1).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "little has passed");
        breather.rest(1).await;
        assert!(began.elapsed() >= REST, "somebody types");
    }
}
