//! The description that every check works on: whose workspace it is, where its files are, and the
//! few answers that no file holds.
//!
//! `root` is `/` in a workspace. In tests it is a folder of made faults: paths are named as the
//! workspace sees them and read below the root.

use std::io;
use std::net::ToSocketAddrs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Gid, access, getegid, geteuid, getgroups};

use super::settings::Settings;
use crate::keys::Mounts;
use crate::user::User;

/// An answer that takes longer is no answer: editors give up sooner.
const LOOK_UP: Duration = Duration::from_secs(10);

/// A file system's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Bytes in all.
    pub size: u64,
    /// Bytes that an ordinary user may still write.
    pub free: u64,
    /// Files that may still be made; `None` where the file system does not count them.
    pub free_files: Option<u64>,
}

impl Volume {
    /// Ask statvfs(3).
    pub fn of(path: &Path) -> io::Result<Self> {
        let volume = statvfs(path)?;
        let block = volume.fragment_size();
        Ok(Self {
            size: volume.blocks() * block,
            free: volume.blocks_available() * block,
            free_files: (volume.files() > 0).then(|| volume.files_available()),
        })
    }
}

/// A workspace as the checks see it.
pub struct Surroundings {
    /// Where `/` is.
    pub root: PathBuf,
    /// Whose workspace it is.
    pub user: User,
    /// Every group of that user.
    pub groups: Vec<u32>,
    /// PATH of its sessions.
    pub path: Vec<PathBuf>,
    /// Where its keys are.
    pub settings: Settings,
    /// CPUs that the process may use, quota and affinity counted in.
    pub cpus: usize,
    /// What our clock says.
    pub now: SystemTime,
    /// What another clock said at that time, and whose it is.
    pub reference: Option<(String, SystemTime)>,
    /// Names to look up beside the cluster's own.
    pub names: Vec<String>,
    /// How much room there is at a path (of the machine, below the root).
    pub volume: fn(&Path) -> io::Result<Volume>,
    /// Whether a host name has an address.
    pub look_up: fn(&str) -> io::Result<()>,
}

impl Surroundings {
    /// This very container as `user` has it.
    pub fn here(user: User, settings: Settings) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            root: PathBuf::from("/"),
            groups: groups_of(&user),
            user,
            path: std::env::split_paths(&path).collect(),
            settings,
            cpus: thread::available_parallelism().map_or(1, usize::from),
            now: SystemTime::now(),
            reference: None,
            names: Vec::new(),
            volume: Volume::of,
            look_up,
        }
    }

    /// Where `path` of the workspace is on this machine.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A text file, when there is one that can be read.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.at(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file with one number in it.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.trim().parse().ok()
    }

    /// What is mounted where.
    pub(super) fn mounts(&self) -> Mounts {
        let table = self.read("/proc/self/mountinfo").unwrap_or_default();
        Mounts::parse(table.as_bytes())
    }

    /// The first program of that name on PATH.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let candidates = self.path.iter().map(|directory| directory.join(name));
        let mut found = candidates.filter(|path| self.may(path, AccessFlags::X_OK));
        found.find(|path| self.at(path).is_file())
    }

    /// Whether the user may do `what` with `path`.
    ///
    /// The kernel's word when we are that user; otherwise (root asks, or a test) that of owner,
    /// mode, every directory on the way and the mount.
    pub(super) fn may(&self, path: &Path, what: AccessFlags) -> bool {
        if geteuid() == self.user.uid {
            return access(&self.at(path), what).is_ok();
        }
        if what.contains(AccessFlags::W_OK) && self.mounts().has_option(path, "ro") {
            return false;
        }
        let bits = (u32::from(what.contains(AccessFlags::R_OK)) << 2)
            | (u32::from(what.contains(AccessFlags::W_OK)) << 1)
            | u32::from(what.contains(AccessFlags::X_OK));
        let mut way = path.ancestors().skip(1);
        self.grants(path, bits) && way.all(|directory| self.grants(directory, 1))
    }

    fn grants(&self, path: &Path, bits: u32) -> bool {
        let Ok(metadata) = std::fs::metadata(self.at(path)) else {
            return false;
        };
        let mode = metadata.permissions().mode();
        let class = if metadata.uid() == self.user.uid.as_raw() {
            mode >> 6
        } else if self.groups.contains(&metadata.gid()) {
            mode >> 3
        } else {
            mode
        };
        class & bits == bits
    }
}

fn groups_of(user: &User) -> Vec<u32> {
    let mut groups = vec![user.gid.as_raw()];
    if geteuid() == user.uid {
        groups.push(getegid().as_raw());
        groups.extend(getgroups().unwrap_or_default().iter().map(|g| g.as_raw()));
    } else if let Ok(name) = std::ffi::CString::new(user.name.as_str()) {
        let listed = nix::unistd::getgrouplist(&name, user.gid).unwrap_or_default();
        groups.extend(listed.into_iter().map(Gid::as_raw));
    }
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// On a thread of its own: the resolver has time-outs of its own, longer than anybody waits.
fn look_up(name: &str) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let asked = (name.to_owned(), 0);
    thread::spawn(move || {
        // Nobody listens any more after the time-out.
        let _ = sender.send(asked.to_socket_addrs().map(|_| ()));
    });
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in ten seconds");
    receiver.recv_timeout(LOOK_UP).map_err(late)?
}

/// The user that owns everything in a test's folder.
#[cfg(test)]
pub(super) fn in_folder(root: &Path) -> Surroundings {
    let user = User {
        name: "jovyan".to_owned(),
        uid: nix::unistd::Uid::from_raw(4242),
        gid: Gid::from_raw(4242),
        home: "/home/jovyan".into(),
        shell: "/bin/bash".into(),
    };
    let settings = Settings::default();
    Surroundings {
        root: root.to_owned(),
        path: vec!["/bin".into()],
        ..Surroundings::here(user, settings)
    }
}
