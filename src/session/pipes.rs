//! A program on three pipes: `exec` and `shell` without a terminal.
//!
//! Binary clean, standard error apart, end of file both ways.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::Connection;
use super::command::Launch;
use super::exit::Exit;
use super::rc::Rc;
use super::run::{Linger, Running, Signal, drive};
use crate::channel::flow::{self, Gather, Read};
use crate::channel::{Channel, Reader, Writer};
use crate::workspace::reaper::{Reaper, Started};
use crate::workspace::spawn::Standard;

/// What a pipe is made to hold once it has been seen full: fewer and larger reads in bulk.
const BULK_PIPE: i32 = 1 << 20;

/// How long a process may take the last bytes of a channel that has closed.
const LAST_BYTES: Duration = Duration::from_secs(30);

/// Our ends of a process's standard streams.
struct Streams {
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

/// Which of the peer's streams a pipe feeds.
#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

/// Run `launch` on `channel` to its end.
pub(super) async fn run(
    launch: &Launch,
    environment: Vec<(OsString, OsString)>,
    rc: Option<Rc>,
    channel: &mut Channel,
    connection: &Connection,
) -> Exit {
    let workspace = &*connection.workspace;
    let (process, streams) = match spawn(launch, environment, rc, &workspace.reaper).await {
        Ok(spawned) => spawned,
        Err(error) => {
            let shell = launch.shell.display();
            return Exit::Failed(format!("cannot start {shell}: {error}"), 254);
        }
    };
    let Channel {
        reader,
        control,
        writer,
    } = channel;
    let exited = CancellationToken::new();
    let input = feed(
        reader,
        streams.stdin,
        connection.openssh.then_some(&*writer),
    );
    let output = async {
        let stdout = pump(streams.stdout, &exited, writer, Stream::Output);
        let stderr = pump(streams.stderr, &exited, writer, Stream::Error);
        let (stdout, stderr) = tokio::join!(stdout, stderr);
        for rest in [stdout, stderr].into_iter().flatten() {
            let tasks = workspace.tasks.clone();
            workspace.tasks.spawn("discard", async move {
                tokio::select! {
                    () = discard(rest) => {}
                    () = tasks.stopping() => {}
                }
            });
        }
    };
    let pid = process.pid;
    // When the peer leaves, nothing hangs up: a process that outlives its connection finds its pipes
    // closed, as with sshd.
    let signal = |signal: Signal| signal.send_to_group(pid);
    let running = Running {
        process,
        exited: &exited,
        owed: LAST_BYTES,
    };
    drive(control, running, &workspace.tasks, input, output, signal).await
}

async fn spawn(
    launch: &Launch,
    environment: Vec<(OsString, OsString)>,
    rc: Option<Rc>,
    reaper: &Reaper,
) -> io::Result<(Started, Streams)> {
    let (stdin, our_stdin) = io::pipe()?;
    let (our_stdout, stdout) = io::pipe()?;
    let (our_stderr, stderr) = io::pipe()?;
    if let Some(rc) = rc {
        let output = (stdout.try_clone()?.into(), stderr.try_clone()?.into());
        rc.run(environment.clone(), output, reaper).await;
    }
    let process = reaper.start(|| {
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        launch.spawn(environment, Standard::Each(streams))
    })?;
    let streams = Streams {
        stdin: pipe::Sender::from_owned_fd(our_stdin.into())?,
        stdout: pipe::Receiver::from_owned_fd(our_stdout.into())?,
        stderr: pipe::Receiver::from_owned_fd(our_stderr.into())?,
    };
    Ok((process, streams))
}

/// Peer to process. A process that stops reading stops the peer, by its window; one that closed its
/// input has the rest swallowed, as sshd does, and an OpenSSH client is told to stop sending.
async fn feed(reader: &mut Reader, stdin: pipe::Sender, openssh: Option<&Writer>) {
    let poured = flow::pour(reader, &stdin).await;
    drop(stdin);
    if poured.is_err() {
        if let Some(writer) = openssh {
            // A client that is gone needs not be told.
            let _ = writer.end_of_write().await;
        }
        flow::swallow(reader).await;
    }
}

/// Process to peer, to end of file, or until a process that has exited has said nothing for a while
/// although a child of its own still holds the pipe: then the pipe is given back.
async fn pump(
    source: pipe::Receiver,
    exited: &CancellationToken,
    writer: &Writer,
    stream: Stream,
) -> Option<pipe::Receiver> {
    let mut linger = Linger::new(exited);
    let mut gather = Gather::default();
    let mut grown = false;
    loop {
        match gather.read(&source) {
            Read::Data(data) => {
                if data.len() >= flow::READ && !grown {
                    // Beyond the user's share of pipe memory it stays small, which works too.
                    let _ = fcntl(&source, FcntlArg::F_SETPIPE_SZ(BULK_PIPE));
                    grown = true;
                }
                let sent = match stream {
                    Stream::Output => writer.data(data).await,
                    Stream::Error => writer.stderr(data).await,
                };
                sent.ok()?;
            }
            Read::Nothing => {
                if linger.wait(source.readable()).await.is_none() {
                    return Some(source);
                }
            }
            Read::End => return None,
        }
    }
}

/// Keep reading what a background process writes after its session ended: closing the pipe would
/// kill it. Slowly, so that one that never stops costs little.
async fn discard(source: pipe::Receiver) {
    let mut scratch = vec![0; 4096];
    loop {
        match source.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if source.readable().await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
