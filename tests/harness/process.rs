//! Child processes with a deadline: no test can hang, and none sleeps for a guess.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should be quick may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at again.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` yields a value; panics with `what` when it has not within `patience`.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(INTERVAL);
    }
}

/// Runs `command` to its end with `stdin` as its standard input; kills it and panics after `patience`.
#[track_caller]
pub(crate) fn run(command: &mut Command, stdin: &[u8], patience: Duration) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let stdin = stdin.to_vec();
    let mut child_stdin = child.stdin.take().expect("stdin is piped");
    // A program that ends without reading its input breaks this pipe, which is its own affair.
    thread::spawn(move || child_stdin.write_all(&stdin).ok());
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));

    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a child of ours") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().ok();
            child.wait().ok();
            let stderr = stderr.join().unwrap_or_default();
            let stderr = String::from_utf8_lossy(&stderr);
            panic!("still running after {patience:?}: {command:?}\n{stderr}");
        }
        thread::sleep(INTERVAL);
    };
    let stdout = stdout.join().expect("the reader of stdout does not panic");
    let stderr = stderr.join().expect("the reader of stderr does not panic");
    Output {
        status,
        stdout,
        stderr,
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).ok();
        all
    })
}

/// A background child that dies with the test.
pub(crate) struct Background(pub(crate) Child);

impl Background {
    /// Starts `command`, whose streams the caller has already chosen.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")),
        )
    }

    /// Whether the process has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
