//! Messages sent and received by hand, by means of `wire.py`.

use std::path::Path;
use std::process::Command;

use crate::harness::daemon::user;
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools;
use crate::server::Server;

/// Sends the messages of `steps` on a connection of its own and yields what came back, in order.
pub(crate) fn talk(server: &Server, steps: &[&str]) -> String {
    talk_all(server, &[steps]).remove(0)
}

/// As [`talk`] for many conversations, a few of them at a time.
pub(crate) fn talk_all(server: &Server, conversations: &[&[&str]]) -> Vec<String> {
    if conversations.is_empty() {
        return Vec::new();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/wire.py");
    let mut command = Command::new(tools::python());
    command
        .arg(script)
        .arg(server.address.ip().to_string())
        .arg(server.address.port().to_string())
        .arg(user())
        .arg(&server.client.identity)
        .arg(&server.home);
    let steps: Vec<_> = conversations.iter().map(|steps| steps.join("\n")).collect();
    let output = run(&mut command, steps.join("\x0c").as_bytes(), 2 * PATIENCE);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "podssh: {}, {output:?}",
        server.is_podssh
    );
    let outcomes: Vec<_> = text
        .split('\x0c')
        .map(|text| either_order(&server.neutral(text)))
        .collect();
    assert_eq!(outcomes.len(), conversations.len(), "{text}");
    outcomes
}

/// sshd sends exit-status before the last data and EOF, or after them, as its poll happens to find
/// the process and the pipe; podssh always after. What is compared has it after.
fn either_order(outcome: &str) -> String {
    let mut lines: Vec<String> = outcome.lines().map(str::to_owned).collect();
    let mut at = 0;
    while at < lines.len() {
        if let Some((who, _)) = lines[at].split_once("exit-s") {
            let eof = format!("{who}eof");
            if let Some(ahead) = lines[at..].iter().position(|line| *line == eof) {
                lines[at..=at + ahead].rotate_left(1);
                at += ahead;
            }
        }
        at += 1;
    }
    let mut joined: Vec<String> = Vec::new();
    for line in lines {
        let (kind, text) = line.split_once("data: '").unwrap_or_default();
        match joined.last_mut() {
            Some(last) if !text.is_empty() && last.starts_with(&format!("{kind}data: '")) => {
                last.pop();
                last.push_str(text);
            }
            _ => joined.push(line),
        }
    }
    joined.join("\n") + "\n"
}
