//! Python clients, paramiko and asyncssh: a script runs with the daemon's particulars and must not fail.
//!
//! Scripts find `HOST`, `PORT`, `USER`, `KEY`, `HOME` (of the workspace) and `PID` (of the daemon).

use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::{Daemon, user};
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::python;
use crate::said;

/// What every script begins with.
const PRELUDE: &str = r#"
import os, socket, struct, sys, time
HOST, PORT, USER, KEY, HOME, PID = sys.argv[1:7]
PORT, PID = int(PORT), int(PID)

def eventually(condition, what, patience=30):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "not in time: " + what
        time.sleep(0.01)
"#;

/// A paramiko client that is logged in.
pub(crate) const PARAMIKO: &str = r"
import paramiko
def connect():
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(HOST, PORT, USER, key_filename=KEY, allow_agent=False, look_for_keys=False)
    return client
";

/// asyncssh: `main(conn)` of the script is run logged in.
pub(crate) const ASYNCSSH: &str = r"
import asyncio, asyncssh
def connect():
    return asyncssh.connect(HOST, PORT, username=USER, client_keys=[KEY], known_hosts=None, agent_path=None, config=None)
def start(main):
    async def whole():
        async with connect() as conn:
            await asyncio.wait_for(main(conn), 50)
    asyncio.run(whole())
";

/// A connection that is logged in and then spoken to in bare messages.
pub(crate) const WIRE: &str = include_str!("wire.py");

/// Runs `script` after the library parts it needs; yields what it printed.
#[track_caller]
pub(crate) fn check(daemon: &Daemon, library: &str, script: &str) -> String {
    check_for(PATIENCE, daemon, library, script)
}

/// The same for a script that takes longer.
#[track_caller]
pub(crate) fn check_for(
    patience: Duration,
    daemon: &Daemon,
    library: &str,
    script: &str,
) -> String {
    let (host, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
    let mut command = Command::new(python());
    command
        .arg("-c")
        .arg(format!("{PRELUDE}{library}\n{script}"));
    command
        .args([host, port, user()])
        .arg(&daemon.client.identity);
    command.arg(daemon.home()).arg(daemon.pid().to_string());
    said::ok(&run(&mut command, b"", patience))
}
