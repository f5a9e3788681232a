//! What `/proc/self/mountinfo` (proc(5)) says about a path: is it a mount point of its own, with which
//! options, and is it a Kubernetes `subPath` mount, which shows one generation of a volume for ever?

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount points of this process's mount namespace.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    /// Path inside the mounted file system that is shown at `point`.
    root: PathBuf,
    point: PathBuf,
    /// `rw,noexec` and the like, of this mount alone.
    options: String,
}

impl Mounts {
    /// Read the table; empty when there is none, which only loses a warning.
    pub(super) fn read() -> Self {
        std::fs::read("/proc/self/mountinfo").map_or_else(|_| Self::default(), |t| Self::parse(&t))
    }

    /// Read a table that is at hand.
    pub(crate) fn parse(table: &[u8]) -> Self {
        let mounts = table.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(3);
            Some(Mount {
                root: unescape(fields.next()?),
                point: unescape(fields.next()?),
                options: String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned(),
            })
        });
        Self(mounts.collect())
    }

    /// Whether something is mounted exactly at `path` (canonical).
    pub(crate) fn is_mount_point(&self, path: &Path) -> bool {
        self.0.iter().any(|mount| mount.point == path)
    }

    /// Whether `path` lies on a mount other than the root file system, which in a container is made
    /// of image layers.
    pub(super) fn is_below_a_mount(&self, path: &Path) -> bool {
        let below = |mount: &Mount| mount.point != Path::new("/") && path.starts_with(&mount.point);
        self.0.iter().any(below)
    }

    /// Whether what is mounted at `path` can never change: a single file, or a directory inside one
    /// generation (`..2026_…`) of a Secret or ConfigMap. Kubelet replaces generations by renaming
    /// a link, and a bind mount goes on showing the old one.
    pub(super) fn never_updates(&self, path: &Path) -> bool {
        path.is_file() && self.is_mount_point(path) || self.shows_one_generation(path)
    }

    /// Whether what is mounted at `path` is inside one generation of a Secret or ConfigMap.
    pub(crate) fn shows_one_generation(&self, path: &Path) -> bool {
        let mounts = self.0.iter().filter(|mount| mount.point == path);
        mounts
            .flat_map(|mount| mount.root.iter())
            .any(|part| part.to_string_lossy().starts_with("..20"))
    }

    /// Whether the mount that `path` (canonical) lies on has this option: `ro`, `noexec`.
    pub(crate) fn has_option(&self, path: &Path, option: &str) -> bool {
        let over = |mount: &&Mount| path.starts_with(&mount.point);
        // Of two at the same point the later hides the earlier, and max_by_key keeps the last.
        let nearest = self.0.iter().filter(over);
        nearest
            .max_by_key(|mount| mount.point.components().count())
            .is_some_and(|mount| mount.options.split(',').any(|given| given == option))
    }
}

/// Undo the kernel's octal escapes (`\040` for a blank).
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() {
            tail.get(3..).unwrap_or_default()
        } else {
            tail
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_understood() {
        let mounts = Mounts::parse(
            b"22 1 0:21 / / rw - overlay overlay rw\n\
              36 35 98:0 / /with\\040blank rw,noatime - ext3 /dev/root rw\n\
              40 35 0:99 /..2026_11_23/alice /etc/keys/alice ro - tmpfs tmpfs rw\n\
              41 35 0:98 /..2026_11_23 /etc/ca ro - tmpfs tmpfs rw\nshort line\n",
        );
        assert!(mounts.is_mount_point(Path::new("/with blank")));
        assert!(!mounts.is_mount_point(Path::new("/with")));
        assert!(mounts.never_updates(Path::new("/etc/keys/alice")));
        assert!(mounts.never_updates(Path::new("/etc/ca")));
        assert!(!mounts.never_updates(Path::new("/with blank")));
        assert!(mounts.is_below_a_mount(Path::new("/etc/ca/x")));
        assert!(!mounts.is_below_a_mount(Path::new("/etc/passwd")));
        assert!(mounts.has_option(Path::new("/etc/ca/x"), "ro"));
        assert!(!mounts.has_option(Path::new("/etc/passwd"), "ro"));
        assert!(mounts.has_option(Path::new("/with blank/x"), "noatime"));
    }
}
