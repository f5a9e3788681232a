//! SSH libraries that clients are made of, each driven by a small program of `clients/`.

use std::process::Command;

use crate::harness::daemon::{Daemon, user};
use crate::support::{LONG, built, host_and_port, succeeds};

/// Runs `program CASE HOST PORT USER IDENTITY KNOWN_HOSTS` and shows its figures.
#[track_caller]
fn passes(mut program: Command, case: &str) {
    let daemon = Daemon::start(|_| ());
    let (host, port) = host_and_port(&daemon);
    program.args([case, host, port, user()]);
    program.args([&daemon.client.identity, &daemon.client.known_hosts]);
    program.env_remove("SSH_AUTH_SOCK");
    print!("{case}: {}", succeeds(&mut program, b"", LONG));
}

fn ssh2() -> Command {
    let mut node = Command::new("node");
    node.arg(built("node").join("client.js"));
    node
}

fn x_crypto() -> Command {
    Command::new(built("go").join("client"))
}

fn java() -> Command {
    let target = built("java").join("target");
    let mut java = Command::new("java");
    java.arg("-cp").arg(format!(
        "{}:{}/*",
        target.join("classes").display(),
        target.join("dependency").display()
    ));
    java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "Client"]);
    java
}

#[test]
fn npms_ssh2_executes_with_exit_status_signal_stdin_and_pty() {
    passes(ssh2(), "exec");
}

#[test]
fn npms_ssh2_puts_and_gets_50_mib_in_parallel_chunks() {
    passes(ssh2(), "sftp");
}

#[test]
fn npms_ssh2_forwards_tcp_and_unix_sockets_both_ways() {
    passes(ssh2(), "forward");
}

#[test]
fn npms_ssh2_runs_200_execs_beside_keepalives() {
    passes(ssh2(), "execs");
}

#[test]
fn gos_x_crypto_executes_200_commands_20_at_a_time() {
    passes(x_crypto(), "exec");
}

#[test]
fn gos_x_crypto_delivers_session_signals_and_window_changes() {
    passes(x_crypto(), "signals");
}

#[test]
fn gos_x_crypto_dials_through_the_server_eight_times_at_once() {
    passes(x_crypto(), "dial");
}

#[test]
fn gos_x_crypto_listens_on_the_server_by_tcp_and_unix_socket() {
    passes(x_crypto(), "listen");
}

#[test]
fn gos_x_crypto_gets_its_requests_answered() {
    passes(x_crypto(), "requests");
}

#[test]
fn jsch_deploys_100_mib_beside_200_execs_and_a_busy_forward() {
    passes(java(), "jsch");
}

#[test]
fn sshj_deploys_100_mib_beside_200_execs_and_a_busy_forward() {
    passes(java(), "sshj");
}

#[test]
fn mina_deploys_100_mib_beside_200_execs_and_a_busy_forward() {
    passes(java(), "mina");
}
