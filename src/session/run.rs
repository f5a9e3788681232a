//! A running session: one task that owns the channel and listens to it to the end.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::{self, killpg};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use super::environment::{self, Facts, MAX_USER_FILE, USER_FILE};
use super::exit::{Exit, signal_number};
use super::request::{Program, PtyRequest, Setup};
use super::{Connection, command, pipes, pty, rc};
use crate::channel::{Channel, Control, Request, Size};
use crate::forward::X11;
use crate::sftp;
use crate::shutdown::Tasks;
use crate::workspace::reaper::{Ended, Started};

/// How long a process that has exited may be silent while something it started holds its output.
/// Long enough for the last stage of a pipeline, short enough for `ssh host 'server &'`.
const SILENCE: Duration = Duration::from_millis(500);
/// How long in all it may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a process has to end by itself after the hang-up of a stopping daemon, and then once more
/// after SIGTERM.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// How long a program waits for start hooks, whose exports it would miss. A hook that hangs must not
/// keep anybody out.
const START_HOOKS: Duration = Duration::from_secs(10);
/// A message of the day is a screenful; more is cut.
const MAX_MOTD: usize = 64 * 1024;

/// Run `program` to its end and tell the peer.
pub(super) async fn session(setup: Setup, program: Program) {
    let Setup {
        mut channel,
        connection,
        variables,
        pty,
        agent,
        x11,
    } = setup;
    let (program, original) = forced(program, &connection);
    let kind = match &program {
        Program::Shell => "shell",
        Program::Exec(_) => "exec",
        Program::Subsystem(_) => "subsystem",
    };
    tracing::info!(
        conn = connection.number,
        program = kind,
        pty = pty.is_some(),
        "session started"
    );
    let started = Instant::now();
    let asked = Asked {
        original,
        variables,
        pty,
        agent,
        x11,
    };
    let exit = match program {
        Program::Subsystem(_) => subsystem(&mut channel, &connection).await,
        Program::Shell => execute(None, &asked, &mut channel, &connection).await,
        Program::Exec(command) => execute(Some(command), &asked, &mut channel, &connection).await,
    };
    tracing::info!(
        conn = connection.number,
        program = kind,
        exit = exit.label(),
        seconds = started.elapsed().as_secs(),
        "session ended"
    );
    // A peer that left first hears nothing, which is fine.
    let _ = exit.tell(&channel.writer).await;
}

/// What a key that may use SFTP only gets for anything else, as from sshd.
const SFTP_ONLY: &str = "echo 'This service allows sftp connections only.'; exit 1";

/// A key's `command=` replaces what was asked for, which stays known to it.
fn forced(program: Program, connection: &Connection) -> (Program, Option<OsString>) {
    let Some(command) = connection.options.command.clone() else {
        return (program, None);
    };
    let is_sftp = matches!(program, Program::Subsystem(_));
    let original = match program {
        Program::Shell => None,
        Program::Exec(command) => Some(command),
        Program::Subsystem(_) => Some("internal-sftp".into()),
    };
    match (command == "internal-sftp", is_sftp) {
        (true, true) => (Program::Subsystem("sftp".into()), original),
        (true, false) => (Program::Exec(SFTP_ONLY.into()), original),
        (false, _) => (Program::Exec(command), original),
    }
}

/// SFTP is the one subsystem there is.
async fn subsystem(channel: &mut Channel, connection: &Connection) -> Exit {
    let home = connection.workspace.user.home.clone();
    let Channel {
        reader,
        control,
        writer,
    } = channel;
    let serving = sftp::serve(reader, writer, sftp::Options { home });
    let gone = async { while control.next().await != Request::Closed {} };
    tokio::select! {
        served = serving => match served {
            Ok(()) => Exit::Status(0),
            Err(failure) => {
                tracing::info!(conn = connection.number, error = %failure, "sftp ended");
                Exit::Status(1)
            }
        },
        () = gone => Exit::Abandoned,
        () = connection.workspace.tasks.stopping() => Exit::Status(1),
    }
}

/// What a shell or command is made from.
struct Asked {
    /// The command that a key's own replaced.
    original: Option<OsString>,
    variables: Vec<(String, OsString)>,
    pty: Option<PtyRequest>,
    agent: Option<PathBuf>,
    x11: Option<X11>,
}

async fn execute(
    command: Option<OsString>,
    asked: &Asked,
    channel: &mut Channel,
    connection: &Connection,
) -> Exit {
    let workspace = &*connection.workspace;
    let is_shell = command.is_none();
    workspace.condition.settled(START_HOOKS).await;
    let inherited = workspace.condition.environment();
    let launch = match command::launch(&workspace.user, command) {
        Ok(launch) => launch,
        Err(exit) => return exit,
    };
    let user_file = read_start(&workspace.user.home.join(USER_FILE), MAX_USER_FILE as usize);
    let display = asked.x11.as_ref().map(X11::display);
    let rc = rc::find(&launch, connection, asked.x11.as_ref());
    let facts = Facts {
        inherited: &inherited,
        rules: &workspace.rules,
        user_file: &user_file,
        user: &workspace.user,
        client: connection.client,
        server: connection.server,
        tty: None,
        term: asked
            .pty
            .as_ref()
            .map(|pty| pty.term.as_str())
            .filter(|term| !term.is_empty()),
        original_command: asked.original.as_deref(),
        agent: asked.agent.as_deref(),
        display: display.as_deref(),
        client_variables: &asked.variables,
        key_variables: &connection.options.environment,
    };
    match &asked.pty {
        None => pipes::run(&launch, environment::build(&facts), rc, channel, connection).await,
        Some(request) => {
            let greeting = if is_shell {
                greeting(connection, request)
            } else {
                Bytes::new()
            };
            pty::run(&launch, &facts, request, greeting, rc, channel, workspace).await
        }
    }
}

/// The message of the day, for people only: never for `TERM=dumb`, never past `~/.hushlogin`.
fn greeting(connection: &Connection, request: &PtyRequest) -> Bytes {
    let workspace = &*connection.workspace;
    if request.term == "dumb" || workspace.user.home.join(".hushlogin").exists() {
        return Bytes::new();
    }
    let mut text = read_start(&workspace.motd, MAX_MOTD);
    for notice in workspace.condition.notices() {
        text.extend(["podssh: ", &notice, "\n"]);
    }
    Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n"))
}

/// The first `most` bytes of a regular file as text; nothing if there is none.
fn read_start(path: &Path, most: usize) -> String {
    use std::io::Read;
    let regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    if regular && let Ok(file) = std::fs::File::open(path) {
        // Half a file is better than none where reading stops short.
        let _ = file.take(most as u64).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a running process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Number(i32),
    Resize(Size),
    Break,
    /// The daemon stops: one of SIGHUP, SIGTERM and SIGKILL.
    Stop(signal::Signal),
}

impl Signal {
    /// To the whole process group, as sshd; what is no signal is dropped.
    pub(super) fn send_to_group(self, group: Pid) {
        let number = match self {
            Self::Number(number) => number,
            Self::Stop(signal) => signal as i32,
            Self::Resize(_) | Self::Break => return,
        };
        if let Ok(signal) = signal::Signal::try_from(number) {
            // A group that has ended just now needs no signal.
            let _ = killpg(group, signal);
        }
    }
}

/// A process that is being driven.
pub(super) struct Running<'a> {
    pub(super) process: Started,
    /// Cancelled once it has exited.
    pub(super) exited: &'a CancellationToken,
    /// How long input may still flow after the peer has closed the channel.
    pub(super) owed: Duration,
}

/// Let a process, its input and its output run side by side until it has exited and its output is
/// drained, while listening to the peer.
pub(super) async fn drive(
    control: &mut Control,
    running: Running<'_>,
    tasks: &Tasks,
    input: impl Future<Output = ()>,
    output: impl Future<Output = ()>,
    signal: impl Fn(Signal),
) -> Exit {
    let Running {
        mut process,
        exited,
        owed,
    } = running;
    let (mut input, mut output, mut stopping) = (pin!(input), pin!(output), pin!(tasks.stopping()));
    let (mut input_done, mut output_done) = (false, false);
    let mut told = None;
    let mut ended: Option<Ended> = None;
    let mut last_words = pin!(tokio::time::sleep(Duration::MAX / 2));
    loop {
        if let Some(ended) = ended
            && output_done
        {
            return ended.into();
        }
        tokio::select! {
            // Requests first: a window's new size counts before what is typed after it.
            biased;
            request = control.next() => match request {
                Request::Closed => {
                    // What came before the close is owed to the process still.
                    if !input_done {
                        tokio::select! {
                            () = &mut input => {}
                            () = &mut stopping => {}
                            () = tokio::time::sleep(owed) => {}
                        }
                    }
                    return Exit::Abandoned;
                }
                Request::Resize(size) => signal(Signal::Resize(size)),
                Request::Break => signal(Signal::Break),
                Request::Signal(name) => {
                    if let Some(number) = signal_number(&name) {
                        signal(Signal::Number(number));
                    }
                }
            },
            end = &mut process.ended, if ended.is_none() => {
                exited.cancel();
                // The reaper goes away only with the whole daemon.
                let Ok(end) = end else { return Exit::Abandoned };
                ended = Some(end);
            }
            () = &mut output, if !output_done => output_done = true,
            () = &mut input, if !input_done => input_done = true,
            () = &mut stopping, if told.is_none() => {
                told = Some(signal::SIGHUP);
                signal(Signal::Stop(signal::SIGHUP));
                last_words.as_mut().reset(tokio::time::Instant::now() + LAST_WORDS);
            }
            () = &mut last_words, if told.is_some() => {
                if told == Some(signal::SIGHUP) {
                    told = Some(signal::SIGTERM);
                    signal(Signal::Stop(signal::SIGTERM));
                    last_words.as_mut().reset(tokio::time::Instant::now() + LAST_WORDS);
                    continue;
                }
                signal(Signal::Stop(signal::SIGKILL));
                let killed = Ended::Killed { signal: signal::SIGKILL as i32, core: false };
                return ended.unwrap_or(killed).into();
            }
        }
    }
}

/// How long output may be waited for once its process has exited.
pub(super) struct Linger<'a> {
    exited: &'a CancellationToken,
    patience: Duration,
}

impl<'a> Linger<'a> {
    pub(super) fn new(exited: &'a CancellationToken) -> Self {
        Self {
            exited,
            patience: PATIENCE,
        }
    }

    /// Wait for output; `None` once the process has exited and it has been waited for long enough.
    pub(super) async fn wait<F: Future>(&mut self, more: F) -> Option<F::Output> {
        let mut more = pin!(more);
        tokio::select! {
            biased;
            output = &mut more => return Some(output),
            () = self.exited.cancelled() => {}
        }
        let began = Instant::now();
        let output = tokio::time::timeout(SILENCE.min(self.patience), more).await;
        self.patience = self.patience.saturating_sub(began.elapsed());
        output.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn output_is_waited_for_without_end_while_the_process_lives() {
        let exited = CancellationToken::new();
        let mut linger = Linger::new(&exited);
        let hour = tokio::time::sleep(Duration::from_secs(3600));
        assert!(linger.wait(hour).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_the_exit_ends_the_wait_and_output_prolongs_it() {
        let exited = CancellationToken::new();
        exited.cancel();
        let mut linger = Linger::new(&exited);
        assert!(
            linger
                .wait(tokio::time::sleep(Duration::from_millis(400)))
                .await
                .is_some()
        );
        assert!(linger.wait(std::future::pending::<()>()).await.is_none());
    }

    #[test]
    fn what_is_no_regular_file_reads_as_nothing() {
        assert_eq!(read_start(Path::new("/dev/zero"), 10), "");
        assert_eq!(read_start(Path::new("/nonexistent"), 10), "");
    }
}
