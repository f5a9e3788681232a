//! Every way a cluster may start the image: users, read-only file systems, homes that are no use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use crate::container::{Container, HARDENED, Place};
use crate::engine::IMAGE;
use crate::harness::process::{PATIENCE, run};

const PLAIN: &[&str] = &["--tmpfs", "/tmp:mode=1777,exec"];

/// A shell, a terminal, a transfer, a forwarded agent's place, and the daemon's own account.
#[track_caller]
fn works(container: &Container) {
    assert_eq!(container.session("touch ~/x /tmp/x && echo ok"), "ok");
    let mut tty = container.client.command("ssh");
    let tty = run(tty.args(["-tt", "workspace", "tty"]), b"", PATIENCE);
    let screen = String::from_utf8_lossy(&tty.stdout).into_owned();
    assert!(screen.contains("/dev/pts/"), "{screen}");
    let from = container.home().with_file_name("sent");
    fs::write(&from, "by scp").expect("a file");
    for old in [&["-O"][..], &[]] {
        let mut scp = container.client.command("scp");
        scp.args(old).arg("-q").arg(&from).arg("workspace:received");
        let output = run(&mut scp, b"", PATIENCE);
        assert!(output.status.success(), "scp {old:?}: {output:?}");
        assert_eq!(container.session("cat received; rm received"), "by scp");
    }
    assert_eq!(container.session("id -un; whoami"), "jovyan\njovyan");
    let status = container.status();
    assert_eq!(status["state"], "serving", "{status}");
    assert_eq!(
        status["home"]["faults"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
    assert_eq!(
        container.session("ls -A ~ | grep -c bashrc"),
        "1",
        "a seeded home"
    );
}

#[test]
fn as_jovyan_with_and_without_hardening() {
    for (user, options) in [
        ("1000:100", HARDENED),
        ("1000", PLAIN),
        ("1000:1000", HARDENED),
    ] {
        let container = Arc::new(Place::new()).start(&IMAGE, user, options);
        works(&container);
        let privileges = container.session("grep -h CapEff /proc/1/status /proc/self/status");
        assert_eq!(
            privileges, "CapEff:\t0000000000000000\nCapEff:\t0000000000000000",
            "{user}"
        );
    }
}

#[test]
fn as_any_uid_with_group_0_and_a_passwd_entry_all_the_same() {
    for options in [HARDENED, PLAIN] {
        let container = Arc::new(Place::new()).start(&IMAGE, "123456:0", options);
        works(&container);
        assert_eq!(
            container.session("id -u; id -g; echo ~"),
            "123456\n0\n/home/jovyan"
        );
        let entry = container.session("getent passwd 123456");
        assert_eq!(
            entry,
            "jovyan:x:123456:100:workspace user:/home/jovyan:/bin/bash"
        );
        // ssh and git ask for it before anything else.
        let ssh = container.session("ssh -V 2>&1 | cut -c1-7; git -C /tmp init -q r && echo made");
        assert_eq!(ssh, "OpenSSH\nmade");
    }
}

#[test]
fn without_a_runtime_directory_sockets_go_to_tmp() {
    // On a read-only root the image's own /run/podssh cannot be written.
    let options = &HARDENED[..HARDENED.len() - 2];
    for user in ["1000:100", "123456:0"] {
        let container = Arc::new(Place::new()).start(&IMAGE, user, options);
        assert_eq!(container.session("touch ~/x && echo ok"), "ok");
        assert_eq!(container.status()["state"], "serving");
        let uid = user.split(':').next().expect("a uid");
        let socket = format!("stat -c '%a %F' /tmp/podssh-{uid}/control.sock");
        assert_eq!(container.session(&socket), "600 socket");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_told_and_served() {
    let place = Arc::new(Place::new());
    let home = place.home();
    // A fresh volume without fsGroup, then one mounted read-only.
    for (mode, suffix, fix) in [(0o755, "", "fsGroup"), (0o775, ":ro", "without readOnly")] {
        fs::set_permissions(&home, fs::Permissions::from_mode(mode)).expect("chmod");
        let volume = format!("{}:/home/jovyan{suffix}", home.display());
        let container = place.start_at(&volume, &IMAGE, "1000:1000", HARDENED, &[]);
        assert_eq!(
            container.session("pwd; touch x 2>/dev/null || echo no"),
            "/home/jovyan\nno"
        );
        let status = container.status();
        let fault = status["home"]["faults"][0].as_str().unwrap_or_default();
        assert!(
            fault.contains("/home/jovyan: cannot be written") && fault.contains(fix),
            "{status}"
        );
        let log = container.log();
        assert!(log.contains("last for this run only"), "{log}");
    }
}

#[test]
fn modes_that_fsgroup_spoilt_are_repaired() {
    let place = Arc::new(Place::new());
    let make = "mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519";
    place.start(&IMAGE, "1000:100", HARDENED).session(make);
    // As the kubelet does when it hands the volume over: group read and write for everything.
    let spoilt = run(
        Command::new("chmod")
            .args(["-R", "g+rwX"])
            .arg(place.home()),
        b"",
        PATIENCE,
    );
    assert!(spoilt.status.success(), "{spoilt:?}");
    let container = place.start(&IMAGE, "1000:100", HARDENED);
    let modes = container.session(
        "stat -c %A ~/.ssh ~/.ssh/id_ed25519; ssh-keygen -yf ~/.ssh/id_ed25519 | cut -c1-11",
    );
    assert_eq!(modes, "drwx--S---\n-rw-------\nssh-ed25519");
}
