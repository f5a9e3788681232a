//! This run, as the next one will read it, kept up to date while it lasts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::condition::Condition;
use super::last_end::{self, Run};
use super::memory::Memory;
use crate::shutdown::Tasks;

/// How often the container's memory is looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// What a write may take: the home may be on a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The record of this run.
#[derive(Debug)]
pub struct Life {
    path: PathBuf,
    run: Mutex<Run>,
}

impl Life {
    /// Of a run that begins, in `home`.
    pub fn new(home: &Path) -> Self {
        Self {
            path: last_end::path(home),
            run: Mutex::new(Run::now()),
        }
    }

    /// Change the record and write it. A home that takes no file has been reported already.
    pub async fn record(&self, change: impl FnOnce(&mut Run)) {
        let mut run = self.run.lock().await;
        change(&mut run);
        let written = tokio::time::timeout(PATIENCE, run.write(&self.path)).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(path = %self.path.display(), %error, "run not recorded");
        }
    }

    /// Follow the memory until the daemon stops, so that a sudden end can be explained.
    pub async fn watch_memory(self: Arc<Self>, memory: Memory, condition: Condition, tasks: Tasks) {
        let before = memory.kills();
        loop {
            let kills = memory
                .kills()
                .zip(before)
                .map_or(0, |(now, before)| now.saturating_sub(before));
            let short = memory.is_short();
            if kills > condition.memory_kills() {
                tracing::warn!(kills, "processes were killed for lack of memory");
                condition.report_memory_kills(kills);
            }
            let known = {
                let run = self.run.lock().await;
                (run.memory_kills, run.memory_short)
            };
            if known != (kills, short) {
                self.record(|run| (run.memory_kills, run.memory_short) = (kills, short))
                    .await;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = tasks.stopping() => return,
            }
        }
    }
}
