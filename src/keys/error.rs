//! What is wrong with a key source, for the log and for `--check`: where, why, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of trouble a [`KeyError`] reports; its label is the metric's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyErrorKind {
    /// One line is skipped; the others of its file count.
    Line,
    /// The file or directory cannot be read; its last good content stays in force.
    Unreadable,
    /// Somebody else could have written the file; nothing in it counts.
    Untrusted,
    /// The source works, but edits to it will never arrive.
    NeverUpdates,
}

impl KeyErrorKind {
    /// Every kind, so that a metric says 0 for what is well.
    pub const ALL: [Self; 4] = [
        Self::Line,
        Self::Unreadable,
        Self::Untrusted,
        Self::NeverUpdates,
    ];

    /// The label used in metrics and structured logs.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Unreadable => "unreadable",
            Self::Untrusted => "untrusted",
            Self::NeverUpdates => "never-updates",
        }
    }
}

/// One problem of one source. Displays as `path:line: reason; fix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// The file or directory.
    pub path: PathBuf,
    /// The line, counted from 1, when the problem is one line's.
    pub line: Option<usize>,
    /// What kind of problem.
    pub kind: KeyErrorKind,
    /// Why it does not count.
    pub reason: String,
    /// What would cure it; empty when the reason says so already.
    pub fix: String,
}

impl KeyError {
    pub(super) fn new(path: &Path, kind: KeyErrorKind, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            kind,
            reason: reason.into(),
            fix: String::new(),
        }
    }

    pub(super) fn at_line(path: &Path, line: usize, reason: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::new(path, KeyErrorKind::Line, reason)
        }
    }

    pub(super) fn with_fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: fix.into(),
            ..self
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.reason)?;
        if !self.fix.is_empty() {
            write!(formatter, "; {}", self.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for KeyError {}
