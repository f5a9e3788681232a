//! Every tool that can carry ssh through an HTTP CONNECT gateway: exit status and a megabyte of data.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::daemon::{Daemon, binary, user};
use crate::harness::process::{PATIENCE, run};

/// Proves one ProxyCommand; `GATEWAY`, `GATEWAY_HOST` and `GATEWAY_PORT` stand for the address.
#[track_caller]
fn carries_ssh(proxy_command: &str, further_options: &[&str]) {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let (host, port) = envoy.gateway.rsplit_once(':').expect("HOST:PORT");
    let proxy_command = proxy_command
        .replace("GATEWAY_HOST", host)
        .replace("GATEWAY_PORT", port);
    let client = envoy.client(&daemon, &proxy_command);
    let ssh = |command: &str, stdin: &[u8]| {
        let mut ssh = client.command("ssh");
        run(
            ssh.args(further_options).args(["workspace", command]),
            stdin,
            PATIENCE,
        )
    };

    let output = ssh("exit 42", b"");
    assert_eq!(
        output.status.code(),
        Some(42),
        "{proxy_command}: {output:?}"
    );
    let data = megabyte();
    let output = ssh("cat", &data);
    assert!(
        output.stdout == data,
        "{proxy_command}: {} bytes came back",
        output.stdout.len()
    );
}

/// A megabyte with every byte value, so that a tool which interprets any would be found out.
pub(crate) fn megabyte() -> Vec<u8> {
    (0..1_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[test]
fn podssh_connect_carries_ssh() {
    carries_ssh(
        &format!(
            "{} connect --gateway http://GATEWAY %h %p",
            binary().display()
        ),
        &[],
    );
}

#[test]
fn nc_carries_ssh() {
    carries_ssh("nc -X connect -x GATEWAY %h %p", &[]);
}

#[test]
fn nc_that_passes_its_socket_carries_ssh() {
    carries_ssh(
        "nc -F -X connect -x GATEWAY %h %p",
        &["-o", "ProxyUseFdpass yes"],
    );
}

#[test]
fn ncat_carries_ssh() {
    carries_ssh("ncat --proxy GATEWAY --proxy-type http %h %p", &[]);
}

#[test]
fn proxytunnel_carries_ssh() {
    carries_ssh("proxytunnel -q -p GATEWAY -d %h:%p", &[]);
}

#[test]
fn connect_proxy_carries_ssh() {
    carries_ssh("connect-proxy -H GATEWAY %h %p", &[]);
}

#[test]
fn corkscrew_carries_ssh() {
    carries_ssh("corkscrew GATEWAY_HOST GATEWAY_PORT %h %p", &[]);
}

#[test]
fn socat_carries_ssh() {
    carries_ssh(
        "socat - PROXY:GATEWAY_HOST:%h:%p,proxyport=GATEWAY_PORT",
        &[],
    );
}

#[test]
fn a_shell_pipe_without_any_proxy_tool_carries_ssh() {
    carries_ssh(
        r#"sh -c '{ printf "CONNECT %h:%p HTTP/1.1\r\nHost: %h:%p\r\n\r\n"; exec cat; } | nc GATEWAY_HOST GATEWAY_PORT'"#,
        &[],
    );
}

#[test]
fn putty_carries_ssh_by_its_own_proxy_setting() {
    let daemon = Daemon::start(|_| ());
    let envoy = Envoy::before(&daemon);
    let home = tempfile::tempdir().expect("a temp dir");
    let key = home.path().join("key.ppk");
    let converted = run(
        Command::new("puttygen")
            .arg(&daemon.client.identity)
            .arg("-o")
            .arg(&key),
        b"",
        PATIENCE,
    );
    assert!(converted.status.success(), "{converted:?}");
    write_putty_session(home.path(), &envoy);

    let plink = |command: &str, stdin: &[u8]| {
        let mut plink = Command::new("plink");
        plink
            .env("HOME", home.path())
            .args(["-batch", "-load", "workspace", "-i"]);
        plink
            .arg(&key)
            .args(["-hostkey", &fingerprint(&daemon.client.known_hosts)]);
        plink.args(["-l", user(), command]); // the host is the saved session's
        run(&mut plink, stdin, PATIENCE)
    };
    let output = plink("exit 42", b"");
    assert_eq!(output.status.code(), Some(42), "{output:?}");
    let data = megabyte();
    let output = plink("cat", &data);
    assert!(
        output.stdout == data,
        "{} bytes came back",
        output.stdout.len()
    );
}

/// A saved PuTTY session: proxy type 3 is HTTP CONNECT.
fn write_putty_session(home: &Path, envoy: &Envoy) {
    let (host, port) = envoy.gateway.rsplit_once(':').expect("HOST:PORT");
    let sessions = home.join(".putty/sessions");
    fs::create_dir_all(&sessions).expect("PuTTY's directory");
    let text = format!(
        "HostName={WORKSPACE}\nPortNumber=80\nProtocol=ssh\nProxyMethod=3\nProxyHost={host}\n\
         ProxyPort={port}\nProxyLocalhost=1\n",
    );
    fs::write(sessions.join("workspace"), text).expect("a PuTTY session");
}

/// The SHA-256 fingerprint of the ed25519 host key, which is the one PuTTY prefers.
fn fingerprint(known_hosts: &Path) -> String {
    let output = run(
        Command::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(known_hosts),
        b"",
        PATIENCE,
    );
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = output
        .lines()
        .find(|line| line.contains("ED25519"))
        .expect("an ed25519 host key");
    line.split(' ')
        .nth(1)
        .expect("a fingerprint in ssh-keygen's line")
        .to_owned()
}
