//! A daemon that runs in a pod, asked by stock clients, by its log and by its figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::daemon::user;
use crate::harness::http;
use crate::harness::process::{PATIENCE, eventually, run};

/// A daemon of a pod, killed on drop.
pub(crate) struct Running {
    pub(crate) port: String,
    pub(crate) admin: String,
    log: PathBuf,
    child: Child,
}

impl Running {
    pub(crate) fn new(child: Child, port: String, admin: String, log: PathBuf) -> Self {
        Self {
            port,
            admin,
            log,
            child,
        }
    }

    /// `ssh` as our user with this key and nothing else of the machine's; host keys are not checked.
    pub(crate) fn command(&self, key: &Path) -> Command {
        let mut command = self.unpinned(key);
        command.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        command
    }

    /// The same, with host keys left to the caller.
    pub(crate) fn unpinned(&self, key: &Path) -> Command {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "none", "-l", user(), "-p", &self.port])
            .args(["-o", "IdentitiesOnly=yes"])
            .args([
                "-o",
                "BatchMode=yes",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
            ])
            .arg("-i")
            .arg(key)
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs `ssh OPTIONS... 127.0.0.1 COMMAND`.
    #[track_caller]
    pub(crate) fn ssh(&self, key: &Path, options: &[&str], command: &str) -> Said {
        Said::of(self.command(key).args(options).args(["127.0.0.1", command]))
    }

    /// Whether the key logs in now.
    #[track_caller]
    pub(crate) fn admits(&self, key: &Path) -> bool {
        self.ssh(key, &[], "true").entered()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// One figure of /metrics.
    #[track_caller]
    pub(crate) fn figure(&self, name: &str) -> i64 {
        let (status, text) = http::get(&self.admin, "/metrics");
        assert_eq!(status, 200);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Waits for a figure of /metrics.
    #[track_caller]
    pub(crate) fn shows(&self, name: &str, value: i64) {
        eventually(&format!("{name} is {value}"), PATIENCE, || {
            (self.figure(name) == value).then_some(())
        });
    }

    /// Waits for words in the log.
    #[track_caller]
    pub(crate) fn logs(&self, words: &str) {
        eventually(&format!("the log says {words:?}"), PATIENCE, || {
            self.log().contains(words).then_some(())
        });
    }
}

#[expect(clippy::print_stderr, reason = "where the test runner shows it")]
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- daemon log ---\n{}--- end ---", self.log());
        }
    }
}

/// What a client printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = run(command, b"", PATIENCE);
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether it got in; anything but a clear yes or no is a failure of the test.
    #[track_caller]
    pub(crate) fn entered(&self) -> bool {
        let denied = self.err.contains("Permission denied");
        assert!(
            denied || self.code != Some(255),
            "neither in nor out: {self:?}"
        );
        !denied
    }
}
