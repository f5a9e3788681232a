//! `ssh -tt` on a terminal of ours: type, look at the screen, change the size.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::harness::client::Client;
use crate::harness::process::{PATIENCE, eventually};

/// A person at a terminal.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
    screen: Arc<Mutex<String>>,
    child: Box<dyn Child + Send + Sync>,
}

impl Terminal {
    /// Runs `ssh -tt ARGS` with its terminal set up by `stty STTY` first.
    #[track_caller]
    pub(crate) fn open(client: &Client, term: &str, stty: &str, args: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(30, 100)).expect("a pty");
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", r#"stty $1 && shift && exec ssh "$@""#, "sh", stty]);
        command.arg("-F");
        command.arg(&client.config);
        command.arg("-tt");
        command.args(args);
        command.env("TERM", term);
        command.env_remove("SSH_AUTH_SOCK");
        let child = pair.slave.spawn_command(command).expect("sh");
        let mut output = pair.master.try_clone_reader().expect("the pty's output");
        let screen = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]);
                shared.lock().expect("nobody panics").push_str(&text);
            }
        });
        let input = pair.master.take_writer().expect("the pty's input");
        Self {
            master: pair.master,
            input,
            screen,
            child,
        }
    }

    /// A login shell on a usual terminal.
    #[track_caller]
    pub(crate) fn shell(client: &Client) -> Self {
        let terminal = Self::open(client, "xterm-256color", "sane", &["workspace"]);
        // What is typed before the shell is there is echoed twice.
        terminal.until(0, "$ ");
        terminal
    }

    /// Everything shown so far.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().expect("nobody panics").clone()
    }

    #[track_caller]
    pub(crate) fn key(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).expect("the terminal");
    }

    /// Types a command and yields what it printed. Its end is marked by text that the echo of the
    /// typed line does not contain.
    #[track_caller]
    pub(crate) fn line(&mut self, command: &str) -> String {
        let from = self.screen().len();
        self.key(&format!("{command}; echo E''ND\r"));
        let shown = self.until(from, "END");
        let body = shown.split_once("ND\r\n").map_or("", |(_, body)| body);
        body.replace("\r\n", "\n")
            .replace("\x1b[?2004h", "")
            .replace("\x1b[?2004l\r", "")
    }

    /// Waits for `text` beyond `from` and yields what was shown before it.
    #[track_caller]
    pub(crate) fn until(&self, from: usize, text: &str) -> String {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            let new = screen.get(from..).unwrap_or_default();
            if let Some((before, _)) = new.split_once(text) {
                return before.to_owned();
            }
            assert!(
                std::time::Instant::now() < deadline,
                "no {text:?} on the screen:\n{screen}"
            );
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[track_caller]
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        self.master.resize(size(rows, cols)).expect("a new size");
    }

    /// Waits for `ssh` to end; its exit code.
    #[track_caller]
    pub(crate) fn end(&mut self) -> u32 {
        let ended = eventually("ssh ends", PATIENCE, || {
            self.child.try_wait().expect("our child")
        });
        ended.exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- screen ---\n{}\n--- end of screen ---", self.screen());
        }
    }
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        ..PtySize::default()
    }
}
