//! One thread that looks after calls which take long, and sleeps while none are made.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::driver::Driver;

/// A thread that has been in one call for one or two of these is relieved: little enough for a
/// keystroke to wait, more than a call takes that does not wait for a disk.
const TICK: Duration = Duration::from_millis(2);
/// Ticks without a call after which the watch sleeps until somebody rings.
const QUIET: u32 = 25;

/// The watch, running.
#[derive(Debug)]
pub(super) struct Watch {
    thread: Option<JoinHandle<()>>,
}

/// Whether threads are short: told when it begins and when it is over, not at each tick in between.
#[derive(Debug, Default)]
struct Shortage(bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Begins,
    Over,
}

impl Shortage {
    /// What there is to tell after a thread was to be had, or was not.
    fn note(&mut self, had: bool) -> Option<News> {
        let changed = self.0 == had;
        self.0 = !had;
        changed.then_some(if had { News::Over } else { News::Begins })
    }
}

fn tell(news: News) {
    match news {
        News::Begins => tracing::warn!(
            "no thread to spare: a slow disk holds up connections until the limit on processes allows one"
        ),
        News::Over => tracing::info!("there are threads to spare again"),
    }
}

/// Wakes the watch; costs next to nothing while it is awake.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell(Arc<Ear>);

#[derive(Debug, Default)]
struct Ear {
    awake: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// A call begins.
    pub(super) fn ring(&self) {
        if !self.0.awake.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.0.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Watch {
    /// Look after `drivers`, which ring `bell`, until `stop`.
    pub(super) fn start(
        bell: &Bell,
        drivers: Vec<Arc<Driver>>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let own = bell.clone();
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || own.watch(drivers, &stop))?;
        Ok(Self {
            thread: Some(thread),
        })
    }

    /// Wait for its end, after `stop`.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It runs nothing that could panic.
            let _ = thread.join();
        }
    }
}

impl Bell {
    fn watch(&self, drivers: Vec<Arc<Driver>>, stop: &CancellationToken) {
        let _ = self.0.thread.set(thread::current());
        let mut seen: Vec<_> = drivers.iter().map(|driver| driver.calls()).collect();
        let mut quiet = 0;
        let mut shortage = Shortage::default();
        while !stop.is_cancelled() {
            thread::park_timeout(TICK);
            quiet += 1;
            for (driver, before) in drivers.iter().zip(&mut seen) {
                let now = driver.calls();
                if now.1 != before.1 || now.0 != 0 {
                    quiet = 0;
                }
                if now.0 != 0 && now.0 == before.0 {
                    let relieved = Driver::relieve(Arc::clone(driver), now.0);
                    if let Some(news) = shortage.note(relieved.is_ok()) {
                        tell(news);
                    }
                }
                *before = now;
            }
            if quiet > QUIET {
                self.sleep(&drivers, &seen, stop);
                quiet = 0;
            }
        }
        for driver in drivers {
            driver.release();
        }
    }

    /// Until the bell rings or all ends, unless a call has begun since `seen`.
    fn sleep(&self, drivers: &[Arc<Driver>], seen: &[(u64, u64)], stop: &CancellationToken) {
        self.0.awake.store(false, Ordering::SeqCst);
        // Who begins a call counts it before ringing, so one of us notices the other; and the wake-up
        // that comes with the end may have been used up by the last tick.
        let quiet = drivers
            .iter()
            .zip(seen)
            .all(|(driver, seen)| driver.calls() == *seen);
        if quiet && !stop.is_cancelled() {
            thread::park();
        }
        self.0.awake.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::Workers;
    use super::*;

    #[test]
    fn a_shortage_is_told_once_and_its_end_too() {
        let mut shortage = Shortage::default();
        let had = [true, false, false, false, true, true, false];
        let news = had.map(|had| shortage.note(had));
        let (begins, over) = (Some(News::Begins), Some(News::Over));
        assert_eq!(news, [None, begins, None, None, over, None, begins]);
    }

    #[test]
    fn the_end_may_come_just_when_the_watch_goes_to_sleep() {
        for step in 0..20 {
            let workers = Workers::start().unwrap();
            // Not waiting for anything: this is when it goes to sleep, more or less.
            let moment = TICK * QUIET + TICK * step / 5;
            let began = Instant::now();
            while began.elapsed() < moment {
                thread::sleep(TICK / 10);
            }
            drop(workers);
        }
    }
}
