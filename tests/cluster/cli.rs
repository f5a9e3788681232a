//! podssh's commands that act on a cluster, run against a control plane from a home of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::control_plane::{ControlPlane, PATIENCE};
use crate::harness::daemon::binary;
use crate::harness::process::run;

/// A user of a cluster: a home with a key, and a kubeconfig.
pub(crate) struct Cli {
    home: TempDir,
    kubeconfig: PathBuf,
}

impl Cli {
    /// The administrator.
    #[track_caller]
    pub(crate) fn of(plane: &ControlPlane) -> Self {
        Self::with(&plane.kubeconfig)
    }

    /// Whoever the kubeconfig is of.
    #[track_caller]
    pub(crate) fn with(kubeconfig: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temp dir");
        let ssh = home.path().join(".ssh");
        fs::create_dir(&ssh).expect("~/.ssh");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f"]);
        let output = run(keygen.arg(ssh.join("id_ed25519")), b"", PATIENCE);
        assert!(output.status.success(), "{output:?}");
        Self {
            home,
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Its home directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A public key file of somebody else.
    #[track_caller]
    pub(crate) fn key_of(&self, person: &str) -> String {
        let private = self.home.path().join(person);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", person, "-f"]);
        let output = run(keygen.arg(&private), b"", PATIENCE);
        assert!(output.status.success(), "{output:?}");
        format!("{person}={}.pub", private.display())
    }

    /// A podssh command, to be run or started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("USER", "me")
            .env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Its output, when it has ended.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments), b"", PATIENCE)
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podssh {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The one sentence of a command that must fail, and its exit code.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> (String, i32) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "podssh {arguments:?} succeeded");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        let lines: Vec<_> = stderr
            .lines()
            .filter(|line| line.starts_with("podssh: "))
            .collect();
        assert_eq!(lines.len(), 1, "podssh {arguments:?}: {stderr}");
        (
            lines[0].to_owned(),
            output.status.code().expect("an exit code"),
        )
    }
}
