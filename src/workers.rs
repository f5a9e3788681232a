//! The threads connections run on: each has a runtime of its own, and a connection with all its
//! sessions stays on one of them, so that no byte is handed from one core to another.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

mod driver;
mod watch;

use driver::Driver;
pub use driver::{Lost, aside};
use watch::{Bell, Watch};

/// More threads than this help nobody: a workspace has one user.
const MOST: usize = 8;

/// What a call that is being made when all ends may take before it is left behind.
const LAST_CALL: Duration = Duration::from_secs(1);

/// A few runtimes, taken in turn.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    stop: CancellationToken,
    watch: Watch,
    /// Disconnected once every runtime has come to its end.
    ended: Mutex<Receiver<()>>,
}

impl Workers {
    /// As many as the container may use processors.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST);
        let stop = CancellationToken::new();
        let bell = Bell::default();
        let (running, ended) = channel();
        let (mut runtimes, mut drivers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let driver = Driver::new(number, stop.clone(), bell.clone(), running.clone())?;
            runtimes.push(driver.handle());
            drivers.push(Arc::new(driver));
        }
        drop(running);
        for driver in &drivers {
            Driver::start(Arc::clone(driver))?;
        }
        Ok(Self {
            runtimes,
            next: AtomicUsize::new(0),
            watch: Watch::start(&bell, drivers, stop.clone())?,
            stop,
            ended: Mutex::new(ended),
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
        self.watch.join();
        // Nothing is ever sent: this waits until all have ended.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(LAST_CALL);
    }
}
