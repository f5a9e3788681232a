//! `ssh workspace cat` held open, to ask again and again whether it still lives.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::process::{Background, PATIENCE};

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
        let line = format!("line {}", self.count);
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
