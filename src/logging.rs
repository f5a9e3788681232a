//! The log: one line an outcome, on standard error. Never environment values or key material.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Start logging at `level`; text on a terminal and JSON elsewhere unless `format` says.
///
/// The SSH library's own lines are about the peer, not about us: warnings and up only.
pub fn start(format: Option<Format>, level: Level) {
    let default = if std::io::stderr().is_terminal() {
        Format::Text
    } else {
        Format::Json
    };
    let filter = EnvFilter::new(format!("{level},russh=warn,notify=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second call (a test in the same process) keeps the first logger.
    let _ = match format.unwrap_or(default) {
        Format::Text => builder.with_target(false).try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    };
}
