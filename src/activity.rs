//! When somebody last did something here, and what is open still: what cullers of idle workspaces ask.
//!
//! Something done is a program asked for, or bytes from a client on a channel: typing, a copy, a request
//! through a forward. Keepalives and connections that are merely open are none. Asked for by polling, so
//! no right to write anything anywhere is needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

/// The last time, on a clock that does not jump: who sets the wall clock forward must not have a
/// workspace taken for idle.
#[derive(Debug)]
pub struct Activity {
    start: Instant,
    /// Whole seconds after the start: a byte stream must not cost more than a store.
    last: AtomicU64,
}

/// What `/activity` answers.
#[derive(Debug, Serialize)]
pub struct Report {
    /// RFC 3339, UTC; the start of the daemon where nobody has done anything yet.
    pub last_activity: String,
    /// Seconds since then.
    pub idle_seconds: i64,
    /// Connections open.
    pub connections: i64,
    /// Programs of sessions running, and the side process.
    pub programs: usize,
    /// What speaks against stopping the workspace, in words; empty: nothing does but the last activity.
    pub kept_alive_by: Vec<String>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
        }
    }
}

impl Activity {
    /// Somebody did something.
    pub fn touch(&self) {
        self.last
            .store(self.start.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// As of now.
    pub fn report(&self, connections: i64, programs: usize) -> Report {
        let last = Duration::from_secs(self.last.load(Ordering::Relaxed));
        let idle = self.start.elapsed().saturating_sub(last).as_secs() as i64;
        let count = |number: i64, what: &str| {
            let plural = if number == 1 { "" } else { "s" };
            (number > 0).then(|| format!("{number} {what}{plural}"))
        };
        let reasons = [
            count(connections, "open connection"),
            count(programs as i64, "running program"),
        ];
        Report {
            last_activity: seconds_before(Timestamp::now(), idle).to_string(),
            idle_seconds: idle,
            connections,
            programs,
            kept_alive_by: reasons.into_iter().flatten().collect(),
        }
    }
}

/// In whole seconds.
fn seconds_before(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(now.as_second().saturating_sub(seconds)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_workspace_is_kept_alive_by_nothing() {
        let hour = Duration::from_secs(3600);
        let activity = Activity {
            start: Instant::now().checked_sub(hour).unwrap(),
            last: AtomicU64::new(0),
        };
        let report = activity.report(0, 0);
        let last: Timestamp = report.last_activity.parse().unwrap();
        let since = Timestamp::now().as_second() - last.as_second();
        assert!((3600..3660).contains(&since), "{report:?}");
        assert!((3600..3660).contains(&report.idle_seconds), "{report:?}");
        assert!(report.kept_alive_by.is_empty());
        activity.touch();
        let report = activity.report(1, 2);
        assert!(report.idle_seconds < 60);
        assert_eq!(
            report.kept_alive_by,
            ["1 open connection", "2 running programs"]
        );
    }
}
