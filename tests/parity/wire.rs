//! Messages sent and received by hand, by means of `wire.py`.

use std::path::Path;
use std::process::Command;

use crate::harness::daemon::user;
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools;
use crate::server::Server;

/// Sends the messages of `steps` on a connection of its own and yields what came back, in order.
pub(crate) fn talk(server: &Server, steps: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/wire.py");
    let mut command = Command::new(tools::python());
    command
        .arg(script)
        .args([
            server.address.ip().to_string(),
            server.address.port().to_string(),
        ])
        .arg(user())
        .arg(&server.client.identity)
        .arg(&server.home);
    let output = run(&mut command, steps.join("\n").as_bytes(), PATIENCE);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.neutral(&text)
}
