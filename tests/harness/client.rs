//! OpenSSH's own programs, with a private configuration and the daemon's host key pinned.
//!
//! Nothing of the machine's user leaks in: no agent, no default identities, no `known_hosts`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::daemon::binary;
use super::process::{PATIENCE, run};

/// An ssh client whose host `workspace` is one daemon.
#[derive(Clone)]
pub(crate) struct Client {
    /// The file for `-F`.
    pub(crate) config: PathBuf,
    /// The pinned host keys, under the name `workspace`.
    pub(crate) known_hosts: PathBuf,
    /// The private key that may log in.
    pub(crate) identity: PathBuf,
    directory: PathBuf,
    user: String,
}

impl Client {
    /// A client of `user` that connects straight to `address` (`HOST:PORT`) and knows the keys in
    /// `host_keys`; its files go to `directory`.
    pub(crate) fn new(
        directory: &Path,
        user: &str,
        address: &str,
        identity: &Path,
        host_keys: &Path,
    ) -> Self {
        let known_hosts = directory.join("known_hosts");
        let mut command = Command::new(binary());
        command
            .args(["host-keys", "--host-keys"])
            .arg(host_keys)
            .arg("workspace");
        let output = run(&mut command, b"", PATIENCE);
        assert!(output.status.success(), "podssh host-keys: {output:?}");
        fs::write(&known_hosts, &output.stdout).expect("known_hosts");

        let (host, port) = address
            .rsplit_once(':')
            .expect("HOST:PORT in the ready file");
        let config = directory.join("ssh_config");
        let direct = format!("  HostName {host}\n  Port {port}\n");
        let client = Self {
            config,
            known_hosts,
            identity: identity.to_owned(),
            directory: directory.to_owned(),
            user: user.to_owned(),
        };
        client.write_config(&client.config, &direct);
        client
    }

    /// The same client with other `lines` (each indented, with a line end) to say how to connect.
    #[must_use]
    pub(crate) fn reaching(&self, name: &str, lines: &str) -> Self {
        let config = self.directory.join(format!("ssh_config_{name}"));
        self.write_config(&config, lines);
        Self {
            config,
            ..self.clone()
        }
    }

    fn write_config(&self, path: &Path, lines: &str) {
        let mut text = format!("Host workspace\n  User {}\n{lines}", self.user);
        writeln!(text, "  IdentityFile {}", self.identity.display()).expect("a String grows");
        writeln!(text, "  UserKnownHostsFile {}", self.known_hosts.display())
            .expect("a String grows");
        text.push_str(
            "  HostKeyAlias workspace\n  StrictHostKeyChecking yes\n  \
             GlobalKnownHostsFile /dev/null\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             BatchMode yes\n  ServerAliveInterval 0\n  ControlMaster no\n",
        );
        fs::write(path, text).expect("ssh_config");
    }

    /// `ssh`, `scp` or `sftp` with the configuration given and nothing else.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-F")
            .arg(&self.config)
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs `ssh workspace ARGS...` with an empty standard input.
    #[track_caller]
    pub(crate) fn ssh<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.ssh_with(args, b"")
    }

    /// Runs `ssh workspace ARGS...` with `stdin` as its standard input.
    #[track_caller]
    pub(crate) fn ssh_with<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        stdin: &[u8],
    ) -> Output {
        run(
            self.command("ssh").arg("workspace").args(args),
            stdin,
            PATIENCE,
        )
    }
}
