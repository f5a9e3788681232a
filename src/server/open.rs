//! The connections that are here, counted and numbered, so that the last one's end can be waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

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

    #[tokio::test]
    async fn the_last_connection_to_leave_ends_the_wait() {
        let connections = Connections::default();
        let open = connections.enter();
        let waiting = connections.clone();
        let wait = tokio::join!(async { waiting.none_left().await }, async { drop(open) });
        assert_eq!(wait, ((), ()));
    }
}
