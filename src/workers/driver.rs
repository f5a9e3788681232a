//! A runtime and the thread that drives it, which also makes the calls that may block.
//!
//! Handing a file call to another thread costs two wake-ups, and for small files these are most of
//! the time. So the thread makes the call itself, but between two turns of its runtime and not
//! within one: a call that takes longer than a moment keeps its thread, and a new thread goes on
//! with the runtime (`watch`). No connection waits for another one's disk.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::watch::Bell;

/// The runtime's own blocking thread, which looks names up, stays: under a limit on processes another
/// may not be had.
const KEEP: Duration = Duration::from_secs(u32::MAX as u64);

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// The runtime this thread drives.
    static DRIVEN: RefCell<Option<Arc<Driver>>> = const { RefCell::new(None) };
}

/// Work that panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it panicked")]
pub struct Lost;

/// Run `work`, which may block, where it holds up nobody but the caller: on this very thread, as
/// soon as its tasks have nothing to do. Outside [`super::Workers`] on a thread of the runtime's.
///
/// Dropping the future gives up the result; work that has begun goes on to its end.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Lost> {
    let Some(driver) = DRIVEN.with_borrow(Clone::clone) else {
        return tokio::task::spawn_blocking(work).await.map_err(|_| Lost);
    };
    let (sender, result) = oneshot::channel();
    driver.push(Box::new(move || {
        // A panic is reported by its hook, and told by the sender that goes with it. The result of
        // work whose caller has gone is dropped here, where that may block too.
        let _ = catch_unwind(AssertUnwindSafe(move || sender.send(work())));
    }));
    drop(driver);
    result.await.map_err(|_| Lost)
}

/// A runtime that one thread at a time drives.
#[derive(Debug)]
pub(super) struct Driver {
    number: usize,
    runtime: Runtime,
    jobs: Mutex<Jobs>,
    due: Notify,
    /// The number of the call being made now, 0 for none. Whoever sets it back to 0 drives on: the
    /// thread that has made the call, or the one that relieves it.
    call: AtomicU64,
    /// Calls begun so far.
    calls: AtomicU64,
    bell: Bell,
    stop: CancellationToken,
    /// Dropped at the end of the runtime.
    running: Mutex<Option<Sender<()>>>,
}

#[derive(Default)]
struct Jobs(VecDeque<Job>);

impl std::fmt::Debug for Jobs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Jobs").field(&self.0.len()).finish()
    }
}

impl Driver {
    pub(super) fn new(
        number: usize,
        stop: CancellationToken,
        bell: Bell,
        running: Sender<()>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(KEEP)
            .build()?;
        runtime.spawn_blocking(|| ());
        Ok(Self {
            number,
            runtime,
            jobs: Mutex::default(),
            due: Notify::new(),
            call: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            bell,
            stop,
            running: Mutex::new(Some(running)),
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Drive on a thread of its own.
    pub(super) fn start(driver: Arc<Self>) -> io::Result<()> {
        driver.thread().spawn(move || Self::drive(driver))?;
        Ok(())
    }

    /// Drive in place of the thread that makes `call`, if it still does.
    pub(super) fn relieve(driver: Arc<Self>, call: u64) -> io::Result<()> {
        driver.thread().spawn(move || {
            if driver.take_over(call) {
                Self::drive(driver);
            } else {
                driver.release();
            }
        })?;
        Ok(())
    }

    /// The call being made now, 0 for none, and how many have begun.
    pub(super) fn calls(&self) -> (u64, u64) {
        let call = self.call.load(Ordering::SeqCst);
        (call, self.calls.load(Ordering::SeqCst))
    }

    fn thread(&self) -> thread::Builder {
        thread::Builder::new().name(format!("worker-{}", self.number))
    }

    fn take_over(&self, call: u64) -> bool {
        let swapped = self
            .call
            .compare_exchange(call, 0, Ordering::SeqCst, Ordering::SeqCst);
        swapped.is_ok()
    }

    fn push(&self, job: Job) {
        self.lock().0.push_back(job);
        self.due.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call to make; `None` at the end.
    async fn next(&self) -> Option<Job> {
        let due = async {
            loop {
                if let Some(job) = self.lock().0.pop_front() {
                    return job;
                }
                self.due.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            job = due => Some(job),
        }
    }

    fn drive(driver: Arc<Self>) {
        DRIVEN.set(Some(Arc::clone(&driver)));
        while let Some(job) = driver.runtime.block_on(driver.next()) {
            let call = driver.calls.fetch_add(1, Ordering::SeqCst) + 1;
            driver.call.store(call, Ordering::SeqCst);
            driver.bell.ring();
            job();
            if !driver.take_over(call) {
                // Another thread drives already.
                DRIVEN.take();
                driver.release();
                return;
            }
        }
        DRIVEN.take();
        let running = driver
            .running
            .lock()
            .map_or(None, |mut running| running.take());
        driver.release();
        drop(running);
    }

    /// For whoever is done with it; the last one ends the runtime.
    pub(super) fn release(self: Arc<Self>) {
        if let Some(driver) = Arc::into_inner(self) {
            // A blocking call that hangs must not hold up the end.
            driver.runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::Workers;
    use super::*;

    /// Run `future` on the first runtime of fresh workers, beside which nothing else runs.
    fn on_a_worker<T: Send + 'static>(
        workers: &Workers,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (sender, result) = mpsc::channel();
        let tasks = crate::shutdown::Tasks::default();
        tasks.spawn_on("test", workers.runtimes.first().unwrap(), async move {
            let _ = sender.send(future.await);
        });
        result.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_call_is_made_by_the_thread_of_its_caller() {
        let workers = Workers::start().unwrap();
        let (task, call) = on_a_worker(&workers, async {
            let task = thread::current().id();
            (task, aside(|| thread::current().id()).await.unwrap())
        });
        assert_eq!(task, call);
    }

    #[test]
    fn a_call_that_blocks_holds_up_no_task_of_its_thread() {
        let workers = Workers::start().unwrap();
        let order = on_a_worker(&workers, async {
            let (let_go, blocked) = mpsc::channel();
            let (let_go_too, blocked_too) = mpsc::channel();
            // Each waits for what comes after it: they end only if three threads take turns.
            let first = aside(move || blocked.recv());
            let second = aside(move || {
                let_go.send(1).unwrap();
                blocked_too.recv()
            });
            let third = async { aside(move || let_go_too.send(2)).await };
            tokio::join!(first, second, third)
        });
        assert_eq!(order, (Ok(Ok(1)), Ok(Ok(2)), Ok(Ok(()))));
    }

    #[test]
    fn a_panic_is_told_and_ends_nothing_else() {
        let workers = Workers::start().unwrap();
        let (lost, after) = on_a_worker(&workers, async {
            let lost = aside(|| panic!("on purpose")).await;
            (lost, aside(|| 7).await)
        });
        assert_eq!((lost, after), (Err::<(), _>(Lost), Ok(7)));
    }

    #[test]
    fn the_end_does_not_wait_for_a_call_that_hangs() {
        for relieved_first in [false, true] {
            let workers = Workers::start().unwrap();
            let (let_go, blocked) = mpsc::channel::<()>();
            let (sender, under_way) = mpsc::channel();
            let tasks = crate::shutdown::Tasks::default();
            let runtime = workers.runtimes.first().unwrap();
            tasks.spawn_on("hangs", runtime, async {
                let hangs = aside(move || {
                    sender.send(()).unwrap();
                    blocked.recv()
                });
                let _ = hangs.await;
            });
            under_way.recv().unwrap();
            if relieved_first {
                on_a_worker(&workers, async {});
            }
            drop(workers);
            drop(let_go);
        }
    }

    #[tokio::test]
    async fn without_workers_a_thread_is_borrowed() {
        let here = thread::current().id();
        assert_ne!(aside(|| thread::current().id()).await, Ok(here));
    }
}
