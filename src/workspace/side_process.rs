//! The image's own main program, say a notebook server: started once the start hooks are through,
//! told to stop with the daemon; when it ends by itself, the daemon drains and exits with its code.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::condition::Variables;
use super::reaper::{Ended, Reaper, Started};
use super::spawn::{Standard, spawn};

/// What its group has to end after SIGTERM before SIGKILL.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where it is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// There is none.
    None,
    /// It waits for the start hooks.
    Waiting,
    /// It runs.
    Running {
        /// Process id, and its process group's
        pid: i32,
    },
    /// It has ended.
    Ended {
        /// Exit code; 128 and the number for a signal, as a shell says it
        code: u8,
    },
    /// It never ran.
    NotStarted {
        /// Why not
        reason: String,
    },
}

/// The side process, if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SideProcess {
    command: Arc<[OsString]>,
    state: Arc<watch::Sender<State>>,
}

impl SideProcess {
    /// Of an empty command there is none.
    pub fn new(command: &[OsString]) -> Self {
        let state = if command.is_empty() {
            State::None
        } else {
            State::Waiting
        };
        Self {
            command: command.into(),
            state: Arc::new(watch::channel(state).0),
        }
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Its command, in one line.
    pub fn command(&self) -> String {
        let words = self.command.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Start it with this environment and the daemon's streams, and see it to its end.
    pub async fn run(&self, environment: &Variables, reaper: &Reaper) {
        let Some(program) = self.command.first() else {
            return;
        };
        if self.state() != State::Waiting {
            return;
        }
        let started = match self.start(program, environment, reaper) {
            Ok(started) => started,
            Err(error) => {
                let program = program.to_string_lossy();
                let reason = format!(
                    "cannot start {program:?}, the command after --: {error}; correct the image's CMD"
                );
                self.state.send_replace(State::NotStarted { reason });
                return;
            }
        };
        let pid = started.pid.as_raw();
        tracing::info!(pid, "side process started");
        self.state.send_replace(State::Running { pid });
        let code = match started.ended.await {
            Ok(Ended::Exited(code)) => code as u8,
            Ok(Ended::Killed { signal, .. }) => 128u8.saturating_add(signal as u8),
            // The reaper goes away only with the whole daemon.
            Err(_) => 0,
        };
        tracing::info!(code, "side process ended");
        self.state.send_replace(State::Ended { code });
    }

    fn start(
        &self,
        program: &OsStr,
        variables: &Variables,
        reaper: &Reaper,
    ) -> io::Result<Started> {
        let path = variables.iter().find(|(name, _)| name == "PATH");
        let file = find(program, path.map(|(_, value)| value.as_os_str()));
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let (words, variables) = (self.command.to_vec(), variables.clone());
        reaper.start(|| {
            spawn(
                &file,
                words,
                variables,
                Path::new("."),
                Standard::Each(streams),
            )
        })
    }

    /// Resolves when it will not run any more; never where there is none.
    pub async fn over(&self) -> State {
        let over = |state: &State| matches!(state, State::Ended { .. } | State::NotStarted { .. });
        let mut states = self.state.subscribe();
        // The sender is ours, so waiting cannot fail.
        states
            .wait_for(over)
            .await
            .map_or(State::None, |state| state.clone())
    }

    /// Pass a signal on.
    pub fn signal(&self, signal: Signal) {
        if let State::Running { pid } = self.state() {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Ask it to stop and wait; its exit code, or 0 for one that the signal ended, as asked, and for
    /// none.
    pub async fn stop(&self, signal: Signal) -> u8 {
        match self.state() {
            State::None | State::NotStarted { .. } => return 0,
            State::Waiting => {
                let reason = "the workspace stopped first".to_owned();
                self.state.send_replace(State::NotStarted { reason });
                return 0;
            }
            State::Ended { code } => return code,
            State::Running { .. } => self.signal(signal),
        }
        match self.over().await {
            State::Ended { code } if code != 128 + signal as u8 => code,
            _ => 0,
        }
    }

    /// End it and what it started, whatever they say.
    pub async fn end(&self) {
        let State::Running { pid } = self.state() else {
            return;
        };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // It may have ended just now.
            let _ = killpg(Pid::from_raw(pid), signal);
            if tokio::time::timeout(LAST_WORDS, self.over()).await.is_ok() {
                return;
            }
        }
    }
}

/// Where a program is that is called by this name.
fn find(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let mut files = std::env::split_paths(path?).map(|directory| directory.join(name));
    files.find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}
