//! The thread that carries a busy session's requests out.
//!
//! A request and its answer cross threads twice, and for small files that crossing is most of the
//! work. A thread that sleeps in `read` on a pipe is woken where its waker runs, which measured two
//! to four times faster than one that sleeps on a lock, as the runtime's own blocking threads do.
//! The thread is one of those, borrowed: it goes back when the session is quiet.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::sync::mpsc as std_mpsc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Failure;
use super::engine::Engine;
use super::input::Input;

/// What travels to the thread and back.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) engine: Engine,
    pub(super) input: Input,
}

/// A session that comes back, and what it has to say.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) session: Session,
    pub(super) replies: Vec<Bytes>,
    /// Why the session ends, after these replies.
    pub(super) result: Result<(), Failure>,
}

impl Session {
    fn run(mut self) -> Finished {
        let result = self.engine.run(&mut self.input);
        Finished {
            replies: self.engine.output.take(),
            session: self,
            result,
        }
    }
}

/// A borrowed thread, or none: then each batch borrows one.
#[derive(Debug, Default)]
pub(super) struct Worker {
    thread: Option<Thread>,
}

impl Worker {
    /// Carry out what `session` has in its input.
    pub(super) async fn run(&mut self, session: Session) -> Result<Finished, Failure> {
        if self.thread.is_none() {
            // No descriptor left for the pipe: slower, but no reason to end a session.
            self.thread = Thread::start().ok();
        }
        match &mut self.thread {
            Some(thread) => thread.run(session).await,
            None => blocking(move || session.run()).await,
        }
    }

    /// Give the thread back.
    pub(super) fn release(&mut self) {
        self.thread = None;
    }

    pub(super) fn is_holding(&self) -> bool {
        self.thread.is_some()
    }
}

/// Dropping it closes the pipe, which ends the thread after its current batch.
#[derive(Debug)]
struct Thread {
    bell: PipeWriter,
    sessions: std_mpsc::Sender<Session>,
    finished: mpsc::Receiver<Finished>,
    handle: JoinHandle<()>,
}

impl Thread {
    fn start() -> std::io::Result<Self> {
        let (listening, bell) = pipe()?;
        let (sessions, waiting) = std_mpsc::channel();
        let (results, finished) = mpsc::channel(1);
        let handle = spawn_blocking(move || toil(listening, &waiting, &results));
        Ok(Self {
            bell,
            sessions,
            finished,
            handle,
        })
    }

    async fn run(&mut self, session: Session) -> Result<Finished, Failure> {
        // Neither fails unless the thread is gone, which shows below. One byte in an empty pipe
        // does not block.
        let _ = self.sessions.send(session);
        let _ = self.bell.write(&[0]);
        match self.finished.recv().await {
            Some(finished) => Ok(finished),
            None => match (&mut self.handle).await {
                Err(panicked) => Err(Failure::Worker(panicked)),
                // Unreachable: the thread ends by itself only when the pipe closes.
                Ok(()) => Err(Failure::Closed),
            },
        }
    }
}

fn toil(
    mut bell: PipeReader,
    sessions: &std_mpsc::Receiver<Session>,
    results: &mpsc::Sender<Finished>,
) {
    while bell.read_exact(&mut [0]).is_ok() {
        let Ok(session) = sessions.recv() else { return };
        if results.blocking_send(session.run()).is_err() {
            return;
        }
    }
}

/// Run `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work).await.map_err(Failure::Worker)
}
