//! Keys that an agent restricts to destinations: `ssh-add -h` and publickey-hostbound.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::pod::Pod;
use crate::running::{Running, Said};

/// An agent of OpenSSH's that holds `alice`, for the host of these known_hosts lines only.
fn agent(pod: &Pod, known_hosts: &str) -> (Background, PathBuf) {
    let (socket, known) = (pod.path("people/agent"), pod.path("people/known_hosts"));
    fs::write(&known, known_hosts).unwrap();
    let mut command = Command::new("ssh-agent");
    let agent = Background::start(command.arg("-D").arg("-a").arg(&socket));
    eventually("the agent listens", PATIENCE, || {
        socket.exists().then_some(())
    });
    let mut add = Command::new("ssh-add");
    add.args(["-h", "workspace", "-H"])
        .args([&known, &pod.person("alice")])
        .env("SSH_AUTH_SOCK", &socket);
    let added = run(&mut add, b"", PATIENCE);
    assert!(added.status.success(), "{added:?}");
    (agent, socket)
}

/// Logs in with what the agent signs and nothing else.
#[track_caller]
fn log_in(pod: &Pod, running: &Running, socket: &std::path::Path) -> Said {
    let public = pod.path("people/alice.pub");
    let mut command = running.command(&public);
    command
        .arg("-o")
        .arg(format!("IdentityAgent={}", socket.display()));
    Said::of(command.args(["-vvv", "127.0.0.1", "true"]))
}

#[test]
fn a_key_restricted_to_this_server_logs_in_through_its_agent() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let mut ask = pod.podssh(["host-keys", "--host-keys"]);
    let state = pod.path("home/.local/state/podssh/host_keys");
    let lines = run(ask.arg(state).arg("workspace"), b"", PATIENCE).stdout;
    let (_agent, socket) = agent(&pod, std::str::from_utf8(&lines).unwrap());
    let said = log_in(&pod, &running, &socket);
    assert!(said.entered(), "{said:?}");
    assert!(
        said.err.contains("publickey-hostbound-v00@openssh.com"),
        "{said:?}"
    );
}

#[test]
fn a_key_restricted_to_another_server_does_not() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let elsewhere = format!("workspace {}\n", pod.line("elsewhere"));
    let (_agent, socket) = agent(&pod, &elsewhere);
    let said = log_in(&pod, &running, &socket);
    assert!(!said.entered(), "{said:?}");
}
