//! `podssh` with nothing but what a test says: for what the harness's daemon always gets right.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::daemon::{binary, generate_key, user};
use crate::harness::process::{Background, PATIENCE, eventually, run};

/// For root's runs: a uid that has no passwd entry, as in a cluster that assigns uids.
const UID: u32 = 54_321;
const GID: u32 = 100;

/// `podssh` without any environment but PATH; never as root.
pub(crate) fn podssh() -> Command {
    let mut command = as_root();
    if geteuid().is_root() {
        command.uid(UID).gid(GID);
    }
    command
}

/// `podssh` as whoever runs the tests.
pub(crate) fn as_root() -> Command {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/");
    command
}

/// Runs `podssh ARGS` to its end.
#[track_caller]
pub(crate) fn podssh_with(args: &[&str]) -> Output {
    run(podssh().args(args), b"", PATIENCE)
}

/// A directory with a home and a key that may log in, all of it the unprivileged user's.
pub(crate) struct Place {
    pub(crate) root: TempDir,
}

impl Place {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("podssh-bare-").tempdir();
        let root = root.expect("a temp dir");
        for (directory, mode) in [("", 0o755), ("home", 0o700), ("client", 0o700)] {
            let path = root.path().join(directory);
            fs::create_dir_all(&path).expect("a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        let place = Self { root };
        let public = generate_key(&place.identity());
        fs::write(place.keys(), public).expect("authorized keys");
        place.hand_over("home");
        place.hand_over("");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path("authorized_keys")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.path("client/id")
    }

    /// Gives a path to the user that the daemon runs as.
    pub(crate) fn hand_over(&self, name: &str) {
        if geteuid().is_root() {
            chown(self.path(name), Some(UID), Some(GID)).expect("root may chown");
        }
    }

    /// The flags every daemon needs here, but for its shell and home.
    pub(crate) fn flags(&self, command: &mut Command) {
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.args(["--log-level", "debug", "--log-format", "text"]);
        command.env("PODSSH_SKEL", "none"); // this machine's own would fill the home
        command.arg("--authorized-keys").arg(self.keys());
        command.arg("--host-keys").arg(self.path("host_keys"));
        command.arg("--control").arg(self.path("control.sock"));
        command.arg("--ready-file").arg(self.path("ready"));
    }

    /// Starts `command`, waits until it accepts, and yields it with a client of user `user`.
    #[track_caller]
    pub(crate) fn start(&self, command: &mut Command, user: &str) -> (Background, Client) {
        let log = fs::File::create(self.path("log")).expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        let mut daemon = Background::start(command);
        let ready = eventually("the daemon writes its ready file", PATIENCE, || {
            assert!(daemon.is_running(), "{command:?}\n{}", self.log());
            fs::read_to_string(self.path("ready")).ok()
        });
        let address = ready.lines().find_map(|line| line.strip_prefix("listen="));
        let client = Client::new(
            &self.path("client"),
            user,
            address.expect("listen="),
            &self.identity(),
            &self.path("host_keys"),
        );
        (daemon, client)
    }

    /// Starts the daemon as the unprivileged user with these further flags.
    #[track_caller]
    pub(crate) fn serve(&self, flags: &[&str]) -> (Background, Client) {
        let mut command = podssh();
        self.flags(&mut command);
        command.args(["--user", user()]).args(flags);
        self.start(&mut command, user())
    }

    /// A daemon whose user has a passwd entry, which the old `scp` asks for: who runs the tests, or
    /// nobody for root. Yields its home too.
    #[track_caller]
    pub(crate) fn serve_known(&self) -> (Background, Client, PathBuf) {
        let mut command = as_root();
        self.flags(&mut command);
        let home = self.path("known-home");
        fs::create_dir(&home).expect("a home");
        let user = if geteuid().is_root() {
            fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o777))
                .expect("chmod");
            "nobody"
        } else {
            user()
        };
        command.args(["--user", user, "--shell", "/bin/bash", "--home"]);
        let (daemon, client) = self.start(command.arg(&home), user);
        (daemon, client, home)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A path as an argument.
#[track_caller]
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
