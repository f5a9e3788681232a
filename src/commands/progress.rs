//! How a wait looks: a spinner with the stage and the cluster's reason on a terminal, a line for each news
//! anywhere else. On standard error; standard output is for results.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::Stage;

const TICK: Duration = Duration::from_millis(120);

/// A wait in progress; it vanishes from the terminal when dropped.
pub(super) struct Progress {
    spinner: Option<ProgressBar>,
    last: Option<String>,
    subject: String,
}

impl Progress {
    /// Of `subject`, as `workspace svc-a`.
    pub(super) fn of(subject: String) -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(TICK);
            spinner
        });
        Self {
            spinner,
            last: None,
            subject,
        }
    }

    /// It has come this far.
    pub(super) fn stage(&mut self, stage: &Stage) {
        let reason = stage.reason.as_ref().map(|reason| format!(": {reason}"));
        self.say(&format!(
            "{}{}",
            stage.doing.as_words(),
            reason.unwrap_or_default()
        ));
    }

    /// In other words.
    pub(super) fn say(&mut self, words: &str) {
        let line = format!("{}: {words}", self.subject);
        if self.last.as_ref() == Some(&line) {
            return;
        }
        match &self.spinner {
            Some(spinner) => spinner.set_message(line.clone()),
            // Nobody is left to tell if standard error is closed.
            None => drop(writeln!(std::io::stderr().lock(), "{line}")),
        }
        self.last = Some(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
