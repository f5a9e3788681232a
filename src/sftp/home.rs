//! Where a session's paths start, and what a path really is.
//!
//! The daemon is shared, so nobody changes directory: relative paths go to the `*at` system calls
//! with the home's descriptor. Every path stays the client's bytes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::User;

/// Symbolic links followed in one path, as the kernel's limit.
const MAX_LINKS: usize = 40;
/// Longest path, as the kernel's limit; in bytes without the final zero.
const MAX_PATH: usize = 4095;

/// The start directory.
#[derive(Debug)]
pub(super) struct Home {
    directory: OwnedFd,
    /// Absolute, without symbolic links, no slash at its end unless it is the root.
    path: Vec<u8>,
    /// As configured.
    given: Vec<u8>,
}

impl Home {
    /// Open `given`, or the root directory where that is not possible, as sshd does. Blocks.
    pub(super) fn open(given: &Path) -> nix::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = open(given, flags, Mode::empty())
            .ok()
            .and_then(|directory| {
                let path = std::fs::canonicalize(given).ok()?;
                Some((directory, path.as_os_str().as_bytes().to_vec()))
            });
        let (directory, path) = match opened {
            Some(opened) => opened,
            None => (open("/", flags, Mode::empty())?, b"/".to_vec()),
        };
        Ok(Self {
            directory,
            path,
            given: given.as_os_str().as_bytes().to_vec(),
        })
    }

    /// The home as configured, links and all.
    pub(super) fn given(&self) -> &[u8] {
        &self.given
    }

    /// `path` made absolute, for system calls without an `*at` form.
    pub(super) fn absolute(&self, path: &[u8]) -> Vec<u8> {
        if path.is_empty() || path.starts_with(b"/") {
            return path.to_vec();
        }
        [self.path.as_slice(), b"/", path].concat()
    }

    /// REALPATH: absolute, without `.`, `..` and links. The last part need not exist.
    pub(super) fn real(&self, path: &[u8]) -> nix::Result<Vec<u8>> {
        let absolute = match path {
            b"" | b"." => return Ok(self.path.clone()),
            path => self.absolute(path),
        };
        resolve(&absolute)
    }

    /// `expand-path@openssh.com`: `~` and `~user` at the beginning, then as [`Home::real`].
    /// `None` when there is no such user.
    pub(super) fn expand(&self, path: &[u8]) -> Option<nix::Result<Vec<u8>>> {
        let Some(rest) = path.strip_prefix(b"~") else {
            return Some(self.real(path));
        };
        let slash = rest.iter().position(|&byte| byte == b'/');
        let (name, rest) = rest.split_at(slash.unwrap_or(rest.len()));
        let start = match name {
            b"" => self.path.clone(),
            name => home_of(name)?,
        };
        Some(self.real(&[start.as_slice(), rest].concat()))
    }
}

impl AsFd for Home {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// The home directory of a user by name.
pub(super) fn home_of(name: &[u8]) -> Option<Vec<u8>> {
    let user = User::from_name(std::str::from_utf8(name).ok()?).ok()??;
    Some(user.dir.as_os_str().as_bytes().to_vec())
}

fn resolve(path: &[u8]) -> nix::Result<Vec<u8>> {
    let mut left = path.to_vec();
    let mut real = Vec::new();
    let mut links = 0;
    while !left.is_empty() {
        let slash = left.iter().position(|&byte| byte == b'/');
        let rest = slash.map(|at| left.split_off(at).split_off(1));
        let part = std::mem::replace(&mut left, rest.clone().unwrap_or_default());
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                let parent = real.iter().rposition(|&byte| byte == b'/');
                real.truncate(parent.unwrap_or(0));
                continue;
            }
            part => {
                real.push(b'/');
                real.extend_from_slice(part);
            }
        }
        if real.len() + left.len() > MAX_PATH {
            return Err(Errno::ENAMETOOLONG);
        }
        match readlinkat(AT_FDCWD, real.as_slice()) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                follow(&mut real, &mut left, target.as_bytes(), rest.is_some());
            }
            // Not a link.
            Err(Errno::EINVAL) => {}
            Err(Errno::ENOENT) if rest.is_none() => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(if real.is_empty() { b"/".to_vec() } else { real })
}

/// Go on with the link's `target` in place of the last part of `real`.
fn follow(real: &mut Vec<u8>, left: &mut Vec<u8>, target: &[u8], more: bool) {
    let parent = real.iter().rposition(|&byte| byte == b'/');
    real.truncate(parent.unwrap_or(0));
    if target.starts_with(b"/") {
        real.clear();
    }
    let slash: &[u8] = if more { b"/" } else { b"" };
    *left = [target, slash, left.as_slice()].concat();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home, String) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path()).unwrap();
        let path = String::from_utf8(home.path.clone()).unwrap();
        (directory, home, path)
    }

    fn real(home: &Home, path: &str) -> Result<String, Errno> {
        home.real(path.as_bytes())
            .map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn paths_are_made_real_from_the_home() {
        let (directory, home, path) = home();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a/../a", directory.path().join("link")).unwrap();
        assert_eq!(real(&home, ""), Ok(path.clone()));
        assert_eq!(real(&home, "."), Ok(path.clone()));
        assert_eq!(real(&home, "./a//../link/"), Ok(format!("{path}/a")));
        assert_eq!(real(&home, "link/new"), Ok(format!("{path}/a/new")));
        assert_eq!(real(&home, "/../.."), Ok("/".into()));
        assert_eq!(real(&home, "no/such"), Err(Errno::ENOENT));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let (directory, home, _) = home();
        std::os::unix::fs::symlink("b", directory.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", directory.path().join("b")).unwrap();
        assert_eq!(real(&home, "a"), Err(Errno::ELOOP));
        std::os::unix::fs::symlink("c/c", directory.path().join("c")).unwrap();
        assert!(real(&home, "c").is_err());
    }

    #[test]
    fn a_missing_home_means_the_root() {
        let home = Home::open(Path::new("/no/such/home")).unwrap();
        assert_eq!(real(&home, "."), Ok("/".into()));
        assert_eq!(home.given(), b"/no/such/home");
    }

    #[test]
    fn tildes_are_homes() {
        let (_directory, home, path) = home();
        let expand = |text: &[u8]| home.expand(text);
        assert_eq!(expand(b"~"), Some(Ok(path.clone().into_bytes())));
        assert_eq!(expand(b"~/x"), Some(Ok(format!("{path}/x").into_bytes())));
        assert_eq!(expand(b"~root"), Some(Ok(b"/root".to_vec())));
        assert_eq!(expand(b"~no-such-user/x"), None);
    }
}
