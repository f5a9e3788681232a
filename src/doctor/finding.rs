//! One thing that was looked at, and how it was found.

use std::fmt::Display;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Something works less well, or not at all for some.
    Warning,
    /// Logging in, the home, or every editor's server fails.
    Fault,
}

impl Severity {
    /// The word in the table and in JSON.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check: `family.thing`, the same in every version.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do; empty when all is well.
    pub fix: String,
}

impl Finding {
    /// Nothing to do.
    pub fn ok(check: &'static str, found: impl Display) -> Self {
        Self::new(check, Severity::Ok, found, "")
    }

    /// Works less well, or not for some.
    pub fn warning(check: &'static str, found: impl Display, fix: impl Display) -> Self {
        Self::new(check, Severity::Warning, found, fix)
    }

    /// Must be cured.
    pub fn fault(check: &'static str, found: impl Display, fix: impl Display) -> Self {
        Self::new(check, Severity::Fault, found, fix)
    }

    fn new(
        check: &'static str,
        severity: Severity,
        found: impl Display,
        fix: impl Display,
    ) -> Self {
        Self {
            check,
            severity,
            found: found.to_string(),
            fix: fix.to_string(),
        }
    }
}
