//! Undoes what `fsGroup` does to `~/.ssh`. When the kubelet hands a volume to a group it adds group
//! read and write to everything in it, and then ssh refuses the user's own keys and strict modes
//! refuse authorized_keys. Rights are only ever taken away, and only from what the user owns.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

const OTHERS_WRITE: u32 = 0o022;
const ALL_OF_OTHERS: u32 = 0o077;
/// A `.ssh` with more files than this is not worth a slow start.
const MAX_FILES: usize = 1000;

/// One mode that was changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file or directory.
    pub path: PathBuf,
    /// Its permission bits before.
    pub from: u32,
    /// And now.
    pub to: u32,
}

/// Make `home` and its `.ssh` fit for strict modes, as far as `uid`, the caller's own, owns them.
/// What cannot be changed stays as it is, and strict modes name it later.
pub fn repair_modes(home: &Path, uid: u32) -> Vec<Repair> {
    let ssh = home.join(".ssh");
    let mut repairs = Vec::new();
    repairs.extend(remove(home, uid, OTHERS_WRITE));
    repairs.extend(remove(&ssh, uid, ALL_OF_OTHERS));
    let files = fs::read_dir(&ssh)
        .into_iter()
        .flatten()
        .flatten()
        .take(MAX_FILES);
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    files.sort();
    let secret = |path: &PathBuf| is_private(path);
    repairs.extend(
        files
            .iter()
            .filter(|path| secret(path))
            .filter_map(|path| remove(path, uid, ALL_OF_OTHERS)),
    );
    repairs
}

/// authorized_keys and ssh's own configuration by name, private keys by their first bytes.
fn is_private(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    if name == "authorized_keys" || name == "config" {
        return true;
    }
    let Some(file) = open(path) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut start = [0; 64];
    let length = std::io::Read::read(&mut &file, &mut start).unwrap_or(0);
    let start = String::from_utf8_lossy(start.get(..length).unwrap_or_default()).into_owned();
    start.starts_with("-----BEGIN ") && start.contains("PRIVATE KEY")
}

/// Take `bits` off. Through an open file and never through a link, so that no swap of the path
/// between look and change can aim it elsewhere.
fn remove(path: &Path, uid: u32, bits: u32) -> Option<Repair> {
    let file = open(path)?;
    let metadata = file.metadata().ok()?;
    let from = metadata.mode() & 0o7777;
    let regular = metadata.is_dir() || metadata.is_file() && metadata.nlink() == 1;
    if metadata.uid() != uid || !regular || from & bits == 0 {
        return None;
    }
    let to = from & !bits;
    file.set_permissions(fs::Permissions::from_mode(to)).ok()?;
    Some(Repair {
        path: path.to_owned(),
        from,
        to,
    })
}

fn open(path: &Path) -> Option<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fsgroup_modes_are_undone_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        fs::create_dir(&ssh).unwrap();
        let files = [
            ("authorized_keys", "x", 0o660, 0o600),
            (
                "id_ed25519",
                "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                0o660,
                0o600,
            ),
            ("id_ed25519.pub", "ssh-ed25519 AAAA", 0o664, 0o664),
            ("known_hosts", "", 0o660, 0o660),
        ];
        for (name, text, mode, _) in files {
            fs::write(ssh.join(name), text).unwrap();
            fs::set_permissions(ssh.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o2770)).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o2770)).unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::symlink(outside.path(), ssh.join("config")).unwrap();
        let uid = fs::metadata(home.path()).unwrap().uid();

        let repairs = repair_modes(home.path(), uid);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(home.path()), mode(&ssh)), (0o2750, 0o2700));
        for (name, _, _, wanted) in files {
            assert_eq!(mode(&ssh.join(name)), wanted, "{name}");
        }
        assert_eq!(mode(outside.path()), 0o666, "links are not followed");
        assert_eq!(repairs.len(), 4);
        assert_eq!((repairs[1].from, repairs[1].to), (0o2770, 0o2700));
        assert_eq!(repair_modes(home.path(), uid), []);
        assert_eq!(repair_modes(home.path(), uid + 1), []);
    }
}
