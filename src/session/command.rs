//! What to execute for a program: always through the login shell, as every SSH tool expects.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;
use nix::unistd::{AccessFlags, access};

use super::exit::Exit;
use crate::descriptors;
use crate::user::User;
use crate::workspace::reaper::program_score;

/// A program ready to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub shell: PathBuf,
    /// The shell's name for itself; with a leading `-` it is a login shell.
    pub argv0: OsString,
    pub arguments: Vec<OsString>,
    pub home: PathBuf,
}

/// Whether a process gets its standard input as its controlling terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControllingTerminal {
    None,
    StandardInput,
}

impl Launch {
    /// The process to start, in a session of its own: no terminal of the daemon's is its too, and
    /// its process group has its number.
    pub(super) fn command(
        &self,
        environment: Vec<(OsString, OsString)>,
        terminal: ControllingTerminal,
    ) -> Command {
        let mut command = Command::new(&self.shell);
        command
            .arg0(&self.argv0)
            .args(&self.arguments)
            .current_dir(&self.home);
        command.env_clear().envs(environment);
        in_its_own_session(&mut command, terminal);
        command
    }
}

#[expect(
    unsafe_code,
    reason = "the standard library has no stable call for setsid"
)]
fn in_its_own_session(command: &mut Command, terminal: ControllingTerminal) {
    let score = program_score().unwrap_or_default();
    // SAFETY: between fork and exec only close_range(2), open(2), write(2), close(2), setrlimit(2),
    // setsid(2) and ioctl(2) run, which are async-signal-safe, allocate nothing and touch no lock;
    // close_range takes numbers only, and closes nothing before the exec; the path ends with a NUL, and
    // the score is as long as it says and lives for ever; setrlimit(2) takes two numbers.
    unsafe {
        command.pre_exec(move || {
            // What the daemon inherited itself is not for sessions. Kernels before 5.11 lack it.
            libc::close_range(
                3,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC as libc::c_int,
            );
            // Before it can start anything that would inherit the daemon's. The kernel may say no.
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
            if file >= 0 {
                libc::write(file, score.as_ptr().cast(), score.len());
                libc::close(file);
            }
            descriptors::give_back()?;
            rustix::process::setsid()?;
            if terminal == ControllingTerminal::StandardInput {
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            Ok(())
        });
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
