//! A server that `build.sh` made, or a script, run in the background for as long as a test runs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::process::{Background, run};

/// Ends the program behind it when the test that holds its input ends, however it ends.
const LEASH: &str = "\"$@\" </dev/null & pid=$!; \
                     { cat >/dev/null; kill -9 $pid; } 2>/dev/null <&3 & \
                     wait $pid";

/// Starts a program; its log is `NAME.log` in `directory`.
#[track_caller]
pub(crate) fn start(
    directory: &Path,
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
) -> Background {
    let name = program.file_stem().expect("a program").to_str();
    let name = name.expect("UTF-8");
    let log = fs::File::create(directory.join(format!("{name}.log"))).expect("a log");
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("exec 3<&0; {LEASH}"), name])
        .arg(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log);
    Background::start(&mut command)
}

/// Where `build.sh` put a server.
#[track_caller]
pub(crate) fn built(server: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/build.sh");
    let output = run(
        Command::new(script).arg(server),
        b"",
        Duration::from_secs(3600),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).expect("UTF-8").trim())
}

/// A port nobody has now, for programs that cannot pick one themselves.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
