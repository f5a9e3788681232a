//! Requests that change or follow names: REMOVE, MKDIR, RMDIR, RENAME, links and REALPATH.

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat, renameat};
use nix::libc;
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use std::os::unix::ffi::OsStrExt;

use super::attributes::Attributes;
use super::engine::{Answer, Engine};
use super::home::Home;
use super::status::{Blame as _, Status};

impl Engine {
    pub(super) fn remove(&mut self, path: &[u8]) -> Result<Answer, Status> {
        unlinkat(&self.home, path, UnlinkatFlags::NoRemoveDir).blame("remove", path)?;
        Ok(Answer::Done)
    }

    pub(super) fn make_directory(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<Answer, Status> {
        let mode = Mode::from_bits_truncate(attributes.permissions.unwrap_or(0o777) & 0o7777);
        mkdirat(&self.home, path, mode).blame("mkdir", path)?;
        Ok(Answer::Done)
    }

    pub(super) fn remove_directory(&mut self, path: &[u8]) -> Result<Answer, Status> {
        unlinkat(&self.home, path, UnlinkatFlags::RemoveDir).blame("rmdir", path)?;
        Ok(Answer::Done)
    }

    pub(super) fn realpath(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        let real = self.home.real(path).blame("realpath", path)?;
        self.output.name(id, &real);
        Ok(Answer::Written)
    }

    pub(super) fn readlink(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        let target = readlinkat(&self.home, path).blame("readlink", path)?;
        self.output.name(id, target.as_bytes());
        Ok(Answer::Written)
    }

    pub(super) fn symlink(&mut self, target: &[u8], link: &[u8]) -> Result<Answer, Status> {
        symlinkat(target, &self.home, link).blame("symlink", link)?;
        Ok(Answer::Done)
    }

    /// RENAME, which never replaces anything.
    pub(super) fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        rename_new(&self.home, from, to).blame("rename to", to)?;
        Ok(Answer::Done)
    }

    /// `posix-rename@openssh.com`, which replaces a file that is there.
    pub(super) fn rename_over(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        renameat(&self.home, from, &self.home, to).blame("rename to", to)?;
        Ok(Answer::Done)
    }

    pub(super) fn hardlink(&mut self, from: &[u8], to: &[u8]) -> Result<Answer, Status> {
        link(&self.home, from, to).blame("link to", to)?;
        Ok(Answer::Done)
    }
}

fn link(home: &Home, from: &[u8], to: &[u8]) -> nix::Result<()> {
    linkat(home, from, home, to, AtFlags::empty())
}

/// One system call where the kernel and file system have it; elsewhere OpenSSH's way.
fn rename_new(home: &Home, from: &[u8], to: &[u8]) -> nix::Result<()> {
    match rename_exclusive(home, from, to) {
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EOPNOTSUPP) => rename_by_link(home, from, to),
        result => result,
    }
}

#[cfg(target_env = "gnu")]
fn rename_exclusive(home: &Home, from: &[u8], to: &[u8]) -> nix::Result<()> {
    let flags = nix::fcntl::RenameFlags::RENAME_NOREPLACE;
    nix::fcntl::renameat2(home, from, home, to, flags)
}

#[cfg(not(target_env = "gnu"))]
fn rename_exclusive(_home: &Home, _from: &[u8], _to: &[u8]) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

/// A file gets its new name before it loses the old one, which fails if the new one is taken.
/// Where that is not possible, look first; that leaves a moment for somebody else.
fn rename_by_link(home: &Home, from: &[u8], to: &[u8]) -> nix::Result<()> {
    let stat = fstatat(home, from, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFREG {
        match link(home, from, to) {
            Ok(()) => {
                return unlinkat(home, from, UnlinkatFlags::NoRemoveDir).inspect_err(|_| {
                    // The old name stays: the new one must go. Its error would say less.
                    let _ = unlinkat(home, to, UnlinkatFlags::NoRemoveDir);
                });
            }
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EXDEV | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    match fstatat(home, to, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EEXIST),
        Err(Errno::ENOENT) => renameat(home, from, home, to),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn neither_way_of_renaming_replaces_anything() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let at = |name: &str| directory.path().join(name);
        for rename in [rename_new, rename_by_link] {
            fs::write(at("a"), "a").unwrap();
            fs::write(at("b"), "b").unwrap();
            fs::create_dir(at("d")).unwrap();
            std::os::unix::fs::symlink("nowhere", at("l")).unwrap();
            for (from, to) in [("a", "b"), ("a", "d"), ("d", "a"), ("d", "l"), ("a", "a")] {
                let result = rename(&home, from.as_bytes(), to.as_bytes());
                assert_eq!(result, Err(Errno::EEXIST), "{from} {to}");
            }
            rename(&home, b"a", b"new").unwrap();
            rename(&home, b"d", b"new-d").unwrap();
            assert_eq!(rename(&home, b"a", b"x"), Err(Errno::ENOENT));
            assert_eq!(fs::read(at("new")).unwrap(), b"a");
            for file in ["b", "new", "l"] {
                fs::remove_file(at(file)).unwrap();
            }
            fs::remove_dir(at("new-d")).unwrap();
        }
    }
}
