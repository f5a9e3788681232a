//! Stopping: why, in two stages, and waiting for every task.
//!
//! [`Tasks::spawn`] is the only way to start a task in this crate, so that nothing outlives
//! shutdown unseen and a panic ends its own task only.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Every task of the daemon, and the two signals that end them. Cheap to clone.
///
/// Stage one, [`Tasks::drain`]: no new connections and channels; what runs may end by itself.
/// Stage two, [`Tasks::stop`]: everything ends now, with the reason told to the peers.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    draining: CancellationToken,
    stopping: CancellationToken,
    reason: Arc<Mutex<Option<String>>>,
}

impl Tasks {
    /// Run `future` on this thread's runtime; `name` is its span in the log.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_on(name, &Handle::current(), future)
    }

    /// Run `future` on the runtime behind `handle`.
    pub fn spawn_on<F>(
        &self,
        name: &'static str,
        handle: &Handle,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let span = tracing::trace_span!(parent: None, "task", name);
        self.tracker.spawn_on(future.instrument(span), handle)
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Begin stage one. The first reason wins: it is what caused everything after it.
    pub fn drain(&self, reason: &str) {
        self.set_reason(reason);
        self.draining.cancel();
    }

    /// Begin stage two.
    pub fn stop(&self, reason: &str) {
        self.set_reason(reason);
        self.draining.cancel();
        self.stopping.cancel();
    }

    /// Resolves once stage one has begun.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether stage one has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Resolves once stage two has begun.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Why the daemon stops, for logs and peers.
    pub fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| "shutting down".to_owned())
    }

    /// Resolves once every task has ended; only meaningful after [`Tasks::stop`].
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn set_reason(&self, reason: &str) {
        let mut slot = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| reason.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_wins() {
        let tasks = Tasks::default();
        tasks.drain("SIGTERM");
        tasks.stop("grace time is over");
        assert_eq!(tasks.reason(), "SIGTERM");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let tasks = Tasks::default();
        let first = tasks.spawn("panics", async { panic!("on purpose") });
        let second = tasks.spawn("lives", async { 7 });
        assert!(first.await.is_err());
        assert_eq!(second.await.unwrap(), 7);
        tasks.stop("test over");
        tasks.wait().await;
    }
}
