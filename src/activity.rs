//! When somebody last did something here, and what is open still: what cullers of idle workspaces ask.
//!
//! Something done is a program asked for, or bytes from a client on a channel: typing, a copy, a request
//! through a forward. Keepalives and connections that are merely open are none. Asked for by polling, so
//! no right to write anything anywhere is needed.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde::Serialize;

/// The last time, in whole seconds: a byte stream must not cost more than a store.
#[derive(Debug)]
pub struct Activity(AtomicI64);

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
        Self(AtomicI64::new(Timestamp::now().as_second()))
    }
}

impl Activity {
    /// Somebody did something.
    pub fn touch(&self) {
        self.0
            .store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// As of now.
    pub fn report(&self, connections: i64, programs: usize) -> Report {
        let last = self.0.load(Ordering::Relaxed);
        let count = |number: i64, what: &str| {
            let plural = if number == 1 { "" } else { "s" };
            (number > 0).then(|| format!("{number} {what}{plural}"))
        };
        let reasons = [
            count(connections, "open connection"),
            count(programs as i64, "running program"),
        ];
        Report {
            last_activity: Timestamp::from_second(last).unwrap_or_default().to_string(),
            idle_seconds: (Timestamp::now().as_second() - last).max(0),
            connections,
            programs,
            kept_alive_by: reasons.into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_workspace_is_kept_alive_by_nothing() {
        let activity = Activity(AtomicI64::new(1_700_000_000));
        let report = activity.report(0, 0);
        assert_eq!(report.last_activity, "2023-11-14T22:13:20Z");
        assert!(report.idle_seconds > 0 && report.kept_alive_by.is_empty());
        activity.touch();
        let report = activity.report(1, 2);
        assert!(report.idle_seconds < 60);
        assert_eq!(
            report.kept_alive_by,
            ["1 open connection", "2 running programs"]
        );
    }
}
