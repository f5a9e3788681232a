//! How the run before this one ended. A run leaves a file in the home from its start on and says in
//! it when and why it ends; one that says nothing was cut off. Whether memory was the reason is told
//! by what the run had seen of it: the kernel's own account goes with the container.

use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::fs;

use super::home::STATE;

const FILE: &str = "run";

/// What a run says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Seconds since 1970.
    pub started: u64,
    /// Why it is stopping, once it is.
    pub stopping: Option<String>,
    /// When it ended in order, and its exit code.
    pub ended: Option<(u64, u8)>,
    /// Processes that were killed for lack of memory while it ran.
    pub memory_kills: u64,
    /// Whether memory was nearly used up when it was last looked at.
    pub memory_short: bool,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum LastEnd {
    /// This home has seen none, or cannot say.
    Unknown,
    /// In order.
    Ended {
        /// RFC 3339
        at: String,
        /// A signal, or the end of the main program.
        reason: String,
        /// Exit code
        code: u8,
    },
    /// Cut off.
    Cut {
        /// When it had started, RFC 3339
        started: String,
        /// Why it was stopping already.
        stopping: Option<String>,
        /// Whether it looks as if memory was the reason.
        memory: bool,
    },
}

impl fmt::Display for LastEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no earlier run is known"),
            Self::Ended { at, reason, code: 0 } => write!(f, "the last run ended at {at}: {reason}"),
            Self::Ended { at, reason, code } => {
                write!(f, "the last run ended at {at}: {reason}, exit code {code}")
            }
            Self::Cut { memory: true, .. } => {
                f.write_str("the last run was cut off, probably for lack of memory")
            }
            Self::Cut { stopping: Some(reason), .. } => {
                write!(f, "the last run was killed while it was stopping ({reason}): its grace time was too short")
            }
            Self::Cut { .. } => f.write_str(
                "the last run was cut off: killed, for lack of memory perhaps, or its machine was lost",
            ),
        }
    }
}

/// Where the file of `home` is.
pub fn path(home: &Path) -> PathBuf {
    home.join(STATE).join(FILE)
}

/// What the last run left.
pub fn read(path: &Path) -> LastEnd {
    std::fs::read_to_string(path).map_or(LastEnd::Unknown, |text| Run::parse(&text).judge())
}

impl Run {
    /// One that starts now.
    pub fn now() -> Self {
        Self {
            started: seconds(),
            ..Self::default()
        }
    }

    /// Say that it has ended.
    pub fn end(&mut self, code: u8) {
        self.ended = Some((seconds(), code));
    }

    /// Replace the file, whole or not at all.
    pub async fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, self.text()).await?;
        fs::rename(&new, path).await
    }

    fn text(&self) -> String {
        let mut text = format!("started={}\n", self.started);
        let mut line = |key: &str, value: &dyn fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}={value}");
        };
        if let Some(reason) = &self.stopping {
            line("stopping", &reason.replace('\n', " "));
        }
        if self.memory_kills > 0 {
            line("memory_kills", &self.memory_kills);
        }
        if self.memory_short {
            line("memory_short", &true);
        }
        if let Some((at, code)) = self.ended {
            line("ended", &at);
            line("code", &code);
        }
        text
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let number = |key: &str| value(key).and_then(|text| text.parse().ok());
        let code = value("code").and_then(|text| text.parse().ok());
        Self {
            started: number("started").unwrap_or(0),
            stopping: value("stopping").map(str::to_owned),
            ended: number("ended").zip(code),
            memory_kills: number("memory_kills").unwrap_or(0),
            memory_short: value("memory_short").is_some(),
        }
    }

    fn judge(self) -> LastEnd {
        match self.ended {
            Some((at, code)) => LastEnd::Ended {
                at: rfc3339(at),
                reason: self.stopping.unwrap_or_else(|| "unknown".to_owned()),
                code,
            },
            None => LastEnd::Cut {
                started: rfc3339(self.started),
                memory: self.memory_short || self.memory_kills > 0 && self.stopping.is_none(),
                stopping: self.stopping,
            },
        }
    }
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

fn rfc3339(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    humantime::format_rfc3339_seconds(time.unwrap_or(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(run: &Run) -> String {
        Run::parse(&run.text()).judge().to_string()
    }

    #[test]
    fn an_end_in_order_is_told_with_its_reason() {
        let mut run = Run {
            started: 1_700_000_000,
            stopping: Some("SIGTERM".into()),
            ..Run::default()
        };
        run.ended = Some((1_700_000_060, 0));
        assert_eq!(
            judged(&run),
            "the last run ended at 2023-11-14T22:14:20Z: SIGTERM"
        );
        run.ended = Some((1_700_000_060, 7));
        assert!(judged(&run).ends_with("SIGTERM, exit code 7"));
    }

    #[test]
    fn a_run_that_says_nothing_of_its_end_was_cut_off() {
        let mut run = Run::now();
        assert_eq!(Run::parse(&run.text()), run);
        assert!(judged(&run).contains("was cut off: killed"));
        run.stopping = Some("SIGTERM".into());
        assert!(judged(&run).contains("grace time was too short"));
        run.memory_short = true;
        assert!(judged(&run).contains("lack of memory"));
        run.stopping = None;
        run.memory_short = false;
        run.memory_kills = 1;
        assert!(judged(&run).contains("lack of memory"));
        assert_eq!(Run::parse(&run.text()), run);
    }

    #[test]
    fn a_damaged_file_is_a_run_that_was_cut_off_and_none_is_no_run() {
        assert!(matches!(Run::parse("\0\0").judge(), LastEnd::Cut { .. }));
        assert_eq!(read(Path::new("/nonexistent/run")), LastEnd::Unknown);
    }
}
