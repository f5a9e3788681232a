//! `ssh workspace cat` held open, to ask again and again whether it still lives.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::process::{Background, PATIENCE, eventually};

/// An open session whose program echoes lines.
pub(crate) struct Session {
    process: Background,
    lines: Receiver<String>,
    count: u32,
}

impl Session {
    /// Opens it and proves it by one echo.
    #[track_caller]
    pub(crate) fn open(client: &Client) -> Self {
        let mut command = client.command("ssh");
        command.args(["workspace", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Background::start(&mut command);
        let stdout = process.0.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|l| sender.send(l))
        });
        let mut session = Self {
            process,
            lines,
            count: 0,
        };
        assert!(session.echoes(), "a fresh session echoes");
        session
    }

    /// Whether a line comes back.
    pub(crate) fn echoes(&mut self) -> bool {
        self.count += 1;
        self.returns(&format!("line {}", self.count))
    }

    /// Whether a line of some 32 KiB comes back, no two alike.
    fn echoes_long(&mut self) -> bool {
        self.count += 1;
        self.returns(&format!("line {} ", self.count).repeat(3000))
    }

    fn returns(&mut self, line: &str) -> bool {
        let stdin = self.process.0.stdin.as_mut().expect("stdin is piped");
        if writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .is_err()
        {
            return false;
        }
        self.lines
            .recv_timeout(PATIENCE)
            .is_ok_and(|back| back == line)
    }

    /// Whether the session ends by itself within `patience`, without being touched.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        matches!(
            self.lines.recv_timeout(patience),
            Err(RecvTimeoutError::Disconnected)
        )
    }
}

/// A session that echoes a long line, then the next, until it is told to stop.
pub(crate) struct Busy {
    rounds: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<bool>,
}

impl Busy {
    pub(crate) fn new(mut session: Session) -> Self {
        let (rounds, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counted, stopped) = (Arc::clone(&rounds), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if !session.echoes_long() {
                    return false;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            true
        });
        Self {
            rounds,
            stop,
            thread,
        }
    }

    /// Whether it comes at least two rounds further, so that one began after the call.
    pub(crate) fn goes_on(&self) -> bool {
        let before = self.rounds.load(Ordering::Relaxed);
        eventually("a busy session goes on", PATIENCE, || {
            let rounds = self.rounds.load(Ordering::Relaxed);
            (self.thread.is_finished() || rounds > before + 1).then_some(())
        });
        !self.thread.is_finished()
    }

    /// Stops it: every byte has come back as it went.
    #[track_caller]
    pub(crate) fn ends_byte_exact(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(
            self.thread.join().expect("it does not panic"),
            "bytes were lost"
        );
    }
}
