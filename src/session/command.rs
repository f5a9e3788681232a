//! What to execute for a program: always through the login shell, as every SSH tool expects.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::exit::Exit;
use crate::user::User;
use crate::workspace::spawn::{self, Standard};

/// A program ready to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub shell: PathBuf,
    /// The shell's name for itself; with a leading `-` it is a login shell.
    pub argv0: OsString,
    pub arguments: Vec<OsString>,
    pub home: PathBuf,
}

impl Launch {
    /// Start it, in a session of its own: no terminal of the daemon's is its too, and its process
    /// group has its number, which is returned.
    pub(super) fn spawn(
        &self,
        environment: Vec<(OsString, OsString)>,
        standard: Standard<'_>,
    ) -> io::Result<u32> {
        let arguments = [self.argv0.clone()]
            .into_iter()
            .chain(self.arguments.clone());
        spawn::spawn(&self.shell, arguments, environment, &self.home, standard)
    }
}

/// `None` runs the login shell, a command runs as its `-c`.
pub(super) fn launch(user: &User, command: Option<OsString>) -> Result<Launch, Exit> {
    if !user.home.is_dir() {
        return Err(Exit::Failed(
            format!(
                "the home directory {} is missing: mount its volume, or start podssh with --home",
                user.home.display()
            ),
            1,
        ));
    }
    if user.shell.is_dir() || access(&user.shell, AccessFlags::X_OK).is_err() {
        return Err(Exit::Failed(
            format!(
                "the login shell {} is missing or not executable: install it, or start podssh with --shell",
                user.shell.display()
            ),
            127,
        ));
    }
    let name = user
        .shell
        .file_name()
        .unwrap_or(Path::new("sh").as_os_str());
    let (argv0, arguments) = match command {
        Some(command) => (name.to_owned(), vec!["-c".into(), command]),
        None => {
            let mut login = OsString::from("-");
            login.push(name);
            (login, Vec::new())
        }
    };
    Ok(Launch {
        shell: user.shell.clone(),
        argv0,
        arguments,
        home: user.home.clone(),
    })
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    fn user(home: &str, shell: &str) -> User {
        let (uid, gid) = (Uid::from_raw(1000), Gid::from_raw(100));
        User {
            name: "jovyan".into(),
            uid,
            gid,
            home: home.into(),
            shell: shell.into(),
        }
    }

    #[test]
    fn a_shell_is_a_login_shell_and_a_command_is_its_argument() {
        let shell = launch(&user("/", "/bin/sh"), None).unwrap();
        assert_eq!(
            (shell.argv0.to_str(), shell.arguments.len()),
            (Some("-sh"), 0)
        );
        let exec = launch(&user("/", "/bin/sh"), Some("exit 42".into())).unwrap();
        assert_eq!(exec.argv0.to_str(), Some("sh"));
        assert_eq!(exec.arguments, ["-c", "exit 42"]);
    }

    #[test]
    fn a_missing_shell_or_home_is_named_with_what_to_do() {
        let Err(Exit::Failed(message, 127)) = launch(&user("/", "/bin/nosuch"), None) else {
            panic!("expected 127")
        };
        assert!(message.contains("/bin/nosuch") && message.contains("--shell"));
        let Err(Exit::Failed(message, 1)) = launch(&user("/nosuch", "/bin/sh"), None) else {
            panic!("expected 1")
        };
        assert!(message.contains("/nosuch") && message.contains("--home"));
    }
}
