//! The workspace user: who serves and is served, and getting rid of root for good.
//!
//! Root is used for two things at most, own the top of the home volume and create the runtime
//! directory, and only before [`User::demote`]. Serving requires its [`Demoted`] token.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};
use thiserror::Error;

/// Where the daemon may write beside the home and `/tmp`: sockets and the like.
pub const RUNTIME_DIR: &str = "/run/podssh";

/// The one user a daemon serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name; clients must log in with it.
    pub name: String,
    /// User id; never 0 once serving.
    pub uid: Uid,
    /// Primary group id.
    pub gid: Gid,
    /// Home directory; need not exist.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// What the command line says about the user; what it leaves out comes from passwd, then from the
/// environment, then from a default.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `--user`
    pub name: Option<String>,
    /// `--home`
    pub home: Option<PathBuf>,
    /// `--shell`
    pub shell: Option<PathBuf>,
    /// `$HOME`, believed only when not started as root (it would be root's).
    pub env_home: Option<PathBuf>,
    /// `$SHELL`, likewise.
    pub env_shell: Option<PathBuf>,
}

/// Why there is no workspace user.
#[derive(Debug, Error)]
pub enum UserError {
    /// Started as root and the user to become is not in passwd.
    #[error("user {0:?} is not in /etc/passwd: create it, or name another with --user")]
    Unknown(String),
    /// The user to become is root.
    #[error("refusing to serve as root: name an unprivileged user with --user")]
    Root,
    /// `--user` names somebody else, and only root can become somebody else.
    #[error(
        "cannot serve user {0:?} as uid {1}: passwd gives that name another uid; start as root, as that user, or drop --user"
    )]
    NotRoot(String, Uid),
    /// The home is nowhere to be learnt.
    #[error("no home directory known for user {0:?}: give --home or set HOME")]
    NoHome(String),
    /// A system call failed.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
}

/// Proof that this process is not root and cannot become it again.
#[derive(Clone, Copy, Debug)]
pub struct Demoted(());

impl User {
    /// Who to serve, given who we are. Changes nothing.
    pub fn resolve(wanted: Wanted) -> Result<Self, UserError> {
        let uid = unistd::geteuid();
        if uid.is_root() {
            Self::from_passwd(wanted)
        } else {
            Self::current(uid, wanted)
        }
    }

    fn from_passwd(wanted: Wanted) -> Result<Self, UserError> {
        let name = wanted.name.unwrap_or_else(|| "jovyan".to_owned());
        let found = in_passwd(unistd::User::from_name(&name))?
            .ok_or_else(|| UserError::Unknown(name.clone()))?;
        if found.uid.is_root() {
            return Err(UserError::Root);
        }
        Ok(Self {
            name,
            uid: found.uid,
            gid: found.gid,
            home: wanted.home.unwrap_or(found.dir),
            shell: choose_shell(wanted.shell, Some(found.shell), None),
        })
    }

    /// Works without a passwd entry, as when a cluster assigns an arbitrary uid, and under a name
    /// that passwd does not know.
    fn current(uid: Uid, wanted: Wanted) -> Result<Self, UserError> {
        let mut entry = in_passwd(unistd::User::from_uid(uid))?;
        if let Some(name) = &wanted.name
            && entry.as_ref().is_none_or(|entry| entry.name != *name)
        {
            let other = in_passwd(unistd::User::from_name(name))?;
            if other.is_some_and(|other| other.uid != uid) {
                return Err(UserError::NotRoot(name.clone(), uid));
            }
            entry = None;
        }
        let known = entry.as_ref().map(|entry| entry.name.clone());
        let name = wanted.name.or(known).unwrap_or_else(|| "jovyan".to_owned());
        let (passwd_home, passwd_shell) = entry.map(|entry| (entry.dir, entry.shell)).unzip();
        let home = wanted.home.or(passwd_home).or(wanted.env_home);
        Ok(Self {
            uid,
            gid: unistd::getegid(),
            home: home.ok_or_else(|| UserError::NoHome(name.clone()))?,
            shell: choose_shell(wanted.shell, passwd_shell, wanted.env_shell),
            name,
        })
    }

    /// Do what needs root, then become this user for good and prove it. A no-op proof otherwise.
    pub fn demote(&self) -> Result<Demoted, UserError> {
        if unistd::geteuid().is_root() || unistd::getuid().is_root() {
            self.prepare();
            self.drop_root()?;
        }
        if unistd::getuid().is_root() || unistd::geteuid().is_root() || regains_root() {
            return Err(UserError::Root);
        }
        Ok(Demoted(()))
    }

    /// Own the top of the home volume (never what is below it) and the runtime directory.
    fn prepare(&self) {
        for directory in [self.home.as_path(), Path::new(RUNTIME_DIR)] {
            let made = std::fs::create_dir_all(directory).map_err(|error| error.to_string());
            let owned = made.and_then(|()| {
                // What is theirs needs no chown, which NFS refuses to a root that is nobody there.
                let theirs =
                    std::fs::metadata(directory).is_ok_and(|is| is.uid() == self.uid.as_raw());
                let chown = || unistd::chown(directory, Some(self.uid), Some(self.gid));
                if theirs {
                    Ok(())
                } else {
                    chown().map_err(|error| error.to_string())
                }
            });
            if let Err(error) = owned {
                tracing::warn!(directory = %directory.display(), %error, "cannot hand over a directory");
            }
        }
    }

    /// Groups first, then gid, then uid; the kernel clears every capability set with the last.
    fn drop_root(&self) -> Result<(), UserError> {
        let name =
            CString::new(self.name.as_str()).map_err(|_| UserError::Unknown(self.name.clone()))?;
        unistd::initgroups(&name, self.gid).map_err(|e| UserError::System("initgroups", e))?;
        unistd::setresgid(self.gid, self.gid, self.gid)
            .map_err(|e| UserError::System("setresgid", e))?;
        unistd::setresuid(self.uid, self.uid, self.uid)
            .map_err(|e| UserError::System("setresuid", e))
    }
}

/// A passwd that is missing has no such user; getpwnam(3) lists the errors that mean no more.
fn in_passwd(found: nix::Result<Option<unistd::User>>) -> Result<Option<unistd::User>, UserError> {
    match found {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        found => found.map_err(|errno| UserError::System("reading passwd", errno)),
    }
}

/// Tries to become root again, which must fail.
fn regains_root() -> bool {
    let root = Uid::from_raw(0);
    unistd::setresuid(root, root, root).is_ok() || unistd::seteuid(root).is_ok()
}

fn choose_shell(
    wanted: Option<PathBuf>,
    passwd: Option<PathBuf>,
    environment: Option<PathBuf>,
) -> PathBuf {
    let given = [wanted, passwd, environment].into_iter().flatten();
    let mut given = given.filter(|path| !path.as_os_str().is_empty());
    given.next().unwrap_or_else(|| {
        let bash = Path::new("/bin/bash");
        if bash.exists() {
            bash.to_owned()
        } else {
            "/bin/sh".into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_the_flag_then_passwd_then_the_environment() {
        let path = |name: &str| Some(PathBuf::from(name));
        assert_eq!(
            choose_shell(path("/a"), path("/b"), path("/c")),
            Path::new("/a")
        );
        assert_eq!(choose_shell(None, path("/b"), path("/c")), Path::new("/b"));
        assert_eq!(choose_shell(None, path(""), path("/c")), Path::new("/c"));
        assert!(choose_shell(None, None, None).starts_with("/bin"));
    }

    #[test]
    fn a_uid_without_a_passwd_entry_is_served_with_what_the_environment_says() {
        let wanted = Wanted {
            env_home: Some("/data".into()),
            ..Wanted::default()
        };
        let user = User::current(Uid::from_raw(123_456), wanted).unwrap();
        assert_eq!(
            (user.name.as_str(), user.home.as_path()),
            ("jovyan", Path::new("/data"))
        );
    }

    #[test]
    fn a_missing_passwd_has_no_users_and_a_broken_one_is_an_error() {
        assert!(in_passwd(Err(Errno::ENOENT)).unwrap().is_none());
        assert!(in_passwd(Ok(None)).unwrap().is_none());
        let error = in_passwd(Err(Errno::EIO)).unwrap_err();
        assert!(error.to_string().contains("reading passwd"), "{error}");
    }

    #[test]
    fn a_user_without_any_home_is_refused_with_the_flag_to_give() {
        let error = User::current(Uid::from_raw(123_456), Wanted::default()).unwrap_err();
        assert!(error.to_string().contains("--home"), "{error}");
    }
}
