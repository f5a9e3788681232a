//! Who could have written a key file: the rule that decides whether its content counts.
//!
//! A read-only mount, and a file of root's outside the home, are the operator's word, whatever the
//! mode bits: under `fsGroup` the kubelet makes Secret directories 1777 and files 0440, and sshd's
//! strict modes would refuse every one. Other files outside the home count, whoever owns them, if
//! neither they nor their directory can be written by group or others. Below the home sshd's
//! `StrictModes` applies: the workspace user or root owns the file and each directory up to the
//! home, and nobody else may write there.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{getegid, getgroups};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The workspace user, in whose home strict modes apply.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    home: PathBuf,
    uid: u32,
}

impl Owner {
    pub(super) fn new(home: &Path, uid: u32) -> Self {
        Self {
            home: home.canonicalize().unwrap_or_else(|_| home.to_owned()),
            uid,
        }
    }

    /// `Err` names the path and mode that make the content of the open `file` untrusted.
    pub(super) fn check(&self, path: &Path, file: &File) -> Result<(), String> {
        if is_read_only_mount(file) {
            return Ok(());
        }
        let real = path
            .canonicalize()
            .map_err(|error| format!("cannot be resolved: {error}"))?;
        let metadata = file
            .metadata()
            .map_err(|error| format!("cannot be examined: {error}"))?;
        if real.starts_with(&self.home) && self.home != Path::new("/") {
            self.strict(&real, &metadata)?;
            let parents = real.ancestors().skip(1);
            return parents
                .take_while(|directory| directory.starts_with(&self.home))
                .try_for_each(|directory| self.strict(directory, &examine(directory)?));
        }
        if metadata.uid() == 0 {
            return Ok(());
        }
        check_mode(&real, &metadata)?;
        let Some(directory) = real.parent() else {
            return Ok(());
        };
        let metadata = examine(directory)?;
        // In a sticky directory of root's, /tmp say, nobody else can replace our file.
        if metadata.uid() == 0 && metadata.mode() & STICKY != 0 {
            return Ok(());
        }
        check_mode(directory, &metadata)
    }

    /// The top of a volume with `fsGroup`, mounted as the home of a user who is not root: root owns
    /// it and one of our groups may write, which is all the right we have there ourselves.
    fn is_volume_of_our_group(&self, path: &Path, metadata: &Metadata) -> bool {
        let ours = |gid: u32| {
            getegid().as_raw() == gid
                || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
        };
        path == self.home
            && self.uid != 0
            && metadata.uid() == 0
            && metadata.mode() & WRITABLE_BY_ALL == 0
            && ours(metadata.gid())
    }

    fn strict(&self, path: &Path, metadata: &Metadata) -> Result<(), String> {
        if self.is_volume_of_our_group(path, metadata) {
            return Ok(());
        }
        if metadata.uid() != 0 && metadata.uid() != self.uid {
            let (shown, owner, uid) = (path.display(), metadata.uid(), self.uid);
            return Err(format!(
                "{shown} is owned by uid {owner}, not by uid {uid} or root"
            ));
        }
        check_mode(path, metadata)
    }
}

fn check_mode(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let (shown, mode) = (path.display(), metadata.mode() & 0o7777);
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(format!(
            "{shown} has mode {mode:04o}, writable by group or others"
        ));
    }
    Ok(())
}

/// Whether `file` lies on a mount that nobody in this container can write to.
pub(super) fn is_read_only_mount(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|volume| volume.flags().contains(FsFlags::ST_RDONLY))
}

fn examine(path: &Path) -> Result<Metadata, String> {
    std::fs::metadata(path)
        .map_err(|error| format!("{} cannot be examined: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_refusal_names_the_very_path() {
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        let keys = ssh.join("authorized_keys");
        fs::create_dir(&ssh).unwrap();
        fs::write(&keys, "").unwrap();
        let uid = fs::metadata(&keys).unwrap().uid();
        let owner = Owner::new(home.path(), uid);
        let check = || owner.check(&keys, &File::open(&keys).unwrap());

        for (path, mode) in [(home.path(), 0o770), (&ssh, 0o777), (&keys, 0o660)] {
            set_mode(home.path(), 0o755);
            set_mode(&ssh, 0o700);
            set_mode(&keys, 0o600);
            assert_eq!(check(), Ok(()));
            set_mode(path, mode);
            let reason = check().unwrap_err();
            let path = path.canonicalize().unwrap();
            assert!(
                reason.starts_with(&format!("{} has mode {mode:04o}", path.display())),
                "{reason}"
            );
        }
    }

    #[test]
    fn the_top_of_an_fsgroup_volume_may_be_our_groups() {
        let home = tempfile::tempdir().unwrap();
        let keys = home.path().join("keys");
        fs::write(&keys, "").unwrap();
        if fs::metadata(&keys).unwrap().uid() != 0 {
            return; // only root may give files away
        }
        std::os::unix::fs::chown(&keys, Some(1000), None).unwrap();
        let owner = Owner::new(home.path(), 1000);
        let check = || owner.check(&keys, &File::open(&keys).unwrap());
        set_mode(home.path(), 0o2775);
        assert_eq!(check(), Ok(()));
        set_mode(home.path(), 0o2777);
        assert!(check().is_err());
        set_mode(home.path(), 0o2775);
        std::os::unix::fs::chown(home.path(), None, Some(4242)).unwrap();
        assert!(check().is_err(), "not one of our groups");
    }

    #[test]
    fn a_foreign_owner_is_refused_below_the_home() {
        let home = tempfile::tempdir().unwrap();
        let keys = home.path().join("keys");
        fs::write(&keys, "").unwrap();
        if std::os::unix::fs::chown(&keys, Some(4242), None).is_err() {
            return; // only root may give files away
        }
        let reason = Owner::new(home.path(), 1000)
            .check(&keys, &File::open(&keys).unwrap())
            .unwrap_err();
        assert!(reason.contains("owned by uid 4242"), "{reason}");
    }

    #[test]
    fn outside_the_home_root_is_believed_whatever_the_mode() {
        let outside = tempfile::tempdir().unwrap();
        let keys = outside.path().join("keys");
        fs::write(&keys, "").unwrap();
        set_mode(&keys, 0o666);
        set_mode(outside.path(), 0o1777);
        let uid = fs::metadata(&keys).unwrap().uid();
        std::os::unix::fs::chown(&keys, Some(if uid == 0 { 4242 } else { uid }), None).unwrap();
        let open = File::open(&keys).unwrap();
        assert!(
            Owner::new(Path::new("/home/x"), uid)
                .check(&keys, &open)
                .is_err()
        );
        set_mode(&keys, 0o644);
        let verdict = Owner::new(Path::new("/home/x"), uid).check(&keys, &open);
        assert_eq!(
            verdict,
            Ok(()),
            "whoever owns it, if only they can write it"
        );
        set_mode(&keys, 0o666);
        std::os::unix::fs::chown(&keys, Some(uid), None).unwrap();
        let verdict =
            Owner::new(Path::new("/home/x"), uid).check(&keys, &File::open(&keys).unwrap());
        assert_eq!(verdict.is_ok(), uid == 0);
    }
}
