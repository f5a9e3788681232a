//! A `podssh serve` of the test's own: private directories, private keys, free ports, gone on drop.
//!
//! Laid out as in a pod: keys come from a Secret-style directory whose files are links through
//! `..data`. The daemon never runs as root here: when the tests do, it gets a uid nobody else has.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, geteuid};
use tempfile::TempDir;

use super::client::Client;
use super::process::{PATIENCE, eventually};

/// Whom the daemon serves.
#[derive(Clone)]
struct Account {
    name: String,
    /// What the daemon is started as; `None` when that is who runs the tests.
    ids: Option<(u32, u32)>,
}

/// Whoever runs the tests; for root, jovyan with a uid that has no passwd entry and gid 100, as in a
/// cluster that assigns uids. A uid that has one could be served under its own name only.
fn account() -> &'static Account {
    static ACCOUNT: LazyLock<Account> = LazyLock::new(|| {
        let entry = |uid: Uid| User::from_uid(uid).ok().flatten();
        if !geteuid().is_root() {
            let name = entry(geteuid()).map_or("jovyan".to_owned(), |user| user.name);
            return Account { name, ids: None };
        }
        let free = (1000..60_000).find(|uid| entry(Uid::from_raw(*uid)).is_none());
        Account {
            name: "jovyan".to_owned(),
            ids: free.map(|uid| (uid, 100)),
        }
    });
    &ACCOUNT
}

/// The user name clients log in with.
pub(crate) fn user() -> &'static str {
    &account().name
}

/// What a test may change before the daemon starts.
pub(crate) struct Setup {
    root: TempDir,
    account: Account,
    shell: PathBuf,
    under: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Setup {
    /// Adds flags (or `--` and a command) after the harness's own.
    pub(crate) fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }

    /// Serves somebody with a passwd entry, for programs that ask for one (`scp -t`, `id -un`). Only
    /// root's runs need it.
    pub(crate) fn named(&mut self) {
        if self.account.ids.is_some() {
            let nobody = User::from_name("nobody").ok().flatten();
            let nobody = nobody.expect("a user nobody");
            self.account = Account {
                name: nobody.name,
                ids: Some((nobody.uid.as_raw(), nobody.gid.as_raw())),
            };
        }
    }

    /// Starts the daemon by a program that ends by executing what follows its own arguments.
    pub(crate) fn under<A: AsRef<OsStr>>(&mut self, program: impl IntoIterator<Item = A>) {
        let words = program.into_iter().map(|word| word.as_ref().to_owned());
        self.under = words.collect();
    }

    /// Makes another program than bash the login shell.
    pub(crate) fn shell(&mut self, program: impl Into<PathBuf>) {
        self.shell = program.into();
    }

    /// Sets one variable of the daemon's own environment, which is otherwise PATH, HOME and LANG.
    pub(crate) fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
    }

    /// The home directory sessions will see; files put here belong to the daemon's user once it starts.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The Secret-style directory of authorized keys.
    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.root.path().join("authorized_keys")
    }

    /// The private key of the one client that may log in.
    pub(crate) fn identity(&self) -> PathBuf {
        self.root.path().join("client/id_ed25519")
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    /// Where it answers SSH, `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Where it answers /livez, /readyz and /metrics, `127.0.0.1:PORT`.
    pub(crate) admin: String,
    /// An OpenSSH client set up to reach it as host `workspace`.
    pub(crate) client: Client,
    child: Child,
    root: TempDir,
}

impl Daemon {
    /// Starts a daemon on free loopback ports and waits until it accepts. `change` may add flags.
    #[track_caller]
    pub(crate) fn start(change: impl FnOnce(&mut Setup)) -> Self {
        let root = tempfile::Builder::new()
            .prefix("podssh-test-")
            .tempdir()
            .expect("a temp dir");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        for (name, mode) in [("home", 0o750), ("run", 0o755), ("client", 0o700)] {
            let directory = root.path().join(name);
            fs::create_dir(&directory).expect("a fresh directory");
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        let mut setup = Setup {
            root,
            account: account().clone(),
            shell: PathBuf::from("/bin/bash"),
            under: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
        };
        let public_key = generate_key(&setup.identity());
        write_secret(
            &setup.authorized_keys(),
            &[("tester", public_key.as_bytes())],
        );
        change(&mut setup);
        launch(setup)
    }

    /// Runs one command through ssh as `ssh workspace ARGS...`.
    #[track_caller]
    pub(crate) fn ssh<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.client.ssh(args)
    }

    /// The client configuration that names this daemon `workspace`.
    pub(crate) fn ssh_config_path(&self) -> PathBuf {
        self.client.config.clone()
    }

    /// The home directory of its sessions.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The Secret-style directory of authorized keys; change it with [`write_secret`].
    pub(crate) fn authorized_keys(&self) -> PathBuf {
        self.root.path().join("authorized_keys")
    }

    /// The directory of its host keys.
    pub(crate) fn host_keys(&self) -> PathBuf {
        self.root.path().join("run/host_keys")
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        read_log(self.root.path())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the daemon is our child");
    }

    /// Waits for it to end by itself and yields its exit code (`None`: killed by a signal).
    #[track_caller]
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<i32> {
        eventually("the daemon ends", patience, || {
            self.child.try_wait().expect("our child")
        })
        .code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!(
                "--- daemon log ---\n{}--- end of daemon log ---",
                self.log()
            );
        }
    }
}

#[track_caller]
fn launch(setup: Setup) -> Daemon {
    let root = setup.root.path();
    let home = root.join("home");
    let ready_file = root.join("run/ready");
    let log = fs::File::create(root.join("log")).expect("a log file");
    let mut words = setup.under.iter().map(OsString::as_os_str);
    let first = words.next().unwrap_or(binary().as_os_str());
    let mut command = Command::new(first);
    if !setup.under.is_empty() {
        command.args(words).arg(binary());
    }
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .args([
            "--user",
            &setup.account.name,
            "--log-format",
            "text",
            "--home",
        ])
        .arg(&home)
        .arg("--shell")
        .arg(&setup.shell)
        .arg("--authorized-keys")
        .arg(root.join("authorized_keys"))
        .arg("--host-keys")
        .arg(root.join("run/host_keys"))
        .arg("--control")
        .arg(root.join("run/control.sock"))
        .arg("--ready-file")
        .arg(&ready_file)
        .args(&setup.args)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LANG", "C.UTF-8")
        .env("HOME", &home)
        .env("PODSSH_LOG_LEVEL", "debug")
        .env("PODSSH_SKEL", "none") // this machine's own would fill the home
        .envs(setup.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&home)
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log);
    if let Some((uid, gid)) = setup.account.ids {
        own(&home, uid, gid);
        own(&root.join("run"), uid, gid);
        command.uid(uid).gid(gid); // and, as root, no supplementary group: std sees to it
    }
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));

    let ready = eventually("the daemon writes its ready file", PATIENCE, || {
        if let Some(status) = child.try_wait().expect("our child") {
            panic!(
                "the daemon ended at start ({status}): {command:?}\n{}",
                read_log(root)
            );
        }
        fs::read_to_string(&ready_file).ok()
    });
    let value = |key: &str| {
        let line = ready
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}= in the ready file:\n{ready}"))
            .to_owned()
    };
    let (address, admin) = (value("listen"), value("admin"));
    let client = Client::new(
        &root.join("client"),
        &setup.account.name,
        &address,
        &setup.identity(),
        &root.join("run/host_keys"),
    );
    Daemon {
        address,
        admin,
        client,
        child,
        root: setup.root,
    }
}

/// The binary under test, `PODSSH_BINARY` or else the one built with the tests, at a path that the
/// daemon's user can reach.
///
/// A clone below root's own home is out of reach for other users, so root's runs use a copy then.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<(PathBuf, Option<TempDir>)> = OnceLock::new();
    let (path, _copy) = BINARY.get_or_init(|| {
        let given = std::env::var_os("PODSSH_BINARY").map(PathBuf::from);
        let built = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_podssh")));
        let open_to_all = |directory: &Path| {
            fs::metadata(directory).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
        };
        if !geteuid().is_root() || built.ancestors().all(open_to_all) {
            return (built, None);
        }
        let directory = tempfile::tempdir().expect("a temp dir");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let copy = directory.path().join("podssh");
        fs::copy(&built, &copy).expect("a copy of the binary");
        (copy, Some(directory))
    });
    path
}

/// Makes an ed25519 key without a passphrase at `path` and yields its public line.
#[track_caller]
pub(crate) fn generate_key(path: &Path) -> String {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "tester@podssh", "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen is installed (scripts/install test)");
    assert!(status.success(), "ssh-keygen {}: {status}", path.display());
    fs::read_to_string(path.with_extension("pub")).expect("ssh-keygen wrote the public key")
}

/// Puts `files` into `directory` exactly as the kubelet does with a Secret: every name a link
/// through `..data`, which is swapped by one rename, so a reader sees the old set or the new one.
#[track_caller]
pub(crate) fn write_secret(directory: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(directory).expect("the Secret's directory");
    let version = tempfile::Builder::new()
        .prefix("..")
        .tempdir_in(directory)
        .expect("a version");
    let version = version.keep();
    fs::set_permissions(&version, fs::Permissions::from_mode(0o755)).expect("chmod");
    for (name, content) in files {
        fs::write(version.join(name), content).expect("a Secret's file");
    }
    let new = directory.join("..data_tmp");
    symlink(version.file_name().expect("a generated name"), &new).expect("..data_tmp");
    let old = fs::read_link(directory.join("..data")).ok();
    fs::rename(&new, directory.join("..data")).expect("the swap of ..data");
    for (name, _) in files {
        symlink(Path::new("..data").join(name), directory.join(name)).ok(); // may be there already
    }
    let stale = |name: &OsStr| {
        !name.as_encoded_bytes().starts_with(b"..") && !files.iter().any(|(kept, _)| name == *kept)
    };
    for entry in fs::read_dir(directory).expect("the Secret's directory") {
        let entry = entry.expect("an entry of the Secret's directory");
        if stale(&entry.file_name()) {
            fs::remove_file(entry.path()).expect("a stale link");
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(directory.join(old)).ok();
    }
}

/// Hands a directory and what is in it to the daemon's user.
fn own(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).expect("root may chown");
    for entry in fs::read_dir(path).expect("a directory of ours") {
        let entry = entry.expect("an entry of a directory of ours");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            own(&entry.path(), uid, gid);
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid)).expect("root may chown");
        }
    }
}

fn read_log(root: &Path) -> String {
    String::from_utf8_lossy(&fs::read(root.join("log")).unwrap_or_default()).into_owned()
}
