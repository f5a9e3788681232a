//! What a connection has to send and its socket has not taken yet, as its channels see it.
//!
//! The connection never waits for its peer to read, or both could wait for each other; so its
//! channels must: bulk waits until little is left, and a keystroke's echo does not wait behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bulk waits while more bytes than this are unsent: enough to keep a socket busy while its thread
/// does something else, little enough for a keystroke to wait behind.
const BULK: usize = 256 * 1024;
/// Small messages wait only beyond this many bytes, which bounds a connection's memory.
const MOST: usize = 4 * 1024 * 1024;
/// What is small: a screenful is not bulk.
const SMALL: usize = 4096;

/// The number of unsent bytes of one connection. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    unsent: AtomicUsize,
    less: Notify,
}

impl Backlog {
    /// The socket's side: how many bytes are unsent now.
    pub fn set(&self, unsent: usize) {
        let before = self.0.unsent.load(Ordering::Relaxed);
        self.0.unsent.store(unsent, Ordering::Relaxed);
        if unsent < before && unsent <= BULK {
            self.0.less.notify_waiters();
        }
    }

    /// A channel's side: resolves when `length` more bytes may be handed to the connection.
    pub async fn admit(&self, length: usize) {
        let limit = if length <= SMALL { MOST } else { BULK };
        while self.0.unsent.load(Ordering::Relaxed) > limit {
            let less = self.0.less.notified();
            if self.0.unsent.load(Ordering::Relaxed) <= limit {
                return;
            }
            less.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bulk_waits_for_the_socket_and_a_keystroke_does_not() {
        let backlog = Backlog::default();
        backlog.set(BULK + 1);
        let patience = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(patience, backlog.admit(1))
                .await
                .is_ok()
        );
        assert!(
            tokio::time::timeout(patience, backlog.admit(SMALL + 1))
                .await
                .is_err()
        );
        let waiting = backlog.clone();
        let (admitted, ()) = tokio::join!(
            tokio::time::timeout(patience, async { waiting.admit(SMALL + 1).await }),
            async { backlog.set(0) },
        );
        assert!(admitted.is_ok());
    }
}
