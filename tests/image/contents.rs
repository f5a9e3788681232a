//! What is in the image and what is not, without starting podssh.

use std::path::Path;
use std::process::Command;

use crate::engine::{IMAGE, docker, docker_ok};
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::tool;

/// Runs a shell command in the image instead of podssh.
#[track_caller]
fn shell(command: &str) -> String {
    docker_ok(&[
        "run",
        "--rm",
        "--user",
        "0",
        "--entrypoint",
        "sh",
        &IMAGE,
        "-c",
        command,
    ])
}

fn config(field: &str) -> String {
    docker_ok(&[
        "image",
        "inspect",
        "--format",
        &format!("{{{{json .Config.{field}}}}}"),
        &IMAGE,
    ])
}

#[test]
fn the_image_says_what_the_contract_says() {
    assert_eq!(config("Entrypoint"), r#"["/usr/local/bin/podssh","serve"]"#);
    assert!(
        ["null", "[]"].contains(&&*config("Cmd")),
        "{}",
        config("Cmd")
    );
    assert_eq!(config("User"), r#""1000:100""#);
    assert_eq!(config("WorkingDir"), r#""/home/jovyan""#);
    assert_eq!(config("StopSignal"), r#""SIGTERM""#);
    assert_eq!(config("ExposedPorts"), r#"{"2222/tcp":{},"9090/tcp":{}}"#);
}

#[test]
fn there_is_no_other_ssh_server_and_no_host_key() {
    assert_eq!(shell("command -v sshd || echo none"), "none");
    assert_eq!(
        shell("ls -A /etc/podssh/host_keys /etc/podssh/authorized_keys"),
        "/etc/podssh/authorized_keys:\n\n/etc/podssh/host_keys:"
    );
    let private_keys =
        shell("grep -rlsE 'BEGIN [A-Z ]*PRIVATE KEY' /etc /home /root /run /var || echo none");
    assert_eq!(private_keys, "none");
}

#[test]
fn jovyan_is_uid_1000_without_a_password_in_a_home_group_0_may_write() {
    assert_eq!(
        shell("getent passwd 1000"),
        "jovyan:x:1000:100::/home/jovyan:/bin/bash"
    );
    assert_eq!(shell("getent shadow jovyan | cut -d: -f2"), "*");
    assert_eq!(
        shell("getent passwd ubuntu || getent group ubuntu || echo none"),
        "none"
    );
    assert_eq!(shell("stat -c '%U:%g' /home/jovyan"), "jovyan:0");
    assert_eq!(shell("find /home/jovyan ! -perm -g=w"), "");
}

#[test]
fn the_tools_a_shell_user_and_an_ide_expect_are_there() {
    let tools = "bash curl dig file git git-lfs gpg htop ip jq less locale lsof man nano nc ping ps \
                 python3 rsync scp sftp ssh strace sudo tar tmux unzip vi wget xauth xz zip zstd";
    let missing = shell(&format!(
        "for tool in {tools}; do command -v $tool >/dev/null || echo $tool; done"
    ));
    assert_eq!(missing, "");
    assert_eq!(
        shell("ldconfig -p | grep -c -e libstdc++.so.6 -e libXtst.so.6 -e libXi.so.6"),
        "3"
    );
}

#[test]
fn the_binary_is_the_last_layer_with_files() {
    let history = docker_ok(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.Size}}\t{{.CreatedBy}}",
        &IMAGE,
    ]);
    let last = history
        .lines()
        .find(|line| !line.starts_with("0B"))
        .expect("a layer with files");
    assert!(last.contains("/usr/local/bin/podssh"), "{last}");
}

#[test]
fn the_dockerfiles_are_hadolint_clean() {
    let hadolint = tool("PODSSH_HADOLINT", "venv/bin/hadolint");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(&hadolint);
    command
        .arg(root.join("Dockerfile"))
        .arg(root.join("image/examples/python/Dockerfile"));
    let output = run(&mut command, b"", PATIENCE);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_bad_flag_is_a_clear_message_and_exit_code_64() {
    let output = docker(&["run", "--rm", &IMAGE, "--no-such-flag"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("--no-such-flag"),
        "{output:?}"
    );
}
