//! What several of these tests need: programs that must succeed, ports, SOCKS, HTTP, processes to end.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::harness::daemon::Daemon;
use crate::harness::process::{Background, PATIENCE, eventually, run};

/// For what moves a hundred megabytes, or starts a JVM, on a machine with other work to do.
pub(crate) const LONG: Duration = Duration::from_secs(240);

/// Runs `command` and yields its standard output; shows all it said when it fails.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command, stdin: &[u8], patience: Duration) -> String {
    let output = run(command, stdin, patience);
    assert!(output.status.success(), "{command:?}\n{}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program ended with and said, for people.
pub(crate) fn shown(output: &Output) -> String {
    format!(
        "{}\n--- stdout ---\n{}\n--- stderr ---\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Where ssh may listen. It takes no port 0 for `-D` and would not tell which one it got.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// A directory of the test's own on the client's side.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temp dir")
}

/// Bytes that do not compress, the same for the same `seed`.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Asks for `path` over HTTP/1.0 and yields the body; the server closes when it is done.
pub(crate) fn get(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer)),
    }
}

/// A connection to `127.0.0.1:port` as the SOCKS proxy at `proxy` sees it (RFC 1928).
pub(crate) fn socks(proxy: SocketAddr, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[5, 1, 0])?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice)?;
    let mut request = vec![5, 1, 0, 3, host.len() as u8];
    request.extend(host.as_bytes());
    request.extend(port.to_be_bytes());
    stream.write_all(&request)?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply)?;
    match reply[1] {
        0 => Ok(stream),
        code => Err(io::Error::other(format!("SOCKS reply {code}"))),
    }
}

/// A client that stays: its output can be read line by line with a deadline, its input written.
pub(crate) struct Conversation {
    process: Background,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    /// All of standard output so far.
    pub(crate) heard: Vec<u8>,
    searched: usize,
    patience: Duration,
    errors: PathBuf,
    _directory: tempfile::TempDir,
}

impl Conversation {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let directory = scratch();
        let errors = directory.path().join("stderr");
        let file = fs::File::create(&errors).expect("a file");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut process = Background::start(command);
        let stdin = process.0.stdin.take();
        let mut from = process.0.stdout.take().expect("stdout is piped");
        let (sender, stdout) = channel();
        thread::spawn(move || {
            let mut block = vec![0; 32 << 10];
            while let Ok(length @ 1..) = from.read(&mut block) {
                if sender.send(block[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            process,
            stdin,
            stdout,
            heard: Vec::new(),
            searched: 0,
            patience: PATIENCE,
            errors,
            _directory: directory,
        }
    }

    /// With more time for every answer than [`PATIENCE`].
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    #[track_caller]
    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("not hung up");
        stdin.write_all(text.as_ref()).expect("the client reads");
        stdin.flush().expect("the client reads");
    }

    /// Ends standard input.
    pub(crate) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Reads until what came since the last call matches `pattern`, and yields that.
    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str, pattern: impl Fn(&str) -> bool) -> String {
        let bytes = self.until(what, |bytes| pattern(&String::from_utf8_lossy(bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads until `length` bytes have come since the last call.
    #[track_caller]
    pub(crate) fn expect_bytes(&mut self, what: &str, length: usize) {
        self.until(what, |bytes| bytes.len() >= length);
    }

    #[track_caller]
    fn until(&mut self, what: &str, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + self.patience;
        loop {
            let new = &self.heard[self.searched..];
            if enough(new) {
                let new = new.to_vec();
                self.searched = self.heard.len();
                return new;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stdout.recv_timeout(left) {
                Ok(block) => self.heard.extend(block),
                Err(reason) => {
                    let heard = String::from_utf8_lossy(new);
                    panic!("{what}: {reason}\n--- heard ---\n{heard}\n{}", self.said())
                }
            }
        }
    }

    /// Reads to the end of output and yields the exit status.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.hang_up();
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stdout.recv_timeout(left) {
                Ok(block) => self.heard.extend(block),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the client stays\n{}", self.said()),
            }
        }
        let process = &mut self.process;
        eventually("the client ends", PATIENCE, || {
            process.0.try_wait().expect("a child of ours")
        })
        .code()
    }

    /// What the client wrote to standard error.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        format!("--- stderr ---\n{text}")
    }
}

/// A process in the workspace that was meant to outlive its session; ended with the test.
pub(crate) struct Stray(pub(crate) i32);

impl Stray {
    pub(crate) fn lives(&self) -> bool {
        // A zombie still takes signal 0.
        fs::read_to_string(format!("/proc/{}/stat", self.0))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        // Most have a group of their own, with what they have started.
        killpg(Pid::from_raw(self.0), Signal::SIGKILL).ok();
        kill(Pid::from_raw(self.0), Signal::SIGKILL).ok();
    }
}

/// The directory that `build.sh CLIENT` has put a small client in.
#[track_caller]
pub(crate) fn built(client: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ide/build.sh");
    let out = succeeds(
        Command::new(script).arg(client),
        b"",
        Duration::from_secs(900),
    );
    PathBuf::from(out.trim())
}

/// Host and port the daemon listens on.
pub(crate) fn host_and_port(daemon: &Daemon) -> (&str, &str) {
    daemon.address.rsplit_once(':').expect("HOST:PORT")
}
