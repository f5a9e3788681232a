//! Child processes: every start and every end passes here.
//!
//! As PID 1 the daemon inherits orphans and must reap them without stealing the exit status of its
//! own children. So one place waits for all of them, and a start happens under the same lock: a
//! child cannot be reaped between its birth and its entry in the table.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code, 0 to 255.
    Exited(i32),
    /// A signal, by its number, ended it; `core` when a core was dumped.
    Killed {
        /// Signal number
        signal: i32,
        /// Whether a core was dumped
        core: bool,
    },
}

impl Ended {
    /// `None` for a process that merely stopped or went on.
    fn from_status(status: WaitStatus) -> Option<Self> {
        // The core flag is bit 7 of a wait status (wait(2), WCOREDUMP).
        let core = status.as_raw() & 0x80 != 0;
        let killed = status
            .terminating_signal()
            .map(|signal| Self::Killed { signal, core });
        status.exit_status().map(Self::Exited).or(killed)
    }
}

type Table = HashMap<i32, oneshot::Sender<Ended>>;

/// Starts processes and reports their ends. Cheap to clone; one for the whole process.
#[derive(Clone, Debug, Default)]
pub struct Reaper {
    children: Arc<Mutex<Table>>,
}

/// A started process: its id, which is its process group's too, and its end.
#[derive(Debug)]
pub struct Started {
    /// Process id.
    pub pid: Pid,
    /// Resolves when it has ended.
    pub ended: oneshot::Receiver<Ended>,
}

/// How much likelier a program is to be killed for lack of memory than the daemon, in thousandths
/// of the memory there is.
const WORSE: i32 = 100;
/// The kernel's largest.
const WORST: i32 = 1000;

/// The OOM score of programs: when memory runs out, one of them goes before the daemon, which can then
/// say what happened. `None` where the kernel does not tell ours.
pub fn program_score() -> Option<&'static str> {
    static SCORE: LazyLock<Option<String>> = LazyLock::new(|| {
        let own = fs::read_to_string("/proc/self/oom_score_adj").ok()?;
        let own: i32 = own.trim().parse().ok()?;
        Some((own + WORSE).min(WORST).to_string())
    });
    SCORE.as_deref()
}

impl Reaper {
    /// Start a process: `start` forks and returns its id.
    ///
    /// Only one runs at a time, and never beside a wait. A start that fails may have forked a child
    /// and waited for it by itself, which a wait beside it would break.
    pub fn start<E>(&self, start: impl FnOnce() -> Result<u32, E>) -> Result<Started, E> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = start()? as i32;
        let (sender, ended) = oneshot::channel();
        children.insert(pid, sender);
        Ok(Started {
            pid: Pid::from_raw(pid),
            ended,
        })
    }

    /// How many started processes have not ended.
    pub fn running(&self) -> usize {
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Do something that no start may come between.
    pub fn exclusively<T>(&self, work: impl FnOnce() -> T) -> T {
        let _children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Reap for ever. Run it once, before anything is started.
    pub async fn run(self) -> io::Result<()> {
        let mut ends = signal(SignalKind::child())?;
        loop {
            self.reap();
            if ends.recv().await.is_none() {
                return Ok(());
            }
        }
    }

    /// Collect every process that has ended: ours are reported, orphans are forgotten.
    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (pid, status) = match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(end)) => end,
                Err(rustix::io::Errno::INTR) => continue,
                Ok(None) | Err(_) => return,
            };
            let Some(ended) = Ended::from_status(status) else {
                continue;
            };
            let pid = Pid::from_raw(pid.as_raw_nonzero().get());
            if let Some(waiting) = children.remove(&pid.as_raw()) {
                // Nobody waits for a session that is gone.
                let _ = waiting.send(ended);
            }
        }
    }
}
