//! A program on a pseudo-terminal. The only file that names portable-pty.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd::Pid;
use portable_pty::{MasterPty, PtySize, native_pty_system};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::Workspace;
use super::command::Launch;
use super::environment::{self, Facts};
use super::exit::Exit;
use super::rc::Rc;
use super::request::PtyRequest;
use super::run::{Linger, Running, Signal, drive};
use crate::channel::{Channel, Reader, Size};
use crate::workspace::reaper::{Reaper, Started};
use crate::workspace::spawn::Standard;

/// One read: a terminal hands out a few KiB at a time.
const READ: usize = 16 * 1024;
/// A read of less than this has most likely taken all there was.
const FEW: usize = 256;
/// Output is sent on once this much has been gathered, or when there is no more for now.
const SEND: usize = 32 * 1024;

/// The master's end of a pseudo-terminal.
struct Terminal {
    pty: Box<dyn MasterPty + Send>,
    fd: AsyncFd<OwnedFd>,
}

/// Run `launch` on a terminal of its own, on `channel`, to its end.
pub(super) async fn run(
    launch: &Launch,
    facts: &Facts<'_>,
    request: &PtyRequest,
    greeting: Bytes,
    rc: Option<Rc>,
    channel: &mut Channel,
    workspace: &Workspace,
) -> Exit {
    let (process, terminal) = match spawn(launch, facts, request, rc, &workspace.reaper).await {
        Ok(spawned) => spawned,
        Err(error) => {
            return Exit::Failed(
                format!(
                    "cannot start {} on a terminal: {error:#}",
                    launch.shell.display()
                ),
                254,
            );
        }
    };
    let Channel {
        reader,
        control,
        writer,
    } = channel;
    let exited = CancellationToken::new();
    let (pid, Terminal { pty, fd }) = (process.pid, terminal);
    let fd = &fd;
    let input = feed(reader, fd);
    let output = async {
        if !greeting.is_empty() && writer.data(greeting).await.is_err() {
            return;
        }
        let mut linger = Linger::new(&exited);
        while let Some(data) = read(fd, &mut linger).await {
            if writer.data(data).await.is_err() {
                return;
            }
        }
    };
    let notice = async {
        workspace.tasks.draining().await;
        let reason = workspace.tasks.reason();
        let _ = writer
            .data(format!(
                "\r\npodssh: this workspace is stopping: {reason}\r\n"
            ))
            .await;
        std::future::pending::<()>().await;
    };
    let tell = move |signal| tell(&*pty, fd, pid, signal);
    let running = Running {
        process,
        exited: &exited,
        owed: Duration::ZERO,
    };
    let driven = drive(control, running, &workspace.tasks, input, output, tell);
    tokio::select! {
        exit = driven => exit,
        () = notice => Exit::Abandoned,
    }
}

async fn spawn(
    launch: &Launch,
    facts: &Facts<'_>,
    request: &PtyRequest,
    rc: Option<Rc>,
    reaper: &Reaper,
) -> anyhow::Result<(Started, Terminal)> {
    // The library opens the terminal and marks it close-on-exec in two steps; no start may come
    // between.
    let pty = reaper
        .exclusively(|| native_pty_system().openpty(pty_size(request.size)))?
        .master;
    let fd = duplicate(&*pty)?;
    // A mode this terminal refuses is no reason to refuse the terminal.
    let _ = request.modes.apply(&fd);
    let name = pty.tty_name().context("the terminal has no name")?;
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(&name)?;
    let environment = environment::build(&Facts {
        tty: Some(&name),
        ..*facts
    });
    if let Some(rc) = rc {
        let output = (tty.try_clone()?.into(), tty.try_clone()?.into());
        rc.run(environment.clone(), output, reaper).await;
    }
    let process = reaper.start(|| launch.spawn(environment, Standard::Terminal(&name)))?;
    // Held until here: a terminal that nobody has open reads as hung up.
    drop(tty);
    Ok((process, Terminal { pty, fd }))
}

/// A descriptor of our own for the master, without blocking: the library's has only blocking calls.
#[expect(
    unsafe_code,
    reason = "the library lends the master's descriptor as a bare number only"
)]
fn duplicate(master: &(dyn MasterPty + Send)) -> anyhow::Result<AsyncFd<OwnedFd>> {
    let raw = master.as_raw_fd().context("no descriptor")?;
    // SAFETY: `master` is borrowed for the whole of this function and owns `raw`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let own = borrowed.try_clone_to_owned()?;
    let flags = OFlag::from_bits_retain(fcntl(&own, FcntlArg::F_GETFL)?);
    fcntl(&own, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(watch(own, Interest::READABLE)?)
}

/// Registered for what is waited for and no more: a terminal reports that it can be written to after
/// each key its program has read, which would wake this thread once more for every echo.
#[expect(
    unsafe_code,
    reason = "the safe call wants a promise that the descriptor keeps"
)]
fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` always returns the same descriptor, which stays open while it lives.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest)? })
}

/// Sizes beyond what a terminal can have, as 0 and 4294967295, become what it can.
fn pty_size(size: Size) -> PtySize {
    let fit = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    PtySize {
        rows: fit(size.rows),
        cols: fit(size.columns),
        pixel_width: fit(size.width),
        pixel_height: fit(size.height),
    }
}

/// Pass on what the peer asks of the terminal or its program.
fn tell(pty: &(dyn MasterPty + Send), fd: &AsyncFd<OwnedFd>, leader: Pid, signal: Signal) {
    match signal {
        Signal::Resize(size) => {
            // The kernel tells the foreground group (SIGWINCH).
            if let Err(error) = pty.resize(pty_size(size)) {
                tracing::debug!(%error, "window-change");
            }
        }
        Signal::Break => {
            let _ = nix::sys::termios::tcsendbreak(fd, 0);
        }
        // What is in the foreground, whoever leads it. When the peer leaves, the terminal is closed
        // instead, and the kernel does the same.
        Signal::Stop(_) => {
            let foreground = pty.process_group_leader().map(Pid::from_raw);
            for group in foreground
                .filter(|group| *group != leader)
                .into_iter()
                .chain([leader])
            {
                signal.send_to_group(group);
            }
        }
        Signal::Number(_) => signal.send_to_group(leader),
    }
}

/// What the program wrote; `None` when everything that had the terminal open has closed it, or when
/// its leader has exited and the rest is silent.
async fn read(fd: &AsyncFd<OwnedFd>, linger: &mut Linger<'_>) -> Option<Bytes> {
    let mut data = Vec::new();
    let read = fd.async_io(Interest::READABLE, |fd| gather(fd, &mut data));
    linger.wait(read).await?.ok()?;
    (!data.is_empty()).then(|| compact(data))
}

/// Read what is there. Nothing and no error: the end. After a few bytes no more are looked for: an
/// echo is one read.
fn gather(fd: &OwnedFd, data: &mut Vec<u8>) -> io::Result<()> {
    while data.len() < SEND {
        data.reserve(READ);
        match rustix::io::read(fd, rustix::buffer::spare_capacity(data)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if data.is_empty() => {
                // An idle terminal keeps no buffer.
                *data = Vec::new();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // EIO: the last descriptor of the other side is closed, and all was read.
            Ok(0) | Err(_) => break,
            Ok(few) if few < FEW => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// A keystroke's echo must not hold a whole read buffer until it is sent.
fn compact(data: Vec<u8>) -> Bytes {
    if data.len() < data.capacity() / 4 {
        Bytes::copy_from_slice(&data)
    } else {
        Bytes::from(data)
    }
}

/// Peer to terminal. End of file closes nothing: a terminal has no half-close, as with sshd.
async fn feed(reader: &mut Reader, fd: &AsyncFd<OwnedFd>) {
    while let Some(piece) = reader.chunk().await {
        // Nobody has the terminal open any more; what is typed is lost, as it would be.
        let _ = write(fd, &piece).await;
        reader.consumed(piece.len());
    }
}

async fn write(fd: &AsyncFd<OwnedFd>, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let own = watch(fd.get_ref().try_clone()?, Interest::WRITABLE)?;
                let _ = own.writable().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
