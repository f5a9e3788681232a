//! What runs before a shell or command, as with sshd: the user's `~/.ssh/rc`, else the image's
//! `/etc/ssh/sshrc`, else `xauth` for a forwarded display.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::command::Launch;
use super::{Connection, Workspace};
use crate::forward::X11;
use crate::keys::Permission;
use crate::workspace::reaper::Reaper;
use crate::workspace::spawn::Standard;

/// The user's file, below the home.
const USER: &str = ".ssh/rc";
/// The image's file.
const SYSTEM: &str = "/etc/ssh/sshrc";

/// A program to run first, and what it reads.
pub(super) struct Rc {
    launch: Launch,
    input: String,
}

/// What runs before `launch`, if anything.
pub(super) fn find(launch: &Launch, connection: &Connection, x11: Option<&X11>) -> Option<Rc> {
    let workspace: &Workspace = &connection.workspace;
    let user = workspace.user.home.join(USER);
    let shell = |file: &Path| {
        let mut command = OsString::from("/bin/sh ");
        command.push(file);
        let arguments = vec!["-c".into(), command];
        let argv0 = launch.shell.file_name().unwrap_or_default().to_owned();
        let launch = Launch {
            argv0,
            arguments,
            ..launch.clone()
        };
        let input = x11.map(X11::rc_line).unwrap_or_default();
        Some(Rc { launch, input })
    };
    if connection.options.permits(Permission::UserRc) && user.is_file() {
        return shell(&user);
    }
    if Path::new(SYSTEM).is_file() {
        return shell(Path::new(SYSTEM));
    }
    let (x11, xauth) = (x11?, X11::xauth()?);
    let arguments = vec!["-q".into(), "-".into()];
    let launch = Launch {
        shell: xauth,
        argv0: "xauth".into(),
        arguments,
        ..launch.clone()
    };
    Some(Rc {
        launch,
        input: x11.xauth_commands(),
    })
}

impl Rc {
    /// Run it to its end, writing where the session's program will. What goes wrong is logged: it
    /// must not keep anybody out.
    pub(super) async fn run(
        self,
        environment: Vec<(OsString, OsString)>,
        output: (OwnedFd, OwnedFd),
        reaper: &Reaper,
    ) {
        let started = io::pipe().and_then(|(stdin, input)| {
            let streams = [stdin.as_fd(), output.0.as_fd(), output.1.as_fd()];
            let process =
                reaper.start(|| self.launch.spawn(environment, Standard::Each(streams)))?;
            Ok((process, input))
        });
        drop(output);
        match started {
            Ok((process, mut input)) => {
                // A line or two fit a pipe, read or not.
                let _ = input.write_all(self.input.as_bytes());
                drop(input);
                let _ = process.ended.await;
            }
            Err(error) => tracing::warn!(%error, "cannot run what comes before a session"),
        }
    }
}
