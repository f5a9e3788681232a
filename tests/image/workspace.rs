//! The base image, hardened, with an empty volume as home: what clients see.

use std::fs;
use std::process::Command;

use crate::container::Container;
use crate::engine::IMAGE;
use crate::harness::process::{PATIENCE, run};

const USER: &str = "1000:100";

#[test]
fn stock_clients_work_against_a_hardened_container() {
    let container = Container::start(&IMAGE, USER, &[]);
    assert_eq!(container.client.ssh(["exit 42"]).status.code(), Some(42));
    let output = container.client.ssh(["echo out; echo err >&2"]);
    assert_eq!(
        (&*output.stdout, &*output.stderr),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(
        container.client.ssh_with(["cat"], b"\0\xff\n").stdout,
        b"\0\xff\n"
    );

    let data: Vec<u8> = (0..5_000_000_u32).map(|i| (i >> 5) as u8).collect();
    let (up, down) = (
        container.home().with_file_name("up"),
        container.home().with_file_name("down"),
    );
    fs::write(&up, &data).expect("a file");
    let succeeds = |command: &mut Command, stdin: &str| {
        let output = run(command, stdin.as_bytes(), PATIENCE);
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    let client = &container.client;
    succeeds(
        client
            .command("scp")
            .arg("-q")
            .arg(&up)
            .arg("workspace:by-scp"),
        "",
    );
    let batch = format!("rename by-scp by-sftp\nget by-sftp {}\n", down.display());
    succeeds(
        client.command("sftp").args(["-q", "-b", "-", "workspace"]),
        &batch,
    );
    assert!(
        fs::read(&down).expect("the download") == data,
        "scp up, sftp down"
    );
    let mut rsync = Command::new("rsync");
    rsync.args([
        "--checksum",
        "-e",
        &format!("ssh -F {}", client.config.display()),
    ]);
    succeeds(rsync.arg("workspace:by-sftp").arg(&down), "");

    let size = client
        .command("ssh")
        .args(["-tt", "workspace", "stty size; tty"])
        .output();
    let screen = String::from_utf8_lossy(&size.expect("ssh").stdout).into_owned();
    assert!(screen.contains("/dev/pts/"), "a terminal: {screen}");
}

#[test]
fn the_daemon_is_process_1_and_nothing_has_a_privilege() {
    let container = Container::start(&IMAGE, USER, &[]);
    assert_eq!(
        container.session("id"),
        "uid=1000(jovyan) gid=100(users) groups=100(users)"
    );
    assert_eq!(
        container.session("tr '\\0' ' ' < /proc/1/cmdline"),
        "/usr/local/bin/podssh serve"
    );
    assert_eq!(
        container.session("grep CapEff /proc/self/status"),
        "CapEff:\t0000000000000000"
    );
    assert_ne!(
        container.client.ssh(["touch /usr/x"]).status.code(),
        Some(0),
        "read-only root"
    );
    assert_ne!(
        container.client.ssh(["sudo -n true"]).status.code(),
        Some(0)
    );
    assert_eq!(
        container.session("pwd; touch x; mktemp >/dev/null; echo ok"),
        "/home/jovyan\nok"
    );
    assert_eq!(
        container.session("echo $LANG; locale charmap"),
        "C.UTF-8\nUTF-8"
    );
    assert_eq!(
        container.session("env | grep ^PODSSH_ | cut -d= -f1"),
        "PODSSH_SESSION_PATH", // of the daemon's own settings none leaks
    );
}

#[test]
fn the_host_key_outlives_the_container() {
    let container = Container::start(&IMAGE, USER, &[]);
    let keys = container.home().join(".local/state/podssh/host_keys");
    let mode = |path| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).expect("a host key").permissions().mode() & 0o777
    };
    let private = fs::read_dir(&keys)
        .expect("host keys in the home")
        .map(|entry| entry.expect("an entry").path());
    let private: Vec<_> = private.filter(|path| path.extension().is_none()).collect();
    assert!(!private.is_empty(), "no host key in {}", keys.display());
    assert!(
        private.iter().all(|path| mode(path) == 0o600),
        "{private:?}"
    );
}

#[test]
fn any_uid_with_group_0_is_served_as_jovyan() {
    let container = Container::start(&IMAGE, "123456:0", &[]);
    assert_eq!(
        container.session("id -u; id -g; pwd"),
        "123456\n0\n/home/jovyan"
    );
    assert_eq!(
        container.session("touch x; echo $HOME $USER"),
        "/home/jovyan jovyan"
    );
}

#[test]
fn sigterm_ends_it_in_order() {
    let container = Container::start(&IMAGE, USER, &[]);
    assert_eq!(container.session("echo up"), "up");
    assert_eq!(container.stop(), "0");
}

#[test]
fn started_as_root_it_serves_jovyan() {
    // The capabilities that it takes to give root away; sessions have none.
    let further = [
        "--cap-add",
        "SETUID",
        "--cap-add",
        "SETGID",
        "--cap-add",
        "CHOWN",
        "--cap-add",
        "FOWNER",
    ];
    let container = Container::start(&IMAGE, "0:0", &further);
    assert_eq!(container.session("id -un; id -gn"), "jovyan\nusers");
    assert_eq!(
        container.session("grep CapEff /proc/1/status"),
        "CapEff:\t0000000000000000"
    );
    assert_eq!(container.session("touch x; stat -c %U x"), "jovyan");
}
