//! A pod as the kubelet makes it, without the kubelet: directories that stand for volumes, mounted
//! in a mount namespace of the daemon's own, and a daemon that can be killed and started again.
//!
//! Root is needed for that, as in a container that runs the tests.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::{Uid, User, geteuid};
use tempfile::TempDir;

use crate::harness::daemon::{binary, generate_key, user};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::running::Running;

/// The `fsGroup` of every pod here; the daemon is a member.
pub(crate) const FS_GROUP: u32 = 4321;
const GROUP: u32 = 100;

/// What stays when the daemon goes.
pub(crate) struct Pod {
    root: TempDir,
    /// Lines of a shell script that mounts the volumes.
    mounts: String,
    args: Vec<OsString>,
}

impl Pod {
    /// An empty home, no keys, no flags but those that make it answer on loopback.
    #[track_caller]
    pub(crate) fn new() -> Self {
        assert!(
            geteuid().is_root(),
            "these tests mount volumes: run them as root"
        );
        let root = tempfile::Builder::new()
            .prefix("podssh-pod-")
            .tempdir()
            .unwrap();
        let pod = Self {
            root,
            mounts: String::new(),
            args: Vec::new(),
        };
        for (name, mode) in [
            ("", 0o755),
            ("home", 0o750),
            ("run", 0o755),
            ("people", 0o700),
        ] {
            fs::create_dir_all(pod.path(name)).unwrap();
            set_mode(&pod.path(name), mode);
        }
        pod.give("home");
        pod.give("run");
        pod
    }

    /// A pod with these people's keys in a Secret at `authorized_keys`, one data key each.
    #[track_caller]
    pub(crate) fn with(people: &[&str]) -> Self {
        let mut pod = Self::new();
        let lines: Vec<String> = people.iter().map(|person| pod.line(person)).collect();
        let secret = people.iter().zip(&lines);
        let secret: Vec<(&str, &str)> = secret.map(|(name, line)| (*name, line.as_str())).collect();
        pod.secret("authorized_keys", &secret);
        let keys = pod.path("authorized_keys");
        pod.args([OsStr::new("--authorized-keys"), keys.as_os_str()]);
        pod
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Adds flags.
    pub(crate) fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }

    /// The kubelet's atomic writer at the directory `name`.
    pub(crate) fn secret(&self, name: &str, files: &[(&str, &str)]) {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (*name, text.as_bytes()))
            .collect();
        crate::harness::daemon::write_secret(&self.path(name), &files);
    }

    /// Shows what is at `from` at `at`, read-only, in the mount namespace of the daemon.
    pub(crate) fn mount(&mut self, from: &Path, at: &Path) {
        let (from, at) = (from.display(), at.display());
        writeln!(
            self.mounts,
            "mount --bind '{from}' '{at}' && mount -o remount,bind,ro '{at}' || exit 99"
        )
        .unwrap();
    }

    /// The same with what is mounted below it.
    pub(crate) fn mount_all(&mut self, from: &Path, at: &Path) {
        let (from, at) = (from.display(), at.display());
        writeln!(self.mounts, "mount --rbind '{from}' '{at}' || exit 99").unwrap();
    }

    /// Hands a directory and what is in it to the daemon's user.
    pub(crate) fn give(&self, name: &str) {
        let path = self.path(name);
        chown(&path, Some(uid()), Some(GROUP)).unwrap();
        for entry in fs::read_dir(&path).into_iter().flatten() {
            let below = entry.unwrap().file_name().into_string().unwrap();
            self.give(&format!("{name}/{below}"));
        }
    }

    /// The private key of a person, made when first asked for.
    pub(crate) fn person(&self, name: &str) -> PathBuf {
        let path = self.path("people").join(name);
        if !path.exists() {
            generate_key(&path);
        }
        path
    }

    /// The public line of a person.
    pub(crate) fn line(&self, name: &str) -> String {
        let public = self.person(name).with_extension("pub");
        fs::read_to_string(public).unwrap().trim_end().to_owned()
    }

    /// `ssh-keygen` among the people's keys; its output.
    #[track_caller]
    pub(crate) fn keygen(&self, args: &[&str]) -> String {
        let output = run(
            Command::new("ssh-keygen")
                .args(args)
                .current_dir(self.path("people")),
            b"",
            PATIENCE,
        );
        assert!(output.status.success(), "ssh-keygen {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has `ca` sign the key of `name` for our user with `more`; leaves `people/NAME-cert.pub`.
    #[track_caller]
    pub(crate) fn sign(&self, ca: &str, name: &str, more: &[&str]) {
        self.person(ca);
        self.person(name);
        let mut args = vec!["-q", "-s", ca, "-I", name];
        if !more.contains(&"-n") {
            args.extend(["-n", user()]);
        }
        let file = format!("{name}.pub");
        args.extend(more);
        args.push(&file);
        self.keygen(&args);
    }

    /// `podssh ARGS...` as the workspace user, in the pod's mounts.
    pub(crate) fn podssh<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("unshare");
        let uid = uid();
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(format!(
                "{}exec setpriv --reuid={uid} --regid={GROUP} --groups={FS_GROUP} \"$@\"",
                self.mounts
            ))
            .arg("sh")
            .arg(binary())
            .args(args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.path("home"))
            .env("PODSSH_SKEL", "none") // this machine's own would fill the home
            .current_dir("/");
        command
    }

    fn serve(&self) -> Command {
        let mut command = self.podssh([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command
            .args([
                "--user",
                user(),
                "--shell",
                "/bin/bash",
                "--log-format",
                "text",
            ])
            .args(["--log-level", "debug", "--home"])
            .arg(self.path("home"))
            .arg("--ready-file")
            .arg(self.path("run/ready"))
            .arg("--control")
            .arg(self.path("run/control.sock"))
            .args(&self.args);
        command
    }

    /// Starts the daemon and waits until it accepts.
    #[track_caller]
    pub(crate) fn start(&self) -> Running {
        let ready_file = self.path("run/ready");
        let _ = fs::remove_file(&ready_file);
        let log = self.path("log");
        let output = fs::File::create(&log).unwrap();
        let mut command = self.serve();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let mut child = command.spawn().expect("unshare is installed (util-linux)");
        let ready = eventually("the daemon writes its ready file", PATIENCE, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "the daemon ended at start ({status}):\n{}",
                    fs::read_to_string(&log).unwrap()
                );
            }
            fs::read_to_string(&ready_file).ok()
        });
        let value = |key: &str| {
            let line = ready
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap().to_owned()
        };
        let (listen, admin) = (value("listen"), value("admin"));
        let port = listen.rsplit_once(':').unwrap().1.to_owned();
        Running::new(child, port, admin, log)
    }

    /// Starts a daemon that is expected to refuse; exit code and what it said.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = run(&mut self.serve(), b"", PATIENCE);
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

/// A uid without a passwd entry, as clusters assign them; it can be served under any name.
pub(crate) fn uid() -> u32 {
    let known = |uid: u32| User::from_uid(Uid::from_raw(uid)).ok().flatten().is_some();
    (1000..60_000).find(|uid| !known(*uid)).unwrap()
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
