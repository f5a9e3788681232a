//! A stock ssh that stays connected, and when and with which words it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use crate::harness::process::{PATIENCE, eventually};
use crate::running::Running;

/// What a removal may take from the swap to the client's end.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(2);

pub(crate) struct Live {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Live {
    /// Connects and waits until the session answers.
    #[track_caller]
    pub(crate) fn start(pod: &Running, key: &Path) -> Self {
        Self::with(pod, key, &[])
    }

    #[track_caller]
    pub(crate) fn with(pod: &Running, key: &Path, options: &[&str]) -> Self {
        let mut child = pod
            .command(key)
            .args(options)
            .args(["127.0.0.1", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut live = Self {
            child,
            input,
            output,
        };
        assert!(live.answers(), "not connected: {}", live.errors());
        live
    }

    /// Whether the session still echoes.
    pub(crate) fn answers(&mut self) -> bool {
        let mut line = String::new();
        self.input.write_all(b"still here\n").is_ok()
            && self.output.read_line(&mut line).is_ok()
            && line == "still here\n"
    }

    /// Waits until the client ends; what it printed. Fails when that takes longer than it may from
    /// `since` on.
    #[track_caller]
    pub(crate) fn ends(mut self, since: Instant) -> String {
        eventually("the connection ends", PATIENCE, || {
            self.child.try_wait().unwrap()
        });
        let took = since.elapsed();
        let errors = self.errors();
        assert!(took < PROMPTLY, "took {took:?}: {errors}");
        errors
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
