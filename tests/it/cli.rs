//! The command line: help, mistakes that are named with their cure, exit codes of sysexits.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::bare::{Place, podssh, podssh_with, text};
use crate::harness::daemon::{Daemon, user};
use crate::harness::http;
use crate::harness::process::{PATIENCE, run};
use crate::said;

#[test]
fn help_names_every_flag_with_its_variable_and_default() {
    let help = said::ok(&podssh_with(&["--help"]));
    for command in ["serve", "connect", "host-keys", "doctor", "install"] {
        assert!(help.contains(command), "{help}");
    }
    let help = said::ok(&podssh_with(&["serve", "--help"]));
    for flag in [
        "listen",
        "admin-listen",
        "user",
        "home",
        "shell",
        "authorized-keys",
        "home-authorized-keys",
        "user-ca",
        "principal",
        "revoked-keys",
        "host-keys",
        "keepalive",
        "grace",
        "login-grace",
        "max-startups",
        "max-auth-tries",
        "env-deny",
        "env-allow",
        "accept-env",
        "forward",
        "permit-open",
        "permit-listen",
        "motd",
        "log-format",
        "log-level",
        "ready-file",
    ] {
        let variable = format!("PODSSH_{}", flag.to_uppercase().replace('-', "_"));
        assert!(
            help.contains(&format!("--{flag} <")),
            "no --{flag} in\n{help}"
        );
        assert!(help.contains(&variable), "no {variable} in\n{help}");
    }
    for default in [
        "[::]:2222",
        "[::]:9090",
        "30s",
        "60s",
        "/etc/podssh/authorized_keys",
        "--check",
    ] {
        assert!(help.contains(default), "no {default} in\n{help}");
    }
    for command in ["connect", "host-keys"] {
        said::ok(&podssh_with(&[command, "--help"]));
    }
    assert!(said::ok(&podssh_with(&["--version"])).starts_with("podssh 0."));
}

#[test]
fn a_wrong_command_line_is_64_and_names_the_word() {
    for (args, word) in [
        (&["serve", "--no-such-flag"][..], "--no-such-flag"),
        (&["no-such-command"], "no-such-command"),
        (&["connect", "host", "notaport"], "notaport"),
        (&["serve", "--listen"], "--listen"),
        (&["serve", "--home-authorized-keys", "maybe"], "maybe"),
        (&["serve", "--log-format", "xml"], "xml"),
        (&[], "Usage"),
    ] {
        let error = said::failed(&podssh_with(args), 64);
        assert!(error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn a_wrong_value_is_78_and_names_flag_value_and_form() {
    for (flag, value, hint) in [
        ("--listen", "here", "127.0.0.1:2222"),
        ("--listen", "127.0.0.1:99999", "127.0.0.1:2222"),
        ("--admin-listen", "9090", "127.0.0.1:2222"),
        ("--keepalive", "often", "30s"),
        ("--grace", "-1s", "30s"),
        ("--login-grace", "0s", "longer than zero"),
        ("--max-startups", "0", "above zero"),
        ("--max-auth-tries", "x", "above zero"),
        ("--forward", "some", "none, local, remote, all"),
        ("--permit-open", "host:port", "HOST:PORT"),
        ("--permit-listen", "h:70000", "HOST:PORT"),
        ("--log-level", "loud", "error, warn, info, debug, trace"),
    ] {
        let flag_value = format!("{flag}={value}");
        let error = said::failed(&podssh_with(&["serve", "--home", "/tmp", &flag_value]), 78);
        assert!(
            error.contains(flag) && error.contains(value) && error.contains(hint),
            "{flag_value}: {error}"
        );
    }
}

#[test]
fn a_variable_counts_like_its_flag() {
    let mut command = podssh();
    command.args(["serve", "--home", "/tmp"]);
    command
        .env("PODSSH_GRACE", "soon")
        .env("PODSSH_LISTEN", "a,b");
    let error = said::failed(&run(&mut command, b"", PATIENCE), 78);
    for part in ["--grace", "soon", "\"a\"", "\"b\""] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// The flags that make a daemon start here, but for one.
#[track_caller]
fn start_fails(place: &Place, code: i32, flags: &[&str]) -> String {
    let mut command = podssh();
    command.args(["serve", "--user", user()]);
    for (flag, value) in [
        ("--listen", "127.0.0.1:0"),
        ("--admin-listen", "none"),
        ("--shell", "/bin/bash"),
        ("--home", text(&place.path("home"))),
        ("--authorized-keys", text(&place.keys())),
        ("--host-keys", text(&place.path("host_keys"))),
    ] {
        if !flags.contains(&flag) {
            command.args([flag, value]);
        }
    }
    said::failed(&run(command.args(flags), b"", PATIENCE), code)
}

#[test]
fn a_port_in_use_is_69() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let place = Place::new();
    for flag in ["--listen", "--admin-listen"] {
        let error = start_fails(&place, 69, &[flag, &address]);
        for part in [flag, address.as_str(), "in use"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn host_keys_that_cannot_be_read_or_made_are_66() {
    let place = Place::new();
    let error = start_fails(&place, 66, &["--host-keys", "/proc/nowhere"]);
    assert!(error.contains("/proc/nowhere"), "{error}");
    let broken = place.path("broken");
    fs::create_dir(&broken).expect("a directory");
    fs::write(broken.join("ssh_host_ed25519_key"), "garbage").expect("a file");
    place.hand_over("broken");
    place.hand_over("broken/ssh_host_ed25519_key");
    let error = start_fails(&place, 66, &["--host-keys", text(&broken)]);
    assert!(error.contains("ssh_host_ed25519_key"), "{error}");
}

#[test]
fn a_ready_file_that_cannot_be_written_is_66_and_a_missing_program_78() {
    let place = Place::new();
    let error = start_fails(&place, 66, &["--ready-file", "/nonexistent/ready"]);
    assert!(
        error.contains("/nonexistent/ready") && error.contains("--ready-file"),
        "{error}"
    );
    let error = start_fails(&place, 78, &["--", "/nonexistent/program"]);
    assert!(error.contains("/nonexistent/program"), "{error}");
}

#[test]
fn check_reports_everything_that_is_wrong_at_once() {
    let place = Place::new();
    let good = fs::read_to_string(place.keys()).expect("the key");
    fs::write(place.keys(), format!("{good}garbage\n")).expect("keys");
    let unreadable = place.path("unreadable");
    fs::write(&unreadable, "").expect("a file");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).expect("chmod");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let home = place.path("no-home");
    let error = start_fails(
        &place,
        78,
        &[
            "--check",
            "--home",
            text(&home),
            "--shell",
            "/bin/no-shell",
            "--listen",
            &address,
            "--user-ca",
            text(&unreadable),
        ],
    );
    let keys = format!("{}:2", text(&place.keys()));
    for part in [
        text(&home),
        "/bin/no-shell",
        &address,
        text(&unreadable),
        &keys,
    ] {
        assert!(error.contains(part), "no {part} in\n{error}");
    }
    assert!(!place.path("host_keys").exists(), "a check makes nothing");
}

#[test]
fn check_of_a_good_configuration_says_nothing_and_leaves_nothing() {
    let place = Place::new();
    let mut command = podssh();
    place.flags(&mut command);
    command.args(["--user", user(), "--check", "--home"]);
    command.arg(place.path("home"));
    said::ok(&run(&mut command, b"", PATIENCE));
    assert!(!place.path("ready").exists() && !place.path("host_keys").exists());
}

#[test]
fn host_keys_prints_what_ssh_accepts() {
    let daemon = Daemon::start(|_| ());
    let (host, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
    let mut command = podssh();
    command
        .args(["host-keys", "--host-keys"])
        .arg(daemon.host_keys());
    command.arg(format!("[{host}]:{port}"));
    let mut as_owner = Command::new(command.get_program());
    as_owner.args(command.get_args()); // host keys are readable by the daemon's user only
    let output = run(&mut as_owner, b"", PATIENCE);
    let lines = said::ok(&output);
    assert!(
        lines.lines().count() >= 2 && lines.contains("ssh-ed25519"),
        "{lines}"
    );
    assert!(
        said::err(&output).contains("SHA256:"),
        "{}",
        said::show(&output)
    );
    let known = daemon.home().join("known");
    fs::write(&known, &lines).expect("known_hosts");
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
        "-i",
    ]);
    ssh.arg(&daemon.client.identity)
        .args(["-o", &format!("UserKnownHostsFile={}", text(&known))]);
    ssh.args(["-p", port, "-l", user(), host, "true"]);
    said::ok(&run(&mut ssh, b"", PATIENCE));
    let mode = fs::metadata(daemon.host_keys().join("ssh_host_ed25519_key"))
        .map(|m| m.permissions().mode() & 0o777);
    assert_eq!(mode.expect("the host key"), 0o600);
}

#[test]
fn host_keys_without_any_key_is_66_and_names_the_place() {
    let error = said::failed(
        &podssh_with(&["host-keys", "--host-keys", "/nonexistent", "h"]),
        66,
    );
    assert!(error.contains("/nonexistent"), "{error}");
}

#[test]
fn host_keys_stay_the_same_over_a_restart() {
    let place = Place::new();
    let home = place.path("home");
    let print =
        |client: &crate::harness::client::Client| fs::read(&client.known_hosts).expect("it");
    let flags = ["--shell", "/bin/bash", "--home", text(&home)];
    let (daemon, client) = place.serve(&flags);
    let before = print(&client);
    drop(daemon);
    fs::remove_file(place.path("ready")).expect("the ready file");
    let (_daemon, client) = place.serve(&flags);
    assert_eq!(before, print(&client));
    said::ok(&client.ssh(["true"]));
}

#[test]
fn the_admin_pages_are_three_and_the_ready_file_names_them() {
    let daemon = Daemon::start(|_| ());
    said::ok(&daemon.ssh(["true"]));
    assert_eq!(http::get(&daemon.admin, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(
        http::get(&daemon.admin, "/readyz"),
        (200, "ok\n".to_owned())
    );
    let (status, metrics) = http::get(&daemon.admin, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "podssh_connections_total ",
        "podssh_logins_total{result=\"Accepted\"} 1",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    assert_eq!(http::get(&daemon.admin, "/secret").0, 404);
    let ready = fs::read_to_string(daemon.host_keys().with_file_name("ready")).expect("ready");
    let expected = format!(
        "pid={}\nlisten={}\nadmin={}\n",
        daemon.pid(),
        daemon.address,
        daemon.admin
    );
    assert_eq!(ready, expected);
}
