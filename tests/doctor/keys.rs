//! The keys, as the daemon would read them.

use podssh::doctor::Settings;
use podssh::doctor::Severity::{Fault, Warning};

use crate::workspace::{Workspace, spoilt};

const SECRET: &str = "etc/podssh/authorized_keys";

fn without_keys_in_the_home(w: &Workspace) {
    w.remove("home/jovyan/.ssh/authorized_keys");
}

#[test]
fn nobody_can_log_in_is_said_with_the_reason_at_each_place() {
    let fix = "Secret mounted at /etc/podssh/authorized_keys";
    let missing = |w: &mut Workspace| {
        without_keys_in_the_home(w);
        w.remove(SECRET);
    };
    let found =
        "/etc/podssh/authorized_keys is missing, /home/jovyan/.ssh/authorized_keys is missing";
    spoilt(missing, "keys.present", Fault, found, fix);
    let empty = |w: &mut Workspace| {
        without_keys_in_the_home(w);
        w.remove(SECRET);
        w.write(SECRET, "");
    };
    spoilt(
        empty,
        "keys.present",
        Fault,
        "/etc/podssh/authorized_keys is empty",
        fix,
    );
    let no_file = |w: &mut Workspace| {
        without_keys_in_the_home(w);
        w.remove(&format!("{SECRET}/alice"));
    };
    spoilt(no_file, "keys.present", Fault, "holds no file", fix);
    let comments = |w: &mut Workspace| {
        without_keys_in_the_home(w);
        w.write(&format!("{SECRET}/alice"), "# left\n");
    };
    spoilt(comments, "keys.present", Fault, "holds no usable key", fix);
}

#[test]
fn a_key_file_that_the_user_cannot_read() {
    if !nix::unistd::geteuid().is_root() {
        return; // the files would be the user's own
    }
    let closed = |w: &mut Workspace| w.mode(&format!("{SECRET}/alice"), 0o400);
    let found = "/etc/podssh/authorized_keys/alice cannot be read by uid 4242";
    spoilt(closed, "keys.readable", Fault, found, "fsGroup");
    let host_key = |w: &mut Workspace| {
        w.write("etc/podssh/host_keys/ssh_host_ed25519_key", "x");
        w.mode("etc/podssh/host_keys/ssh_host_ed25519_key", 0o400);
    };
    spoilt(
        host_key,
        "keys.host",
        Fault,
        "ssh_host_ed25519_key cannot be read",
        "fsGroup",
    );
}

#[test]
fn a_line_that_is_no_key_and_a_file_that_is_no_list() {
    let line = |w: &mut Workspace| {
        let file = format!("{SECRET}/bob");
        w.write(&file, "# bob\nssh-ed25519 AAAAnotbase64\n");
    };
    let found = "/etc/podssh/authorized_keys/bob:2:";
    spoilt(line, "keys.lines", Warning, found, "correct the line");
    let page = |w: &mut Workspace| w.write(&format!("{SECRET}/bob"), "<html>404</html>\n");
    spoilt(
        page,
        "keys.format",
        Fault,
        "is not a list of keys",
        "authorized_keys format",
    );
}

#[test]
fn a_sub_path_mount_never_updates() {
    let file = |w: &mut Workspace| {
        w.mount(
            "/etc/podssh/authorized_keys/alice",
            "/..2026_11_26_10_00_00.1/alice",
            "ro",
        );
    };
    let found = "/etc/podssh/authorized_keys/alice is mounted as one file";
    spoilt(file, "keys.updates", Warning, found, "without subPath");
    let generation =
        |w: &mut Workspace| w.mount("/etc/podssh/authorized_keys", "/..2026_11_26.1", "ro");
    spoilt(
        generation,
        "keys.updates",
        Warning,
        "never updates",
        "whole Secret",
    );
}

#[test]
fn keys_are_looked_for_where_the_daemon_was_told() {
    let elsewhere = |w: &mut Workspace| {
        w.surroundings.settings = Settings {
            authorized_keys: vec!["/keys".into()],
            home_authorized_keys: Some(false),
            ..Settings::default()
        };
    };
    let by_the_api = |w: &mut Workspace| {
        w.remove(SECRET);
        without_keys_in_the_home(w);
        w.surroundings.settings.keys_from_secret = Some("svc-a-authorized-keys".to_owned());
        w.surroundings.cpus = 2; // the only complaint
    };
    spoilt(
        by_the_api,
        "resources.cpus",
        Warning,
        "2 CPU(s)",
        "CPU limit",
    );
    spoilt(
        elsewhere,
        "keys.present",
        Fault,
        "nobody can log in: /keys is missing",
        "at /keys",
    );
}
