//! Proof that a route works: the SSH server's first line, seen through the gateway by the very program that
//! ssh will use.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Failed;
use crate::exit_code;

/// RFC 4253 section 4.2: an identification string is at most 255 bytes.
const LONGEST: u64 = 255;

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Ask for it until `patience` is over; the line. A gateway hears of a new workspace when its own list has
/// reached it, which takes a kubelet up to two minutes: until then it knows no such name, and that is no
/// reason to give up.
pub(super) fn through(gateway: &str, host: &str, patience: Duration) -> Result<String, Failed> {
    let deadline = Instant::now() + patience;
    loop {
        let reason = match once(gateway, host) {
            Ok(banner) => return Ok(banner),
            Err(reason) => reason,
        };
        if Instant::now() + PAUSE >= deadline {
            let message = format!(
                "the workspace is ready, but the route to it does not work: {reason}; check the gateway and --gateway, then run podssh up again"
            );
            return Err(Failed::new(exit_code::UNAVAILABLE, message));
        }
        thread::sleep(PAUSE);
    }
}

/// One try, by `podssh connect`.
fn once(gateway: &str, host: &str) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["connect", "--gateway", gateway, "--wait", "1s", host, "80"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // What is not text is no banner either.
        let _ = BufReader::new(stdout).take(LONGEST).read_line(&mut line);
    }
    let _ = child.kill();
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let banner = line.trim_end();
    if banner.starts_with("SSH-2.0-") {
        return Ok(banner.to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("no SSH server answered");
    Err(said.trim_start_matches("podssh: ").to_owned())
}
