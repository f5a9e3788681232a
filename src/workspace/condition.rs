//! How the workspace is: what happened at its start and since, as the message of the day and
//! `podssh status` tell it, and the environment that start hooks have made. Cheap to clone.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::last_end::LastEnd;

/// An environment.
pub type Variables = Vec<(OsString, OsString)>;

/// For how long the end of the last run is news.
const NEWS: Duration = Duration::from_secs(24 * 3600);

/// How a start hook went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// Its turn has not come.
    Waiting,
    /// It runs.
    Running,
    /// Exit code 0
    Succeeded,
    /// Another exit code
    Failed(i32),
    /// Ended by this signal.
    Killed(i32),
    /// Ended for taking too long.
    TimedOut,
    /// Could not be run, or not to its end, for this reason.
    NotRun(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting"),
            Self::Running => f.write_str("running"),
            Self::Succeeded => f.write_str("succeeded"),
            Self::Failed(code) => write!(f, "failed with exit code {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("took too long and was ended (--hook-timeout)"),
            Self::NotRun(reason) => f.write_str(reason),
        }
    }
}

/// A start hook and how it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// Its file.
    pub path: String,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it took, once it has ended.
    pub seconds: f64,
}

impl HookReport {
    /// Of one that has not run yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.display().to_string(),
            outcome: Outcome::Waiting,
            seconds: 0.0,
        }
    }
}

/// How the workspace is.
#[derive(Clone, Debug)]
pub struct Condition(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    last_end: LastEnd,
    home_faults: Vec<String>,
    changing: Mutex<Changing>,
    settled: watch::Sender<bool>,
}

#[derive(Debug)]
struct Changing {
    environment: Arc<Variables>,
    hooks: Vec<HookReport>,
    memory_kills: u64,
}

impl Condition {
    /// At the start. `environment` is the daemon's own.
    pub fn new(environment: Variables, last_end: LastEnd, home_faults: Vec<String>) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            last_end,
            home_faults,
            changing: Mutex::new(Changing {
                environment: Arc::new(environment),
                hooks: Vec::new(),
                memory_kills: 0,
            }),
            settled: watch::channel(false).0,
        }))
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.0
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What later hooks, the side process and sessions inherit.
    pub fn environment(&self) -> Arc<Variables> {
        Arc::clone(&self.changing().environment)
    }

    /// Replace it.
    pub fn set_environment(&self, environment: Variables) {
        self.changing().environment = Arc::new(environment);
    }

    /// The hooks there are.
    pub fn expect_hooks(&self, hooks: Vec<HookReport>) {
        self.changing().hooks = hooks;
    }

    /// How one of them, by its place, goes or went.
    pub fn report_hook(&self, index: usize, outcome: Outcome, took: Duration) {
        if let Some(report) = self.changing().hooks.get_mut(index) {
            report.outcome = outcome;
            report.seconds = took.as_secs_f64();
        }
    }

    /// No hook will run any more.
    pub fn settle(&self) {
        self.0.settled.send_replace(true);
    }

    /// Wait until no hook runs any more, but not longer than `patience`.
    pub async fn settled(&self, patience: Duration) {
        let mut settled = self.0.settled.subscribe();
        // The sender is ours, so only time can end the wait early.
        let _ = tokio::time::timeout(patience, settled.wait_for(|settled| *settled)).await;
    }

    /// Processes killed for lack of memory since the start.
    pub fn report_memory_kills(&self, kills: u64) {
        self.changing().memory_kills = kills;
    }

    /// How many there were.
    pub fn memory_kills(&self) -> u64 {
        self.changing().memory_kills
    }

    /// The start hooks and how they went.
    pub fn hooks(&self) -> Vec<HookReport> {
        self.changing().hooks.clone()
    }

    /// How the run before this one ended.
    pub fn last_end(&self) -> &LastEnd {
        &self.0.last_end
    }

    /// What is wrong with the home.
    pub fn home_faults(&self) -> &[String] {
        &self.0.home_faults
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// What somebody who logs in should know, a line each.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.0.home_faults.clone();
        if self.0.last_end != LastEnd::Unknown && self.uptime() < NEWS {
            notices.push(self.0.last_end.to_string());
        }
        let changing = self.changing();
        if changing.memory_kills > 0 {
            notices.push(format!(
                "processes killed here for lack of memory since the start: {}",
                changing.memory_kills
            ));
        }
        for hook in &changing.hooks {
            if !matches!(hook.outcome, Outcome::Succeeded) {
                notices.push(format!("start hook {}: {}", hook.path, hook.outcome));
            }
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_where_all_is_well_has_nothing_to_tell() {
        let condition = Condition::new(Variables::new(), LastEnd::Unknown, Vec::new());
        condition.expect_hooks(vec![HookReport::new(Path::new("/etc/podssh/init.d/10"))]);
        condition.report_hook(0, Outcome::Succeeded, Duration::from_secs(1));
        condition.settle();
        assert_eq!(condition.notices(), [""; 0]);
    }

    #[test]
    fn what_went_wrong_is_told_a_line_each() {
        let end = LastEnd::Cut {
            started: String::new(),
            stopping: None,
            memory: true,
        };
        let condition = Condition::new(Variables::new(), end, vec!["home".into()]);
        condition.expect_hooks(vec![
            HookReport::new(Path::new("/a")),
            HookReport::new(Path::new("/b")),
        ]);
        condition.report_hook(0, Outcome::Failed(3), Duration::from_secs(1));
        condition.report_memory_kills(2);
        let notices = condition.notices();
        assert_eq!(notices.len(), 5, "{notices:?}");
        assert_eq!(notices[3], "start hook /a: failed with exit code 3");
        assert_eq!(notices[4], "start hook /b: waiting");
    }
}
