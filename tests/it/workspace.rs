//! A workspace whose home a test chooses, and whose daemon keeps everything where it always does: host
//! keys in the home, sockets elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::daemon::{binary, generate_key, user};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::said;

/// For root's runs: nobody else's, since one user's daemons share the directory of their sockets.
pub(crate) const UID: u32 = 54_323;
pub(crate) const GID: u32 = 100;

/// A home, and what its daemon is given from elsewhere.
pub(crate) struct Workspace {
    pub(crate) home: PathBuf,
    root: TempDir,
}

/// A running daemon and a client of its.
pub(crate) struct Served {
    pub(crate) daemon: Background,
    pub(crate) client: Client,
    /// Where it answers SSH, `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Workspace {
    /// Of an empty directory `home` that is the daemon's user's.
    #[track_caller]
    pub(crate) fn new(home: &Path) -> Self {
        let root = tempfile::Builder::new()
            .prefix("podssh-workspace-")
            .tempdir();
        let workspace = Self {
            home: home.to_owned(),
            root: root.expect("a temp dir"),
        };
        for directory in ["", "client", "run"] {
            let path = workspace.path(directory);
            fs::create_dir_all(&path).expect("a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        if geteuid().is_root() {
            chown(workspace.path("run"), Some(UID), Some(GID)).expect("root may chown");
        }
        let public = generate_key(&workspace.path("client/id"));
        fs::write(workspace.path("authorized_keys"), public).expect("authorized keys");
        workspace
    }

    /// A path outside the home; `client/` is the client's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a file into the skeleton that the home is given.
    #[track_caller]
    pub(crate) fn skeleton(&self, name: &str, text: &str, mode: u32) {
        let path = self.path("skeleton").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    /// Starts the daemon as the user whose home it is, and waits until it accepts.
    #[track_caller]
    pub(crate) fn serve(&self) -> Served {
        let mut command = Command::new(binary());
        if geteuid().is_root() {
            command.uid(UID).gid(GID);
        }
        self.start(&mut command, user())
    }

    /// The same by another `command`, which runs podssh with the arguments that it is given.
    #[track_caller]
    pub(crate) fn start(&self, command: &mut Command, user: &str) -> Served {
        let ready_file = self.path("run/ready");
        fs::remove_file(&ready_file).ok();
        let log = fs::File::create(self.path("log")).expect("a log");
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "none", "--log-format", "text"])
            .args(["--shell", "/bin/bash", "--user", user, "--home"])
            .arg(&self.home)
            .arg("--skel")
            .arg(self.path("skeleton"))
            .arg("--authorized-keys")
            .arg(self.path("authorized_keys"))
            .arg("--ready-file")
            .arg(&ready_file)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        let mut daemon = Background::start(command);
        let ready = eventually("the daemon writes its ready file", PATIENCE, || {
            assert!(daemon.is_running(), "{command:?}\n{}", self.log());
            fs::read_to_string(&ready_file).ok()
        });
        let address = ready.lines().find_map(|line| line.strip_prefix("listen="));
        let address = address.expect("listen=").to_owned();
        let (directory, identity) = (self.path("client"), self.path("client/id"));
        let client = Client::new(&directory, user, &address, &identity, &self.host_keys());
        Served {
            daemon,
            client,
            address,
        }
    }

    /// A copy of the host key that the home had first: no later one may differ.
    #[track_caller]
    fn host_keys(&self) -> PathBuf {
        let kept = self.path("client/host_keys");
        if !kept.exists() {
            let key = "ssh_host_ed25519_key";
            let text = self.as_user(&format!("cat .local/state/podssh/host_keys/{key}"));
            fs::create_dir(&kept).expect("a directory");
            fs::write(kept.join(key), text).expect("the host key");
            let secret = fs::Permissions::from_mode(0o600);
            fs::set_permissions(kept.join(key), secret).expect("chmod");
        }
        kept
    }

    /// What shell commands say that the workspace user runs in the home, beside podssh: root may be
    /// nobody there.
    #[track_caller]
    pub(crate) fn as_user(&self, script: &str) -> String {
        let script = format!("cd {} && {{ {script}\n}}", self.home.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).current_dir("/");
        if geteuid().is_root() {
            command.uid(UID).gid(GID);
        }
        said::ok(&run(&mut command, b"", PATIENCE))
    }

    /// Everything its daemon has logged since it was started last.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}
