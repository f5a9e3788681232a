//! A home on sshfs, served by another podssh: no sockets, no hard links, no owner but one.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::remote_home;
use crate::workspace::{GID, UID, Workspace};

/// The home of another daemon's user, mounted here; gone on drop.
struct Mount {
    point: TempDir,
    _sshfs: Background,
}

impl Mount {
    #[track_caller]
    fn of(storage: &Daemon) -> Self {
        let point = tempfile::tempdir().expect("a temp dir");
        let mut sshfs = Command::new("sshfs");
        sshfs.args(["-f", "-o", "disable_hardlink", "-F"]);
        sshfs.arg(storage.ssh_config_path()).arg("workspace:");
        sshfs.arg(point.path()).stdin(Stdio::null());
        if geteuid().is_root() {
            let owner = format!("allow_other,uid={UID},gid={GID}");
            sshfs.args(["-o", &owner]);
        }
        let mount = Self {
            point,
            _sshfs: Background::start(&mut sshfs),
        };
        eventually("sshfs has mounted it", PATIENCE, || {
            let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
            let point = format!(" {} fuse.sshfs ", mount.home().display());
            mounts.contains(&point).then_some(())
        });
        mount
    }

    fn home(&self) -> PathBuf {
        let path = self.point.path();
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut unmount = Command::new("fusermount3");
        unmount.args(["-u", "-z"]).arg(self.point.path());
        run(&mut unmount, b"", PATIENCE);
    }
}

/// What this file system cannot do, or the test shows nothing.
#[track_caller]
fn is_poor(home: &Path) {
    let (file, other) = (home.join("probe"), home.join("probe-too"));
    assert!(UnixListener::bind(&file).is_err(), "it has sockets");
    fs::write(&file, "").expect("it has files");
    assert!(fs::hard_link(&file, &other).is_err(), "it has hard links");
    assert!(chown(&file, Some(1), Some(1)).is_err(), "it has owners");
    fs::remove_file(&file).expect("it has files");
}

#[test]
fn a_workspace_lives_on_a_home_without_sockets_links_or_owners() {
    let storage = Daemon::start(|_| ());
    let mount = Mount::of(&storage);
    is_poor(&mount.home());
    remote_home::everything_works(&Workspace::new(&mount.home()));
}
