//! Replays of VS Code's Remote-SSH: its install script on the standard input of `ssh -T -D ... bash`, a
//! server that outlives the connection, SOCKS or a stream-local forward to it, and the way back to it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, eventually, run};
use crate::support::{Conversation, Stray, free_address, get, scratch, shown, socks};

/// As the real script: find or start the server, report it between markers, and stay for as long as
/// the connection does. The server is Python's, on a random loopback port that it prints.
const SCRIPT: &str = r#"
set -u
umask 077
DATA=$HOME/.vscode-server
mkdir -p "$DATA/www"
log=$DATA/.log pidfile=$DATA/.pid
exec 200>"$DATA/.lock"
flock 200
if [ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; then
  found=running
else
  found=started
  echo "hello from the server" >"$DATA/www/version"
  cat >"$DATA/server.py" <<'EOF'
import http.server
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
server = Server(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print("listening on", server.server_port, flush=True)
server.serve_forever()
EOF
  ( cd "$DATA/www" && exec setsid nohup python3 "$DATA/server.py" ) 200>&- >"$log" 2>&1 </dev/null &
  echo $! >"$pidfile"
fi
port=
tries=0
while [ -z "$port" ] && [ $tries -lt 600 ]; do
  port=$(sed -n 's/^listening on //p' "$log")
  [ -n "$port" ] || read -r -t 0.05 _ <> <(:) || tries=$((tries + 1))
done
flock -u 200
echo "7f3a: start"
echo "found==$found=="
echo "listeningOn==$port=="
echo "pid==$(cat "$pidfile")=="
echo "arch==$(uname -m)=="
echo "sshAuthSock==${SSH_AUTH_SOCK:-}=="
echo "7f3a: end"
"#;

/// What the script reported.
struct Report {
    found: String,
    port: u16,
    server: Stray,
}

fn value<'a>(report: &'a str, key: &str) -> Option<&'a str> {
    let line = report.lines().find_map(|line| line.strip_prefix(key))?;
    line.strip_prefix("==")?.strip_suffix("==")
}

/// Sends the script and reads what it says; nothing may come before its first marker.
#[track_caller]
fn bootstrap(ssh: &mut Conversation) -> Report {
    ssh.say(SCRIPT);
    let text = ssh.expect("the script's markers", |text| text.contains("7f3a: end\n"));
    assert!(text.starts_with("7f3a: start\n"), "{text}\n{}", ssh.said());
    assert!(text.ends_with("7f3a: end\n"), "{text}");
    let number = |key| {
        let number = value(&text, key).and_then(|value| value.parse::<i32>().ok());
        number.unwrap_or_else(|| panic!("no {key} in\n{text}\n{}", ssh.said()))
    };
    Report {
        found: value(&text, "found").unwrap_or_default().to_owned(),
        port: number("listeningOn") as u16,
        server: Stray(number("pid")),
    }
}

/// `ssh -v -T -D PORT -o ConnectTimeout=15 workspace bash`
fn local_server(daemon: &Daemon) -> (Conversation, std::net::SocketAddr) {
    let proxy = free_address();
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-v", "-T", "-D", &proxy.to_string()])
        .args(["-o", "ConnectTimeout=15", "-o", "RemoteCommand=none"])
        .args(["workspace", "bash"]);
    (Conversation::start(&mut ssh), proxy)
}

#[track_caller]
fn lives_through_a_reconnect(shell: &str) {
    assert!(Path::new(shell).exists(), "{shell} is not installed");
    let daemon = Daemon::start(|setup| {
        setup.shell(shell);
        fs::write(setup.home().join(".hello"), "MOTD\n").expect("a file");
        let motd = setup.home().join(".hello");
        setup.args(["--motd".as_ref(), motd.as_os_str()]);
    });
    let (mut ssh, proxy) = local_server(&daemon);
    let first = bootstrap(&mut ssh);
    assert_eq!(first.found, "started");
    for host in ["127.0.0.1", "localhost"] {
        let body = socks(proxy, host, first.port).and_then(|stream| get(stream, "/version"));
        assert_eq!(body.ok().as_deref(), Some("hello from the server\n"));
    }

    // The laptop goes: no goodbye, and the server must not notice.
    drop(ssh);
    eventually("the connection is gone", PATIENCE, || {
        socks(proxy, "127.0.0.1", first.port).err()
    });
    let (mut ssh, proxy) = local_server(&daemon);
    let second = bootstrap(&mut ssh);
    assert_eq!(second.found, "running", "the server died\n{}", daemon.log());
    assert_eq!((second.server.0, second.port), (first.server.0, first.port));
    assert!(first.server.lives());
    let body = socks(proxy, "localhost", first.port).and_then(|stream| get(stream, "/version"));
    assert_eq!(body.ok().as_deref(), Some("hello from the server\n"));

    // And a goodbye in order: bash reads the end of its input, ssh its exit status.
    assert_eq!(ssh.end(), Some(0), "{}", ssh.said());
    assert!(first.server.lives());
}

#[test]
fn a_vs_code_server_outlives_its_connection_and_is_found_again_by_bash() {
    lives_through_a_reconnect("/bin/bash");
}

#[test]
fn a_vs_code_server_outlives_its_connection_and_is_found_again_by_fish() {
    lives_through_a_reconnect("/usr/bin/fish");
}

#[test]
fn a_vs_code_server_outlives_its_connection_and_is_found_again_by_zsh() {
    lives_through_a_reconnect("/usr/bin/zsh");
}

#[test]
fn a_vs_code_server_outlives_its_connection_and_is_found_again_by_tcsh() {
    lives_through_a_reconnect("/usr/bin/tcsh");
}

#[test]
fn a_script_on_the_input_of_bash_writes_only_what_it_writes() {
    let daemon = Daemon::start(|setup| {
        let motd = setup.home().join(".hello");
        fs::write(&motd, "MOTD\n").expect("a file");
        setup.args(["--motd".as_ref(), motd.as_os_str()]);
    });
    // The check of Remote-SSH's maintainers: echo "echo hello" | ssh host
    let bare = run(
        daemon.client.command("ssh").args(["-T", "workspace"]),
        b"echo hello\n",
        PATIENCE,
    );
    assert_eq!(bare.stdout, b"hello\n", "{}", shown(&bare));
    let script = b"printf 'a\\nb\\r\\n'; printf '\\0\\377'; printf err >&2; tty; exit 3\n";
    let output = run(
        daemon.client.command("ssh").args([
            "-T",
            "-o",
            "ClearAllForwardings=true",
            "workspace",
            "bash",
        ]),
        script,
        PATIENCE,
    );
    assert_eq!(
        output.stdout,
        b"a\nb\r\n\0\xffnot a tty\n",
        "{}",
        shown(&output)
    );
    assert_eq!(output.stderr, b"err", "{}", shown(&output));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_hundred_requests_go_through_one_socks_forward_at_once() {
    let daemon = Daemon::start(|_| ());
    let (mut ssh, proxy) = local_server(&daemon);
    let report = bootstrap(&mut ssh);
    let threads: Vec<_> = (0..100)
        .map(|_| {
            std::thread::spawn(move || {
                socks(proxy, "localhost", report.port).and_then(|stream| get(stream, "/version"))
            })
        })
        .collect();
    for thread in threads {
        let body = thread.join().expect("no panic");
        assert!(body.is_ok(), "{body:?}\n{}", ssh.said());
    }
    // A port nobody listens on is refused, and the connection goes on.
    assert!(socks(proxy, "127.0.0.1", free_address().port()).is_err());
    assert!(socks(proxy, "127.0.0.1", report.port).is_ok());
}

/// `remoteServerListenOnSocket`: the server listens on a unix socket and prints its path.
const SOCKET_SCRIPT: &str = r#"
socket=$(mktemp -d)/vscode-server.sock
cat >"$HOME/server.py" <<'EOF'
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello by socket\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "unix"
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def get_request(self):
        return self.socket.accept()[0], ("unix", 0)
server = Server(sys.argv[1], Handler)
print("listening", flush=True)
server.serve_forever()
EOF
setsid nohup python3 -u "$HOME/server.py" "$socket" >"$HOME/server.log" 2>&1 </dev/null &
until grep -q listening "$HOME/server.log"; do kill -0 $! || { cat "$HOME/server.log"; exit 1; }; done
echo "socketPath==$socket=="
echo "pid==$!=="
echo "7f3a: end"
"#;

#[test]
fn in_socket_mode_a_second_connection_forwards_to_the_servers_socket() {
    let daemon = Daemon::start(|_| ());
    // useLocalServer=false: one connection installs, another one carries the tunnel.
    let install = run(
        daemon
            .client
            .command("ssh")
            .args(["-T", "workspace", "bash"]),
        SOCKET_SCRIPT.as_bytes(),
        PATIENCE,
    );
    let text = String::from_utf8_lossy(&install.stdout);
    let socket = value(&text, "socketPath").unwrap_or_else(|| panic!("{}", shown(&install)));
    let server = Stray(value(&text, "pid").expect("a pid").parse().expect("a pid"));

    let local = scratch();
    let path = local.path().join("local.sock");
    let mut ssh = daemon.client.command("ssh");
    ssh.args(["-T", "-L", &format!("{}:{socket}", path.display())])
        .args(["-o", "ExitOnForwardFailure=yes", "workspace", "bash"]);
    let mut tunnel = Conversation::start(&mut ssh);
    tunnel.say("echo ready\n");
    tunnel.expect("the tunnel's own shell", |text| text == "ready\n");
    for _ in 0..5 {
        let body = UnixStream::connect(&path).and_then(|stream| get(stream, "/"));
        let body = body.unwrap_or_else(|error| panic!("{error}\n{}", tunnel.said()));
        assert_eq!(body, "hello by socket\n");
    }
    assert_eq!(tunnel.end(), Some(0), "{}", tunnel.said());
    assert!(server.lives());
    // The kill command's way: no forwards, a script, gone.
    let kill = run(
        daemon.client.command("ssh").args([
            "-T",
            "-o",
            "ClearAllForwardings=true",
            "workspace",
            "bash",
        ]),
        format!("kill {} && echo killed\n", server.0).as_bytes(),
        PATIENCE,
    );
    assert_eq!(kill.stdout, b"killed\n", "{}", shown(&kill));
    eventually("the server ends", PATIENCE, || {
        (!server.lives()).then_some(())
    });
}

#[test]
fn the_login_shell_runs_the_command_so_its_own_quoting_holds() {
    for (shell, command, expected) in [
        ("/usr/bin/fish", "set x (echo fish); echo $x", "fish\n"),
        ("/usr/bin/zsh", "print -l ${(s:,:)${:-a,b}}", "a\nb\n"),
        ("/usr/bin/tcsh", "set x = tcsh; echo $x:q", "tcsh\n"),
    ] {
        assert!(Path::new(shell).exists(), "{shell} is not installed");
        let daemon = Daemon::start(|setup| setup.shell(shell));
        let mut ssh: Command = daemon.client.command("ssh");
        let output = run(ssh.args(["-T", "workspace", command]), b"", PATIENCE);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, expected, "{shell}: {}", shown(&output));
    }
}
