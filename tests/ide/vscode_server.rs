//! The real VS Code server, from npm's code-server, in the workspace, and a real Chromium outside that
//! reaches it through the tunnel only. Uploaded, started and found again as Remote-SSH does it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::envoy::Envoy;
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, binary};
use crate::harness::process::eventually;
use crate::support::{Conversation, LONG, Stray, built, free_address, succeeds};

/// Finds the running server or starts it detached, LISTEN being its way to listen, and reports its pid
/// and address. The script then ends; `bash` reads on and holds the connection.
const SCRIPT: &str = r#"
root=$HOME/.vscode-server log=$HOME/.vscode-server/log pidfile=$HOME/.vscode-server/pid
if [ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; then
  found=running
else
  found=started
  setsid nohup node "$root/node_modules/code-server/out/node/entry.js" LISTEN --auth none \
    --disable-telemetry --disable-update-check --disable-workspace-trust "$HOME/project" \
    >"$log" 2>&1 </dev/null &
  echo $! >"$pidfile"
fi
until address=$(grep -m 1 -o 'HTTP server listening on .*' "$log"); do
  kill -0 "$(cat "$pidfile")" || { cat "$log"; exit 1; }
  read -r -t 0.1 _ <> <(:)
done
echo "found==$found=="
echo "pid==$(cat "$pidfile")=="
echo "listeningOn==${address##* }=="
echo "7f3a: end"
"#;

/// No page that takes the keyboard, and a terminal whose text is in the document.
const SETTINGS: &str = r#"{
  "workbench.startupEditor": "none",
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "terminal.integrated.gpuAcceleration": "off"
}"#;

struct Report {
    found: String,
    server: Stray,
    /// `http://127.0.0.1:PORT/` or a path.
    address: String,
}

/// A daemon whose home has a project and, uploaded through it, the server.
#[track_caller]
fn workspace() -> Daemon {
    let daemon = Daemon::start(|setup| {
        let settings = setup.home().join(".local/share/code-server/User");
        fs::create_dir_all(&settings).expect("directories");
        fs::write(settings.join("settings.json"), SETTINGS).expect("settings");
        let project = setup.home().join("project");
        fs::create_dir(&project).expect("a directory");
        fs::write(project.join("seen.txt"), "by the explorer\n").expect("a file");
    });
    // As with remote.SSH.localServerDownload: the client brings the server.
    let mut scp = daemon.client.command("scp");
    scp.arg("-q").arg(built("vscode").join("server.tgz"));
    succeeds(scp.arg("workspace:server.tgz"), b"", LONG);
    let mut ssh = daemon.client.command("ssh");
    let unpack = "mkdir .vscode-server && tar -xzf server.tgz -C .vscode-server";
    succeeds(ssh.args(["-T", "workspace", unpack]), b"", LONG);
    daemon
}

/// Sends the script over `ssh ... bash` and reads what it reports.
#[track_caller]
fn bootstrap(ssh: &mut Conversation, listen: &str) -> Report {
    ssh.say(SCRIPT.replace("LISTEN", listen));
    let text = ssh.expect("the server listens", |text| text.contains("7f3a: end\n"));
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix("=="));
        let value = line.and_then(|line| line.strip_suffix("=="));
        value
            .unwrap_or_else(|| panic!("no {key}: {text}\n{}", ssh.said()))
            .to_owned()
    };
    Report {
        found: value("found"),
        server: Stray(value("pid").parse().expect("a process id")),
        address: value("listeningOn"),
    }
}

/// `ssh -T -D PROXY workspace bash`
fn local_server(client: &Client, proxy: SocketAddr) -> Conversation {
    let mut ssh = client.command("ssh");
    ssh.args([
        "-T",
        "-D",
        &proxy.to_string(),
        "-o",
        "ConnectTimeout=15",
        "workspace",
        "bash",
    ]);
    Conversation::start(&mut ssh).patient(LONG)
}

/// The program of `clients/browser`.
struct Browser(Conversation);

impl Browser {
    #[track_caller]
    fn start(proxy: Option<SocketAddr>) -> Self {
        let mut node = Command::new("node");
        node.arg(built("browser").join("page.js"));
        node.args(proxy.map(|proxy| proxy.to_string()));
        let mut browser = Self(Conversation::start(&mut node).patient(LONG));
        browser
            .0
            .expect("Chromium starts", |text| text.contains("done start\n"));
        browser
    }

    /// One order, carried out.
    #[track_caller]
    fn does(&mut self, order: &str) {
        self.0.say(format!("{order}\n"));
        let word = order.split(' ').next().unwrap_or_default();
        let done = format!("done {word}\n");
        self.0.expect(order, |text| text.contains(&done));
    }
}

/// The file that a command in the terminal, or an editor, is to leave in the project.
#[track_caller]
fn left(daemon: &Daemon, name: &str, content: &str) {
    let path = daemon.home().join("project").join(name);
    eventually(&format!("{name} is {content:?}"), LONG, || {
        let found = fs::read_to_string(&path).ok()?;
        (found == content).then_some(())
    });
}

#[test]
fn the_real_workbench_works_through_the_gateway_and_goes_on_after_a_lost_connection() {
    let daemon = workspace();
    let envoy = Envoy::before(&daemon);
    let connect = format!(
        "{} connect --gateway http://GATEWAY %h %p",
        binary().display()
    );
    let client = envoy.client(&daemon, &connect);
    let proxy = free_address();
    let mut ssh = local_server(&client, proxy);
    let first = bootstrap(&mut ssh, "--bind-addr 127.0.0.1:0");
    assert_eq!(first.found, "started");

    let mut page = Browser::start(Some(proxy));
    page.does(&format!("open {}", first.address));
    page.does("see seen.txt");
    page.does("type echo $((6 * 7)) >typed.txt");
    left(&daemon, "typed.txt", "42\n");
    page.does("see typed.txt"); // the server's watcher told the page
    page.does("edit seen.txt edited ");
    left(&daemon, "seen.txt", "edited by the explorer\n");
    page.does("type here=before");

    // The laptop goes, without a goodbye; the page notices, the server stays.
    drop(ssh);
    page.does("lost");
    assert!(first.server.lives());
    let mut ssh = local_server(&client, proxy);
    let second = bootstrap(&mut ssh, "--bind-addr 127.0.0.1:0");
    let same = (second.found.as_str(), second.server.0, &second.address);
    assert_eq!(
        same,
        ("running", first.server.0, &first.address),
        "{}",
        daemon.log()
    );
    page.does("back");
    // The very terminal of before: its shell still knows.
    page.does("type echo $here and after >again.txt");
    left(&daemon, "again.txt", "before and after\n");
    page.does("see again.txt");
}

#[test]
fn the_real_workbench_works_with_its_server_on_a_unix_socket() {
    let daemon = workspace();
    let socket = daemon.home().join("vscode.sock");
    let listen = format!("--socket '{}'", socket.display());
    // As with useLocalServer=false: one connection installs, another one carries the tunnel.
    let mut install = daemon.client.command("ssh");
    let mut install = Conversation::start(install.args(["-T", "workspace", "bash"])).patient(LONG);
    let report = bootstrap(&mut install, &listen);
    assert_eq!(install.end(), Some(0), "{}", install.said());
    assert_eq!(report.address, socket.display().to_string());
    assert!(report.server.lives());

    let local = free_address();
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-T", "-L", &format!("{local}:{}", socket.display())]);
    ssh.args(["-o", "ExitOnForwardFailure=yes", "workspace", "bash"]);
    let mut tunnel = Conversation::start(&mut ssh);
    tunnel.say("echo ready\n");
    tunnel.expect("the tunnel's own shell", |text| text == "ready\n");
    let mut page = Browser::start(None);
    page.does(&format!("open http://{local}/"));
    page.does("see seen.txt");
    page.does("type echo $((6 * 7)) >typed.txt");
    left(&daemon, "typed.txt", "42\n");
}
