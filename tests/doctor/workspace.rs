//! A healthy workspace made of files, to be spoilt one thing at a time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::{getegid, geteuid};
use podssh::doctor::{Finding, Settings, Severity, Surroundings, Volume, examine};
use podssh::user::User;
use tempfile::TempDir;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0qLYhwhE7gyF8+wrbDi+a38aUJj6ij+Z4EVy3fmXvr alice\n";
/// What a container's own file system looks like in mountinfo.
const MOUNTS: &str = "1 0 0:1 / / rw,relatime - overlay overlay rw\n";

/// Files with nothing wrong, and what no file says.
pub(crate) struct Workspace {
    pub(crate) surroundings: Surroundings,
    root: TempDir,
}

impl Workspace {
    pub(crate) fn healthy() -> Self {
        let root = tempfile::tempdir().expect("a temp dir");
        let (mut uid, mut gid) = (geteuid(), getegid());
        if uid.is_root() {
            // Root may give files away, and then it is asked about somebody else.
            (uid, gid) = (4242.into(), 4242.into());
        }
        let user = User {
            name: "jovyan".to_owned(),
            uid,
            gid,
            home: "/home/jovyan".into(),
            shell: "/bin/bash".into(),
        };
        let mut surroundings = Surroundings::here(user, Settings::default());
        surroundings.root = PathBuf::from(root.path());
        surroundings.groups = vec![surroundings.user.gid.as_raw()];
        surroundings.path = vec!["/usr/local/bin".into(), "/bin".into()];
        surroundings.cpus = 4;
        surroundings.look_up = |_| Ok(());
        surroundings.volume = |_| {
            Ok(Volume {
                size: 20 << 30,
                free: 10 << 30,
                free_files: Some(1_000_000),
            })
        };
        let workspace = Self { surroundings, root };
        workspace.fill();
        workspace
    }

    fn fill(&self) {
        self.mode("/", 0o755);
        for directory in [
            "home/jovyan/.ssh",
            "etc/podssh/authorized_keys",
            "tmp",
            "run/podssh",
        ] {
            fs::create_dir_all(self.path(directory)).expect("a directory");
        }
        self.write("etc/podssh/authorized_keys/alice", KEY);
        self.write("home/jovyan/.ssh/authorized_keys", KEY);
        for program in ["bash", "curl", "git", "gzip", "ps", "tar"] {
            self.write(&format!("bin/{program}"), "");
            self.mode(&format!("bin/{program}"), 0o755);
        }
        self.write("usr/lib/libc.so.6", "\0GLIBC_2.2.5\0GLIBC_2.36\0");
        self.write("usr/lib/libstdc++.so.6", "\0GLIBCXX_3.4\0GLIBCXX_3.4.30\0");
        let x11 = "libXext.so.6 libXi.so.6 libXrender.so.1 libXtst.so.6";
        for library in x11
            .split(' ')
            .chain(["libfontconfig.so.1", "libfreetype.so.6"])
        {
            self.write(&format!("usr/lib/{library}"), "");
        }
        self.write(
            "etc/ssl/certs/ca-certificates.crt",
            "-----BEGIN CERTIFICATE-----\n",
        );
        self.write("etc/hosts", "127.0.0.1\tlocalhost\n");
        self.write(
            "etc/resolv.conf",
            "search ws.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        self.write("proc/sys/kernel/osrelease", "6.1.0-31-amd64\n");
        self.write("proc/sys/fs/inotify/max_user_watches", "524288\n");
        self.write("proc/sys/fs/inotify/max_user_instances", "8192\n");
        self.write(
            "proc/meminfo",
            "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
        );
        self.write("proc/self/cgroup", "0::/\n");
        self.write("proc/self/mountinfo", MOUNTS);
        self.write("sys/fs/cgroup/memory.max", "8589934592\n");
        self.write("sys/fs/cgroup/pids.max", "4096\n");
        self.write("sys/fs/cgroup/pids.current", "40\n");
        for (path, mode) in [
            ("home/jovyan", 0o755),
            ("home/jovyan/.ssh", 0o700),
            ("home/jovyan/.ssh/authorized_keys", 0o600),
        ] {
            self.mode(path, mode);
            self.own(path);
        }
        self.mode("tmp", 0o1777);
        self.mode("run/podssh", 0o1777);
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file of whoever runs the tests.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(&path, text).expect("a file");
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).expect("chmod");
    }

    /// Gives a path to the workspace's user.
    pub(crate) fn own(&self, path: &str) {
        let user = &self.surroundings.user;
        let ids = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        chown(self.path(path), ids.0, ids.1).expect("chown");
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.expect("it was there");
    }

    /// Says that one more file system is mounted.
    pub(crate) fn mount(&self, point: &str, shown: &str, options: &str) {
        let line = format!("2 1 0:2 {shown} {point} {options} - ext4 /dev/x rw\n");
        self.write("proc/self/mountinfo", &format!("{MOUNTS}{line}"));
    }
}

/// Everything that is not well with it.
pub(crate) fn complaints(workspace: &Workspace) -> Vec<Finding> {
    let findings = examine(&workspace.surroundings);
    let wrong = |finding: &Finding| finding.severity != Severity::Ok;
    findings.into_iter().filter(wrong).collect()
}

/// Spoils a healthy workspace: exactly this check must complain, with this severity, and say these
/// words in what it found and in its fix.
#[track_caller]
pub(crate) fn spoilt(
    spoil: impl FnOnce(&mut Workspace),
    check: &str,
    severity: Severity,
    found: &str,
    fix: &str,
) {
    let mut workspace = Workspace::healthy();
    spoil(&mut workspace);
    let complaints = complaints(&workspace);
    let [finding] = complaints.as_slice() else {
        panic!("not exactly one complaint, of {check}: {complaints:#?}");
    };
    assert_eq!(
        (finding.check, finding.severity),
        (check, severity),
        "{finding:#?}"
    );
    assert!(
        finding.found.contains(found),
        "{found:?} is not in {finding:#?}"
    );
    assert!(finding.fix.contains(fix), "{fix:?} is not in {finding:#?}");
    let root = workspace.root.path().to_str().expect("UTF-8");
    let said = format!("{} {}", finding.found, finding.fix);
    assert!(!said.contains(root), "names the machine's path: {said}");
}

#[test]
fn a_healthy_workspace_has_nothing_to_complain_of() {
    let workspace = Workspace::healthy();
    let complaints = complaints(&workspace);
    assert!(complaints.is_empty(), "{complaints:#?}");
    let findings = examine(&workspace.surroundings);
    assert!(findings.len() > 30, "{} checks", findings.len());
}

#[test]
fn looking_changes_nothing() {
    let workspace = Workspace::healthy();
    let listed = || {
        let mut paths = Vec::new();
        walk(workspace.root.path(), &mut paths);
        paths.sort();
        paths
    };
    let before = listed();
    examine(&workspace.surroundings);
    assert_eq!(listed(), before);
}

fn walk(directory: &Path, paths: &mut Vec<(PathBuf, SystemTime)>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        paths.push((path.clone(), modified.expect("a time")));
        if path.is_dir() {
            walk(&path, paths);
        }
    }
}
