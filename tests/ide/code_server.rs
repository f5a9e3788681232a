//! The real thing: npm's `code-server`, uploaded and started through ssh, its page used by Chromium
//! through the tunnel.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually};
use crate::support::{Conversation, LONG, Stray, built, free_address, scratch, succeeds};

/// Starts the server as Remote-SSH does its own, on a port the kernel chooses.
const SCRIPT: &str = r#"
cd "$HOME"
mkdir -p project && echo 'fn main() {}' >project/main.rs
setsid nohup node .vscode-server/node_modules/code-server/out/node/entry.js \
  --auth none --bind-addr 127.0.0.1:0 --disable-telemetry --disable-update-check \
  --disable-workspace-trust --disable-getting-started-override project >server.log 2>&1 </dev/null &
pid=$!
until grep -q 'HTTP server listening' server.log; do
  kill -0 $pid 2>/dev/null || { cat server.log >&2; exit 1; }
done
echo "pid==$pid=="
sed -n 's#.*listening on http://127.0.0.1:\([0-9]*\).*#port==\1==#p' server.log
echo ready
"#;

fn number(report: &str, key: &str) -> i32 {
    let value = report.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.strip_prefix("==")?;
        rest.strip_suffix("==")?.parse().ok()
    });
    value.unwrap_or_else(|| panic!("no {key} in\n{report}"))
}

#[test]
fn a_browser_opens_vs_code_through_the_tunnel_and_types_in_its_terminal() {
    for (program, of) in [
        ("/usr/bin/chromium", "chromium"),
        ("/usr/bin/node", "nodejs"),
    ] {
        assert!(
            Path::new(program).exists(),
            "{of} is missing: run scripts/install test"
        );
    }
    let daemon = Daemon::start(|_| ());
    let archive = built("code-server").join("code-server.tar.gz");
    let mut upload = daemon.client.command("ssh");
    upload.args([
        "workspace",
        "mkdir .vscode-server && tar -xzf - -C .vscode-server",
    ]);
    let archive = fs::read(archive).expect("the archive");
    succeeds(&mut upload, &archive, LONG);

    let mut ssh = daemon.client.command("ssh");
    let mut install = Conversation::start(ssh.args(["-T", "workspace", "bash"]));
    install.say(SCRIPT);
    let report = install.expect("the server's report", |text| text.ends_with("ready\n"));
    let server = Stray(number(&report, "pid"));
    assert_eq!(install.end(), Some(0));

    // A new connection, as after a reconnect, carries the tunnel.
    let local = free_address();
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-T", "-o", "ExitOnForwardFailure=yes", "-L"])
        .arg(format!("{local}:localhost:{}", number(&report, "port")))
        .args(["workspace", "bash"]);
    let mut tunnel = Conversation::start(&mut ssh);
    tunnel.say("echo ready\n");
    tunnel.expect("the tunnel", |text| text == "ready\n");

    // PODSSH_SCREENSHOT=FILE keeps what the page looked like.
    let directory = scratch();
    let shot = std::env::var_os("PODSSH_SCREENSHOT")
        .map_or_else(|| directory.path().join("page.png"), Into::into);
    let proof = daemon.home().join("proof");
    let mut page = Command::new("node");
    page.arg(built("node").join("page.js"))
        .arg(format!("http://{local}/"))
        .arg(&shot)
        .arg("echo \"$PWD $SSH_CONNECTION\" >~/proof.new && mv ~/proof.new ~/proof");
    let title = succeeds(&mut page, b"", LONG);
    assert!(title.contains("project"), "{title}");
    assert!(
        fs::metadata(&shot).is_ok_and(|file| file.len() > 20_000),
        "an empty page"
    );
    let typed = eventually("what was typed has run in the workspace", PATIENCE, || {
        fs::read_to_string(&proof).ok()
    });
    let project = daemon.home().join("project");
    assert!(
        typed.starts_with(&format!("{} 127.0.0.1 ", project.display())),
        "{typed}"
    );
    assert_eq!(tunnel.end(), Some(0), "{}", tunnel.said());
    assert!(server.lives());
}
