//! Whole connections: what real clients say once they are logged in is recorded, and said again with
//! packets lost, repeated, out of order and changed; so is the handshake. Nobody else may notice.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::harness::tools::python;
use crate::proc;
use crate::targets::seconds;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/connection.py");
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/connection");
const CRASHES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/fuzz/crashes/connection"
);
/// What the daemon may keep for good after thousands of broken connections, in KiB.
const GROWTH: u64 = 48 * 1024;

fn script(daemon: &Daemon, what: &str) -> Command {
    let (host, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
    let mut command = Command::new(python());
    command
        .arg(SCRIPT)
        .args([host, port, user()])
        .arg(&daemon.client.identity)
        .arg(what);
    command
}

/// Real clients, each on a connection of its own, by way of the recorder.
fn clients(client: &Client, admin: &str, here: &Path) {
    let file = here.join("file");
    fs::write(&file, [b'x'; 3000]).expect("a file");
    let file = file.to_str().expect("text");
    let say = |program: &str, args: &[&str], stdin: &str| {
        let mut command = client.command(program);
        command.args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        let output = run(command.args(args), stdin.as_bytes(), PATIENCE);
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
    };
    say("ssh", &["workspace", "cat; exit 0"], "some input\n");
    say(
        "ssh",
        &["-tt", "-o", "SendEnv=LANG", "workspace"],
        "echo hello\nexit\n",
    );
    say(
        "ssh",
        &[
            "-A",
            "-R",
            "127.0.0.1:0:127.0.0.1:9",
            "-o",
            "SetEnv=LC_X=1",
            "workspace",
            "true",
        ],
        "",
    );
    say(
        "ssh",
        &["-W", admin, "workspace"],
        "GET /livez HTTP/1.0\r\n\r\n",
    );
    let batch = format!(
        "put {file} up\nls -l\nget up {file}\nrename up down\nmkdir d\nln -s down l\ndf\nrm down\nrm l\nrmdir d\n"
    );
    say("sftp", &["-b", "-", "workspace"], &batch);
    say("scp", &[file, "workspace:copied"], "");
}

/// Descriptors, unless a program still runs.
fn at_rest(daemon: &Daemon) -> Option<usize> {
    let (descriptors, _, children) = proc::holds(daemon.pid());
    (children == 0).then_some(descriptors)
}

#[test]
fn changed_connections_of_real_clients_hurt_nobody() {
    let daemon = Daemon::start(|setup| {
        setup.args(["--login-grace", "10s", "--max-auth-tries", "3"]);
    });
    let here = tempfile::tempdir().expect("a temp dir");
    let recordings = here.path().join("recordings");
    fs::create_dir(&recordings).expect("a fresh directory");
    let mut recorder = script(&daemon, "record");
    recorder.arg(&recordings).stdout(Stdio::piped());
    let mut recorder = Background::start(&mut recorder);
    let mut port = String::new();
    let stdout = recorder.0.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut port)
        .expect("its port");
    let lines = format!("  HostName 127.0.0.1\n  Port {}\n", port.trim());
    clients(
        &daemon.client.reaching("recorder", &lines),
        &daemon.admin,
        here.path(),
    );
    drop(recorder);
    if let Some(keep) = std::env::var_os("PODSSH_KEEP_RECORDINGS") {
        for (name, entry) in fs::read_dir(&recordings).expect("recordings").enumerate() {
            let to = PathBuf::from(&keep).join(name.to_string());
            fs::copy(entry.expect("an entry").path(), to).expect("a copy");
        }
    }
    fs::create_dir_all(CRASHES).expect("below target");
    let before = eventually("the recorder's connections are over", PATIENCE, || {
        at_rest(&daemon)
    });
    let resident = proc::resident(daemon.pid());
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
        / 60;
    let mut fuzz = script(&daemon, "fuzz");
    fuzz.arg(&recordings).args([CORPUS, CRASHES]);
    let time = seconds() * 5;
    fuzz.args([time.to_string(), seed.to_string()]);
    let output = run(&mut fuzz, b"", Duration::from_secs(time) + PATIENCE * 5);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "the daemon panicked");
    assert!(
        output.status.success(),
        "seed {seed}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    eprintln!("{}", String::from_utf8_lossy(&output.stdout).trim());
    assert!(daemon.ssh(["true"]).status.success());
    eventually("everything is given back", PATIENCE * 2, || {
        at_rest(&daemon).filter(|now| *now <= before)
    });
    let growth = proc::resident(daemon.pid()).saturating_sub(resident);
    assert!(growth < GROWTH, "grew by {growth} KiB");
}
