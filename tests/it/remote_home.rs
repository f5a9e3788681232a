//! A home on another machine's disk: what of a workspace has to work there all the same. sshfs.rs mounts
//! one here; tests/kernel mounts NFS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::daemon::{binary, generate_key};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::said;
use crate::terminal::Terminal;
use crate::workspace::{Served, Workspace};

/// The life of a workspace, over three starts of its daemon.
#[track_caller]
pub(crate) fn everything_works(workspace: &Workspace) {
    workspace.skeleton(".profile", "export FROM_SKELETON=yes\n", 0o644);
    workspace.skeleton(".ssh/config", "Host *\n", 0o644);
    let hook = "#!/bin/sh\necho started >>by-hook\n";
    workspace.skeleton(".config/podssh/on-start", hook, 0o755);
    let first = workspace.serve();
    files_given(workspace);
    sessions(&first.client);
    transfers(workspace, &first.client);
    an_agent(workspace, &first.client);
    nothing_is_wrong(&first.client);
    strict_modes(workspace, &first);
    said::ok(&first.client.ssh(["rm .profile"]));
    drop(first); // killed

    let mut second = workspace.serve();
    let terminal = Terminal::shell(&second.client);
    let screen = terminal.screen();
    assert!(screen.contains("the last run was cut off"), "{screen}");
    drop(terminal);
    let left = workspace.as_user("ls -A; cat by-hook");
    assert!(!left.contains(".profile"), "it came back: {left}");
    assert!(left.ends_with("started\nstarted\n"), "{left}");
    let pid = Pid::from_raw(second.daemon.0.id() as i32);
    kill(pid, Signal::SIGTERM).expect("our child");
    eventually("it ends", PATIENCE, || {
        (!second.daemon.is_running()).then_some(())
    });

    let third = workspace.serve();
    let told = said::ok(&third.client.ssh([podssh("status")]));
    assert!(told.contains(": SIGTERM"), "{told}");
}

/// A command line for a session.
fn podssh(words: &str) -> String {
    format!("{} {words}", binary().display())
}

/// The skeleton's, host keys and the hook's; nothing half done, and no fault told.
#[track_caller]
fn files_given(workspace: &Workspace) {
    eventually("the start hook has run", PATIENCE, || {
        let text = workspace.as_user("cat by-hook 2>&1 || :");
        text.contains("started").then_some(())
    });
    let found = workspace.as_user(
        "find . -type f | sort; stat -c %a .ssh/config .config/podssh/on-start .local/state/podssh/host_keys/*_key",
    );
    let wanted = ["./.profile", "./.ssh/config", "./.local/state/podssh/run"];
    for name in wanted {
        assert!(
            found.lines().any(|line| line == name),
            "no {name} in:\n{found}"
        );
    }
    assert!(found.contains("\n644\n755\n600\n"), "{found}");
    let rest = ["podssh-seed", ".new"];
    assert!(!rest.iter().any(|name| found.contains(name)), "{found}");
    let log = workspace.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

fn sessions(client: &Client) {
    let output = client.ssh_with(["cat; echo err >&2; exit 7"], b"\0\xff\n");
    let (code, out, err) = (output.status.code(), &*output.stdout, &*output.stderr);
    assert_eq!((code, out, err), (Some(7), &b"\0\xff\n"[..], &b"err\n"[..]));
    let mut terminal = Terminal::shell(client);
    let program = "printf '#!/bin/sh\\necho ran\\n' >x; chmod 755 x; ./x";
    let links = "ln -s x y; readlink y; mv x z; test -e y; echo $?; rm y z";
    let all = format!("echo $FROM_SKELETON; {program}; {links}");
    assert_eq!(terminal.line(&all), "yes\nran\nx\n1\n");
    terminal.key("exit 3\r");
    assert_eq!(terminal.end(), 3);
}

/// Up, over a file that somebody reads, and down again.
#[track_caller]
fn transfers(workspace: &Workspace, client: &Client) {
    let path = |name: &str| workspace.path("client").join(name);
    let (up, down, old) = (path("up"), path("down"), path("old"));
    let data = said::noise(3_000_000);
    fs::write(&up, &data).expect("a file");
    fs::write(&old, "old\n").expect("a file");
    let sftp = |batch: &str| {
        let mut command = client.command("sftp");
        command.args(["-q", "-b", "-", "workspace"]);
        said::ok(&run(&mut command, batch.as_bytes(), PATIENCE))
    };
    let (old, up) = (old.display(), up.display());
    sftp(&format!("put {old} file\nput {up} new\n"));
    while_read(client, || {
        sftp("rename new file\n");
    });
    sftp(&format!(
        "mkdir d\nchmod 700 d\nrename file d/file\nln -s d/file link\nls -l d\nget link {}\nrm link\nrm d/file\nrmdir d\n",
        down.display()
    ));
    assert!(fs::read(&down).expect("the download") == data);
    let mut scp = client.command("scp");
    scp.arg("-q").arg(path("old")).arg("workspace:by-scp");
    said::ok(&run(&mut scp, b"", PATIENCE));
    assert_eq!(workspace.as_user("cat by-scp"), "old\n");
}

/// A session opens `file`, which says `old`, before `change`, and reads it afterwards.
#[track_caller]
fn while_read(client: &Client, change: impl FnOnce()) {
    let mut ssh = client.command("ssh");
    ssh.args(["workspace", "exec 3<file; echo open; read go; cat <&3"]);
    ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader = Background::start(&mut ssh);
    let mut output = BufReader::new(reader.0.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("its first line");
    assert_eq!(line, "open\n");
    change();
    let mut input = reader.0.stdin.take().expect("its input");
    input.write_all(b"go\n").expect("ssh reads");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("its other line");
    assert_eq!(rest, "old\n");
}

/// Reached at the path that stays the same, which is not in the home.
#[track_caller]
fn an_agent(workspace: &Workspace, client: &Client) {
    let socket = workspace.path("client/agent");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    let _agent = Background::start(&mut agent);
    eventually("the agent listens", PATIENCE, || {
        socket.exists().then_some(())
    });
    let mut add = Command::new("ssh-add");
    add.arg("-q").arg(workspace.path("client/id"));
    said::ok(&run(add.env("SSH_AUTH_SOCK", &socket), b"", PATIENCE));
    let agent = format!("IdentityAgent={}", socket.display());
    let mut ssh = client.command("ssh");
    ssh.args(["-A", "-o", &agent, "workspace"]);
    ssh.arg("ssh-add -l; echo $SSH_AUTH_SOCK");
    let told = said::ok(&run(&mut ssh, b"", PATIENCE));
    assert!(told.contains("tester@podssh"), "{told}");
    let path = told.lines().last().unwrap_or_default();
    assert!(path.ends_with("/agent.sock"), "{path}");
    assert!(!Path::new(path).starts_with(&workspace.home), "{path}");
    let no_files = workspace.as_user("find . -type s -o -type p");
    assert_eq!(no_files, "", "in the home");
}

/// As doctor and status see it.
#[track_caller]
fn nothing_is_wrong(client: &Client) {
    let report = said::out(&client.ssh([podssh("doctor --json")]));
    let report: Value = serde_json::from_str(&report).expect("one JSON document");
    let mut of_the_home = 0;
    for check in report["checks"].as_array().expect("checks") {
        let id = check["id"].as_str().expect("an id");
        if id.starts_with("home.") {
            of_the_home += 1;
            assert_eq!(check["severity"], "ok", "{check}");
        }
    }
    assert!(of_the_home > 3, "{report:#}");
    let status = said::ok(&client.ssh([podssh("status --json")]));
    let status: Value = serde_json::from_str(&status).expect("one JSON document");
    assert_eq!(status["home"]["faults"], json!([]), "{status}");
    assert_eq!(status["hooks"][0]["state"], "succeeded", "{status}");
}

/// A key in the home lets in, until others may write to its file.
#[track_caller]
fn strict_modes(workspace: &Workspace, served: &Served) {
    let mut theirs = served.client.clone();
    theirs.identity = workspace.path("client/other");
    let public = generate_key(&theirs.identity);
    let (_, port) = served.address.rsplit_once(':').expect("a port");
    let theirs = theirs.reaching("other", &format!("  HostName 127.0.0.1\n  Port {port}\n"));
    let enters = || theirs.ssh(["true"]).status.success();
    assert!(!enters(), "not yet");
    let write = "umask 077; cat >.ssh/authorized_keys";
    said::ok(&served.client.ssh_with([write], public.as_bytes()));
    eventually("the key lets in", PATIENCE, || enters().then_some(()));
    said::ok(&served.client.ssh(["chmod 664 .ssh/authorized_keys"]));
    eventually("it does not", PATIENCE, || (!enters()).then_some(()));
    let log = workspace.log();
    let named = log.contains(".ssh/authorized_keys") && log.contains("0664");
    assert!(named, "{log}");
}
