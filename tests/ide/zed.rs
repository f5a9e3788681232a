//! Zed's way: one ControlMaster without persistence, everything else over its socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::daemon::{Daemon, Setup};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::support::{Conversation, LONG, noise, scratch, shown, succeeds};

/// A master connection and its socket.
struct Master {
    daemon: Daemon,
    local: tempfile::TempDir,
    socket: PathBuf,
    process: Background,
}

impl Master {
    #[track_caller]
    fn start() -> Self {
        let daemon = Daemon::start(Setup::named);
        let local = scratch();
        let socket = local.path().join("ssh.sock");
        let mut ssh = daemon.client.command("ssh");
        ssh.args(["-N", "-o", "ControlPersist=no", "-o", "ControlMaster=yes"])
            .arg("-o")
            .arg(format!("ControlPath={}", socket.display()))
            .arg("workspace")
            .stdin(Stdio::null());
        let process = Background::start(&mut ssh);
        let master = Self {
            daemon,
            local,
            socket,
            process,
        };
        eventually("the master answers", PATIENCE, || {
            let mut check = master.command("ssh", &["-O", "check", "workspace"]);
            run(&mut check, b"", PATIENCE)
                .status
                .success()
                .then_some(())
        });
        master
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.daemon.client.command(program);
        command
            .args(["-o", "ControlMaster=no", "-o"])
            .arg(format!("ControlPath={}", self.socket.display()))
            .args(args);
        command
    }
}

/// A tree as an upload has it: nested, with an executable.
fn tree(at: &Path) {
    for directory in ["bin", "lib/deep/er"] {
        fs::create_dir_all(at.join(directory)).expect("a directory");
    }
    fs::write(at.join("bin/zed-remote-server"), noise(8 << 20, 1)).expect("a file");
    for number in 0..40 {
        let name = format!("lib/deep/er/file {number}");
        fs::write(at.join(name), noise(number * 997, 2)).expect("a file");
    }
    fs::write(at.join("lib/empty"), b"").expect("a file");
}

#[track_caller]
fn same_tree(left: &Path, right: &Path) {
    let mut diff = Command::new("diff");
    succeeds(diff.arg("-r").args([left, right]), b"", PATIENCE);
}

#[test]
fn a_control_master_carries_a_hundred_execs_twenty_at_a_time() {
    let master = Master::start();
    let uname = succeeds(
        &mut master.command("ssh", &["workspace", "uname -sm"]),
        b"",
        PATIENCE,
    );
    assert!(uname.starts_with("Linux "), "{uname}");
    thread::scope(|scope| {
        for first in 0..20 {
            let master = &master;
            scope.spawn(move || {
                for number in (first..100).step_by(20) {
                    let script = format!("echo {number}; exit {}", number % 7);
                    let output = run(
                        &mut master.command("ssh", &["workspace", &script]),
                        b"",
                        PATIENCE,
                    );
                    let text = String::from_utf8_lossy(&output.stdout);
                    assert_eq!(text, format!("{number}\n"), "{}", shown(&output));
                    assert_eq!(output.status.code(), Some(number % 7));
                }
            });
        }
    });
    let log = master.daemon.log();
    assert_eq!(log.matches("logged in").count(), 1, "{log}");
}

#[test]
fn a_server_is_uploaded_by_an_sftp_batch_and_by_scp_over_the_master() {
    let master = Master::start();
    let from = master.local.path().join("tree");
    tree(&from);
    let batch = format!("mkdir up\nput -r {} up/by-sftp\n", from.display());
    succeeds(
        &mut master.command("sftp", &["-b", "-", "workspace"]),
        batch.as_bytes(),
        LONG,
    );
    same_tree(&from, &master.daemon.home().join("up/by-sftp"));

    let from_text = from.display().to_string();
    for (name, options) in [
        ("by-scp", &["-C", "-r"][..]),
        ("by-old-scp", &["-O", "-C", "-r"]),
    ] {
        let to = format!("workspace:up/{name}");
        let mut args = options.to_vec();
        args.extend([from_text.as_str(), &to]);
        succeeds(&mut master.command("scp", &args), b"", LONG);
        same_tree(&from, &master.daemon.home().join("up").join(name));
    }
    let done = "chmod 755 up/by-sftp/bin/zed-remote-server && mv up/by-sftp up/server && ls up";
    let mut ssh = master.command("ssh", &["workspace", done]);
    assert_eq!(
        succeeds(&mut ssh, b"", PATIENCE),
        "by-old-scp\nby-scp\nserver\n"
    );
}

#[test]
fn a_proxy_on_pipes_talks_for_long_while_execs_and_forwards_come_and_go() {
    let mut master = Master::start();
    // The proxy answers each line; a megabyte of them, one by one and then in bulk.
    let mut proxy = Conversation::start(&mut master.command("ssh", &["-T", "workspace", "cat"]));
    for number in 0..50 {
        let line = format!("message {number}\n");
        proxy.say(&line);
        proxy.expect("its answer", |text| text.ends_with(&line));
        if number % 10 == 0 {
            let mut ssh = master.command("ssh", &["workspace", "true"]);
            succeeds(&mut ssh, b"", PATIENCE);
        }
    }
    let socket = master.local.path().join("forward");
    let forward = format!("{}:{}", socket.display(), "127.0.0.1:1");
    for action in ["forward", "cancel"] {
        let mut ssh = master.command("ssh", &["-O", action, "-L", &forward, "workspace"]);
        succeeds(&mut ssh, b"", PATIENCE);
    }
    let bulk = noise(20 << 20, 3);
    let before = proxy.heard.len();
    // More than both windows and every pipe hold: the writer needs a reader at its side.
    for block in bulk.chunks(1 << 20) {
        proxy.say(block);
        let sent = block.len();
        proxy.expect_bytes("the block comes back", sent);
    }
    assert!(proxy.heard[before..] == bulk, "garbled");
    assert_eq!(proxy.end(), Some(0), "{}", proxy.said());
    assert!(master.process.is_running());
}

#[test]
fn on_a_terminal_exec_dollar_zero_becomes_the_login_shell() {
    let daemon = Daemon::start(|_| ());
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-tt", "workspace"])
        .arg("echo 'ZED_SSH_CONNECTION_ESTABLISHED'; exec $0");
    let mut shell = Conversation::start(&mut ssh);
    shell.expect("the marker", |text| {
        text.contains("ZED_SSH_CONNECTION_ESTABLISHED\r\n")
    });
    shell.say("echo shell=$0; exit 9\n");
    shell.expect("the shell", |text| text.contains("shell=bash\r\n"));
    assert_eq!(shell.end(), Some(9), "{}", shell.said());
}
