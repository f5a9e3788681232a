//! How many may be here at once: unauthenticated connections are bounded, and counted apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Places for connections that have not logged in (sshd's MaxStartups).
#[derive(Clone, Debug)]
pub(super) struct Startups(Arc<Semaphore>);

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Startup(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Startups {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
    }

    /// `None` when all are taken.
    pub(super) fn enter(&self) -> Option<Startup> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Startup)
    }
}

/// The connections that are open.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    open: Arc<watch::Sender<usize>>,
    numbers: Arc<AtomicUsize>,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(super) struct Open {
    connections: Connections,
    /// Its number in the log, from 1.
    pub(super) number: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            open: Arc::new(watch::channel(0).0),
            numbers: Arc::default(),
        }
    }
}

impl Connections {
    pub(super) fn enter(&self) -> Open {
        self.open.send_modify(|open| *open += 1);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        Open {
            connections: self.clone(),
            number,
        }
    }

    pub(super) async fn none_left(&self) {
        // The sender is ours, so waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_logs_in_or_leaves() {
        let startups = Startups::new(1);
        let place = startups.enter();
        assert!(place.is_some() && startups.enter().is_none());
        drop(place);
        assert!(startups.enter().is_some());
    }

    #[tokio::test]
    async fn the_last_connection_to_leave_ends_the_wait() {
        let connections = Connections::default();
        let open = connections.enter();
        let waiting = connections.clone();
        let wait = tokio::join!(async { waiting.none_left().await }, async { drop(open) });
        assert_eq!(wait, ((), ()));
    }
}
