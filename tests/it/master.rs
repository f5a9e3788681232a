//! One connection for many commands: OpenSSH's ControlMaster.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::process::{Background, PATIENCE, eventually, run};

/// A connection that is up; gone on drop.
pub(crate) struct Master {
    client: Client,
    process: Background,
    directory: TempDir,
}

impl Master {
    /// Connects, with further arguments of `ssh`.
    #[track_caller]
    pub(crate) fn connect(client: &Client, args: &[&str]) -> Self {
        Self::changed(client, |command| _ = command.args(args))
    }

    /// Connects by a command changed by `change`.
    #[track_caller]
    pub(crate) fn changed(client: &Client, change: impl FnOnce(&mut Command)) -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let mut command = client.command("ssh");
        command
            .args(["-M", "-N", "-S"])
            .arg(directory.path().join("control"));
        change(&mut command);
        command.arg("workspace").stdin(Stdio::null());
        let process = Background::start(&mut command);
        let mut master = Self {
            client: client.clone(),
            process,
            directory,
        };
        let socket = master.socket();
        eventually("the master connects", PATIENCE, || {
            assert!(master.process.is_running(), "the master ended: {command:?}");
            socket.exists().then_some(())
        });
        master
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// A program of OpenSSH over this connection.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.client.command(program);
        let mut option = std::ffi::OsString::from("ControlPath=");
        option.push(self.socket());
        command.arg("-o").arg(option);
        command
    }

    /// Runs one command over this connection.
    #[track_caller]
    pub(crate) fn ssh(&self, command: &str) -> Output {
        run(
            self.command("ssh").args(["workspace", command]),
            b"",
            PATIENCE,
        )
    }

    /// `ssh -O WHAT ARGS`.
    #[track_caller]
    pub(crate) fn control(&self, what: &str, args: &[&str]) -> Output {
        let mut command = self.command("ssh");
        command.args(["-O", what]).args(args).arg("workspace");
        run(&mut command, b"", PATIENCE)
    }

    /// Whether the connection still stands.
    pub(crate) fn is_up(&mut self) -> bool {
        self.process.is_running()
    }
}
