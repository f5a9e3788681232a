//! The session between channel and engine: one side waits for requests and has them carried out,
//! the other waits for the peer's window. Neither holds up the other for less than two batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::engine::Engine;
use super::input::Input;
use super::{Failure, Options};
use crate::channel::{Reader, Writer};
use crate::workers::aside;

/// Batches of replies waiting to be sent, beside the one being sent and the one being made. Each
/// is at most about 0.75 MiB.
const WAITING: usize = 1;
/// A session without a request for so long gives its buffers back.
const QUIET: Duration = Duration::from_secs(1);

/// Serve one session until the client's end of file; everything asked before it is answered.
///
/// The caller sends EOF, exit-status and close. Cancel safe: dropping it ends the session; a system
/// call that hangs then (a dead network file system) keeps a thread until it returns and nothing
/// else. It may therefore also wait for such a call; a caller that learns of the channel's close
/// should drop it.
pub async fn serve(reader: &mut Reader, writer: &Writer, options: Options) -> Result<(), Failure> {
    let stop = Stop::default();
    let (sender, replies) = mpsc::channel(WAITING);
    let worked = async {
        // The sender goes when the work ends, which ends the sending.
        let flag = Arc::clone(&stop.0);
        Ok(work(reader, sender, options, flag).await)
    };
    let (result, ()) = tokio::try_join!(worked, send(replies, writer))?;
    result
}

/// Tells the engine that nobody waits for it any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What goes where it may block, and comes back.
struct Session {
    engine: Engine,
    input: Input,
}

/// A session that comes back, and what it has to say.
struct Finished {
    session: Session,
    replies: Vec<Bytes>,
    /// Why the session ends, after these replies.
    result: Result<(), Failure>,
}

impl Session {
    fn open(options: &Options, stop: Arc<AtomicBool>) -> Result<Self, Failure> {
        Ok(Self {
            engine: Engine::open(options, stop)?,
            input: Input::default(),
        })
    }

    fn run(mut self) -> Finished {
        let result = self.engine.run(&mut self.input);
        Finished {
            replies: self.engine.output.take(),
            session: self,
            result,
        }
    }
}

async fn work(
    reader: &mut Reader,
    sender: mpsc::Sender<Vec<Bytes>>,
    options: Options,
    stop: Arc<AtomicBool>,
) -> Result<(), Failure> {
    let mut session = aside(move || Session::open(&options, stop)).await??;
    loop {
        while let Some(chunk) = reader.try_chunk() {
            session.input.push(chunk);
        }
        if !session.input.is_ready() {
            reader.consumed(session.input.advance());
            match next(reader, &mut session).await {
                Some(chunk) => session.input.push(chunk),
                None => break,
            }
            continue;
        }
        let finished = aside(move || session.run()).await?;
        session = finished.session;
        reader.consumed(session.input.settle());
        if !finished.replies.is_empty() {
            let sent = sender.send(finished.replies).await;
            sent.map_err(|_| Failure::Closed)?;
        }
        finished.result?;
    }
    // Closing a file may block as well.
    Ok(aside(move || drop(session)).await?)
}

/// The next chunk; buffers not needed meanwhile are given back after a while.
async fn next(reader: &mut Reader, session: &mut Session) -> Option<Bytes> {
    if session.engine.output.is_holding() {
        if let Ok(chunk) = timeout(QUIET, reader.chunk()).await {
            return chunk;
        }
        session.engine.output.release();
    }
    reader.chunk().await
}

async fn send(mut replies: mpsc::Receiver<Vec<Bytes>>, writer: &Writer) -> Result<(), Failure> {
    while let Some(batch) = replies.recv().await {
        for bytes in batch {
            writer.data(bytes).await.map_err(|_| Failure::Closed)?;
        }
    }
    Ok(())
}
