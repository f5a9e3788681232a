//! Sessions as a person has them: a terminal that is right, signals, and long silence.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::envoy::{Envoy, replace};
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{PATIENCE, eventually, run};
use crate::harness::tools::python;

/// `ssh -tt workspace` on a terminal of ours.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
    screen: Arc<Mutex<String>>,
    child: Box<dyn Child + Send + Sync>,
}

impl Terminal {
    #[track_caller]
    fn open(client: &Client, rows: u16, cols: u16) -> Self {
        let pair = native_pty_system()
            .openpty(size(rows, cols))
            .expect("a pty");
        let mut command = CommandBuilder::new("sh");
        // An interrupt character that no default has: it must arrive on the other side.
        command.args(["-c", r#"stty intr ^B && exec ssh -F "$0" -tt workspace"#]);
        command.arg(&client.config);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("sh");
        let mut output = pair.master.try_clone_reader().expect("the pty's output");
        let screen = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                shared
                    .lock()
                    .expect("nobody panics with it")
                    .push_str(&text);
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

    /// Types a command and yields what it printed. Its end is marked by text that the echo of the
    /// typed line does not contain.
    #[track_caller]
    fn types(&mut self, command: &str) -> String {
        self.screen.lock().expect("nobody panics with it").clear();
        writeln!(self.input, "{command}; printf 'done%s\\n' ''mark").expect("the pty's input");
        eventually(command, PATIENCE, || {
            let screen = self.screen.lock().expect("nobody panics with it");
            screen.contains("donemark").then(|| screen.clone())
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// Whether one line of what a terminal showed is `line` and nothing else.
fn has_line(screen: &str, line: &str) -> bool {
    screen.split(['\r', '\n']).any(|shown| shown == line)
}

#[test]
fn a_terminal_gets_a_login_shell_with_the_right_modes_and_size() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let mut terminal = Terminal::open(&envoy.client_by_nc(&daemon), 33, 101);

    let answer = terminal.types("shopt login_shell; echo argv0=$0; echo term=$TERM; pwd");
    assert!(
        answer.contains("login_shell    \ton") || answer.contains("login_shell     \ton"),
        "{answer}"
    );
    assert!(answer.contains("argv0=-bash"), "{answer}");
    assert!(answer.contains("term=xterm-256color"), "{answer}");
    assert!(
        answer.contains(daemon.home().to_str().expect("UTF-8")),
        "{answer}"
    );

    let modes = terminal.types("stty -a");
    assert!(modes.contains("rows 33; columns 101;"), "{modes}");
    assert!(modes.contains("intr = ^B;"), "{modes}");
    assert!(has_line(&terminal.types("tput cols"), "101"), "tput cols");

    terminal.master.resize(size(50, 202)).expect("a new size");
    eventually("the new size arrives", PATIENCE, || {
        has_line(&terminal.types("stty size"), "50 202").then_some(())
    });
    assert!(
        has_line(&terminal.types("tput cols"), "202"),
        "tput cols after the change"
    );
}

#[test]
fn a_program_killed_by_a_signal_is_reported_as_such() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let client = envoy.client_by_nc(&daemon);
    // OpenSSH's client tells an exit signal only by its own 255.
    assert_eq!(client.ssh(["kill -TERM $$"]).status.code(), Some(255));

    // asyncssh tells its name.
    let script = format!(
        r#"
import asyncio, asyncssh, sys
async def main():
    gateway, key, known_hosts = sys.argv[1:]
    async with asyncssh.connect("{WORKSPACE}", 80, username="{USER}", client_keys=[key], agent_path=None,
            config=None, host_key_alias="workspace", known_hosts=known_hosts,
            proxy_command=["nc", "-X", "connect", "-x", gateway, "{WORKSPACE}", "80"]) as connection:
        result = await connection.run("kill -TERM $$")
        print(result.exit_signal[0], result.exit_status, result.returncode)
asyncio.run(main())
"#,
        WORKSPACE = crate::envoy::WORKSPACE,
        USER = user(),
    );
    let mut command = Command::new(python());
    command.args(["-c", &script, &envoy.gateway]);
    command.arg(&client.identity).arg(&client.known_hosts);
    let output = run(&mut command, b"", PATIENCE);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "TERM -1 -15\n",
        "{output:?}"
    );
}

/// The shipped gateway, except that silence of five seconds ends a tunnel.
#[track_caller]
fn impatient_envoy(daemon: &Daemon) -> Envoy {
    Envoy::start(
        &[(crate::envoy::WORKSPACE, &daemon.address)],
        |bootstrap| replace(bootstrap, "idle_timeout: 0s", "idle_timeout: 5s"),
        &[],
    )
}

#[test]
fn an_idle_session_outlives_the_gateways_idle_timeout() {
    let daemon = Daemon::start(|setup| setup.args(["--keepalive", "2s"]));
    let envoy = impatient_envoy(&daemon);
    let output = envoy.client_by_nc(&daemon).ssh(["sleep 16; echo alive"]);
    assert_eq!(output.stdout, b"alive\n", "{output:?}");
}

#[test]
fn without_keepalives_the_same_timeout_would_end_it() {
    let daemon = Daemon::start(|setup| setup.args(["--keepalive", "1h"]));
    let envoy = impatient_envoy(&daemon);
    let output = envoy
        .client_by_proxytunnel(&daemon)
        .ssh(["sleep 16; echo alive"]);
    assert_ne!(
        output.stdout, b"alive\n",
        "the test above would prove nothing"
    );
}

/// The shipped gateway as it is, but that timers which do not count for a tunnel, as shipped, are short; the
/// silence is longer than those of Envoy's defaults that could be thought to count (a route's 15 s).
#[test]
fn silence_beyond_every_other_timer_ends_nothing() {
    let daemon = Daemon::start(|setup| setup.args(["--keepalive", "1h"]));
    let timers = "stat_prefix: ssh_connect
          common_http_protocol_options: {idle_timeout: 2s}
          request_timeout: 2s
          request_headers_timeout: 2s
          drain_timeout: 2s
          delayed_close_timeout: 1s";
    let envoy = Envoy::start(
        &[(crate::envoy::WORKSPACE, &daemon.address)],
        |bootstrap| replace(bootstrap, "stat_prefix: ssh_connect", timers),
        &[],
    );
    let output = envoy
        .client_by_proxytunnel(&daemon)
        .ssh(["sleep 17; echo alive"]);
    assert_eq!(output.stdout, b"alive\n", "{output:?}");
}
