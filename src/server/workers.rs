//! The threads connections run on: each has a runtime of its own, and a connection with all its
//! sessions stays on one of them, so that no byte is handed from one core to another.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// More threads than this help nobody: a workspace has one user.
const MOST: usize = 8;

/// A few runtimes, taken in turn.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
    stop: CancellationToken,
}

impl Workers {
    /// As many as the container may use processors.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST);
        let stop = CancellationToken::new();
        let (mut runtimes, mut threads) = (Vec::new(), Vec::new());
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let stopped = stop.clone();
            let work = move || {
                runtime.block_on(stopped.cancelled());
                // A blocking call that hangs must not hold up the end.
                runtime.shutdown_background();
            };
            threads.push(
                thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(work)?,
            );
        }
        Ok(Self {
            runtimes,
            threads,
            next: AtomicUsize::new(0),
            stop,
        })
    }

    /// The runtime for the next connection.
    pub fn next(&self) -> &Handle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // There is at least one: `start` makes it.
        #[expect(clippy::indexing_slicing, reason = "the index is below the length")]
        &self.runtimes[number % self.runtimes.len()]
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A worker that panicked outside every task has said so already.
            let _ = thread.join();
        }
    }
}
