//! `podssh status`: asks the daemon of this workspace how it is. Changes nothing.

use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use super::{Failed, report};
use crate::cli::StatusArgs;
use crate::control::{self, Status};
use crate::exit_code;
use crate::workspace::side_process::State;

/// A daemon that lives answers at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is longer.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// Run it.
pub fn run(args: &StatusArgs) -> u8 {
    let told = ask(args).and_then(|answer| {
        let text = if args.json {
            answer
        } else {
            Page(&parse(&answer)?).to_string()
        };
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(|error| Failed::new(exit_code::SOFTWARE, error))
    });
    match told {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

/// The answer as it came: one JSON document and a line end.
fn ask(args: &StatusArgs) -> Result<String, Failed> {
    let uid = geteuid();
    let path = args
        .control
        .clone()
        .unwrap_or_else(|| control::path(uid.as_raw()));
    let failed = |error: io::Error| explained(&path, &error);
    let mut stream = UnixStream::connect(&path).map_err(failed)?;
    // Whoever else could put a socket there must not be believed.
    let peer = getsockopt(&stream, PeerCredentials).map_err(|errno| failed(errno.into()))?;
    if peer.uid() != uid.as_raw() && !uid.is_root() {
        let path = path.display();
        let message = format!("{path}: belongs to another user (uid {})", peer.uid());
        return Err(Failed::new(exit_code::NO_PERMISSION, message));
    }
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream
        .write_all(format!("{}\n", control::STATUS).as_bytes())
        .map_err(failed)?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER)
        .read_to_string(&mut answer)
        .map_err(failed)?;
    Ok(answer)
}

fn explained(path: &Path, error: &io::Error) -> Failed {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failed::new(
            exit_code::UNAVAILABLE,
            format!(
                "no podssh serves here: nobody answers at {path}; name its socket with --control"
            ),
        ),
        ErrorKind::PermissionDenied => Failed::new(
            exit_code::NO_PERMISSION,
            format!("{path}: {error}; ask as the workspace user"),
        ),
        _ => Failed::new(exit_code::UNAVAILABLE, format!("{path}: {error}")),
    }
}

fn parse(answer: &str) -> Result<Status, Failed> {
    serde_json::from_str(answer).map_err(|error| {
        let answer = answer.trim_end();
        let message = format!("the daemon's answer is not understood ({error}): {answer}");
        Failed::new(exit_code::SOFTWARE, message)
    })
}

/// A status for people.
struct Page<'a>(&'a Status);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let reason = status.reason.as_ref();
        let reason = reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let up = duration(status.uptime);
        writeln!(
            f,
            "podssh {}: {}{reason}, up {up}",
            status.version, status.state
        )?;
        row(f, "listening on", &status.listen.join(", "))?;
        row(
            f,
            "user",
            &format!("{}, home {}", status.user, status.home.path),
        )?;
        for fault in &status.home.faults {
            row(f, "  fault", fault)?;
        }
        row(f, "side process", &side(status))?;
        let hooks = if status.hooks.is_empty() { "none" } else { "" };
        row(f, "start hooks", hooks)?;
        for hook in &status.hooks {
            let (path, outcome, seconds) = (&hook.path, &hook.outcome, hook.seconds);
            writeln!(f, "  {path}: {outcome}, {seconds:.1} s")?;
        }
        row(f, "last end", &status.last_end.to_string())?;
        row(f, "memory kills", &status.memory_kills.to_string())?;
        row(f, "connections", &status.connections.len().to_string())?;
        for connection in &status.connections {
            let mut line = String::new();
            let who = connection.who.as_deref().unwrap_or("(logging in)");
            write!(line, "  {who} from {}", connection.client)?;
            if let Some(key) = &connection.key {
                write!(line, ", {key}")?;
            }
            writeln!(f, "{line}, {}", duration(connection.seconds))?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "{}", format!("{name:<14}{value}").trim_end())
}

fn side(status: &Status) -> String {
    let command = &status.side_process.command;
    match &status.side_process.state {
        State::None => "none".to_owned(),
        State::Waiting => format!("waiting for the start hooks: {command}"),
        State::Running { pid } => format!("running, pid {pid}: {command}"),
        State::Ended { code } => format!("ended with {code}: {command}"),
        State::NotStarted { reason } => reason.clone(),
    }
}

fn duration(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
