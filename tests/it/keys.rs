//! Who may log in: files, directories and Secrets, as they are and as they change under the daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::bare::{Place, text};
use crate::harness::client::Client;
use crate::harness::daemon::{Daemon, Setup, generate_key, write_secret};
use crate::harness::process::{Background, PATIENCE, eventually, run};
use crate::said;

/// From the swap of a Secret to its effect.
const SOON: Duration = Duration::from_secs(2);

/// Somebody else, with a key of their own.
struct Person {
    client: Client,
    line: String,
}

impl Person {
    #[track_caller]
    fn new(daemon: &Daemon, name: &str) -> Self {
        let mut client = daemon.client.clone();
        client.identity = client.identity.with_file_name(name);
        let line = generate_key(&client.identity);
        let (host, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
        let client = client.reaching(name, &format!("  HostName {host}\n  Port {port}\n"));
        Self { client, line }
    }

    fn may_log_in(&self) -> bool {
        self.client.ssh(["true"]).status.success()
    }

    /// Waits until the daemon has learnt that they may, or may not.
    #[track_caller]
    fn eventually(&self, may: bool, patience: Duration) {
        let what = format!("login {}", if may { "is allowed" } else { "is refused" });
        eventually(&what, patience, || (self.may_log_in() == may).then_some(()));
    }
}

/// An open session; `ended` yields what its client said once it is over.
struct Open(Background);

impl Open {
    #[track_caller]
    fn new(daemon: &Daemon, client: &Client, marker: &str) -> Self {
        let mut command = client.command("ssh");
        command.args(["workspace", &format!("touch {marker}; cat")]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let open = Self(Background::start(&mut command));
        eventually("the session runs", PATIENCE, || {
            daemon.home().join(marker).exists().then_some(())
        });
        open
    }

    #[track_caller]
    fn ended(&mut self, patience: Duration) -> String {
        eventually("the session is ended", patience, || {
            (!self.0.is_running()).then_some(())
        });
        let mut stderr = String::new();
        let mut pipe = self.0.0.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("text");
        stderr
    }
}

#[test]
fn a_swapped_secret_lets_a_new_key_in_and_ends_the_removed_ones_connection_only() {
    let daemon = Daemon::start(|_| ());
    let (removed, stays) = (
        Person::new(&daemon, "removed"),
        Person::new(&daemon, "stays"),
    );
    let secret = daemon.authorized_keys();
    assert!(!removed.may_log_in());
    let both = format!("{}{}", removed.line, stays.line);
    write_secret(&secret, &[("team", both.as_bytes())]);
    removed.eventually(true, SOON);

    let mut leaving = Open::new(&daemon, &removed.client, "leaving");
    let mut staying = Open::new(&daemon, &stays.client, "staying");
    write_secret(&secret, &[("team", stays.line.as_bytes())]);
    let said = leaving.ended(SOON);
    assert!(said.contains("key"), "the reason: {said:?}");
    eventually("the end is logged with its reason", PATIENCE, || {
        daemon
            .log()
            .contains("connection ended by us")
            .then_some(())
    });
    assert!(!removed.may_log_in());
    assert!(stays.may_log_in());
    assert!(staying.0.is_running(), "another person's session ended too");
}

#[test]
fn a_removed_file_of_a_secret_takes_its_keys_along() {
    let daemon = Daemon::start(|_| ());
    let (me, them) = (Person::new(&daemon, "me"), Person::new(&daemon, "them"));
    let secret = daemon.authorized_keys();
    write_secret(
        &secret,
        &[("me", me.line.as_bytes()), ("them", them.line.as_bytes())],
    );
    them.eventually(true, SOON);
    let mut open = Open::new(&daemon, &them.client, "open");
    write_secret(&secret, &[("me", me.line.as_bytes())]);
    open.ended(SOON);
    assert!(me.may_log_in() && !them.may_log_in());
}

/// A daemon whose keys come from this file or directory.
#[track_caller]
fn reads(place: &Place, path: &Path) -> (Background, Client) {
    let mut command = crate::bare::podssh();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "none"]);
    command.args([
        "--log-format",
        "text",
        "--user",
        crate::harness::daemon::user(),
    ]);
    command
        .args(["--shell", "/bin/bash", "--home"])
        .arg(place.path("home"));
    command.arg("--authorized-keys").arg(path);
    command.arg("--host-keys").arg(place.path("host_keys"));
    command.arg("--ready-file").arg(place.path("ready"));
    place.start(&mut command, crate::harness::daemon::user())
}

#[test]
fn keys_come_from_a_file_or_from_a_plain_directory() {
    let place = Place::new();
    let (_daemon, client) = reads(&place, &place.keys());
    said::ok(&client.ssh(["true"]));

    let place = Place::new();
    let directory = place.path("keys.d");
    fs::create_dir(&directory).expect("a directory");
    fs::rename(place.keys(), directory.join("me")).expect("rename");
    fs::create_dir(directory.join("..2026")).expect("a directory that is skipped");
    let (_daemon, client) = reads(&place, &directory);
    said::ok(&client.ssh(["true"]));
}

#[test]
fn a_missing_file_means_no_keys_until_it_appears() {
    let place = Place::new();
    let line = fs::read(place.keys()).expect("the key");
    fs::remove_file(place.keys()).expect("ours");
    let (_daemon, client) = reads(&place, &place.keys());
    let error = said::failed(&client.ssh(["true"]), 255);
    assert!(error.contains("Permission denied (publickey)"), "{error}");
    fs::write(place.keys(), line).expect("the key");
    eventually("the file is noticed", SOON * 5, || {
        client.ssh(["true"]).status.success().then_some(())
    });
}

#[test]
fn an_unreadable_file_keeps_the_last_good_keys_and_says_so() {
    let place = Place::new();
    let (_daemon, client) = reads(&place, &place.keys());
    said::ok(&client.ssh(["true"]));
    let file = place.path("new");
    fs::write(&file, "").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("chmod");
    fs::rename(&file, place.keys()).expect("rename");
    let keys = place.keys();
    eventually("the trouble is logged", PATIENCE, || {
        let log = place.log();
        (log.contains(text(&keys)) && log.contains("denied")).then_some(())
    });
    said::ok(&client.ssh(["true"]));
}

#[test]
fn a_bad_line_is_reported_with_its_place_and_the_good_ones_count() {
    let daemon = Daemon::start(|setup: &mut Setup| {
        let own = fs::read_to_string(setup.identity().with_extension("pub")).expect("the key");
        let text = format!("# comment\n\nssh-ed25519 AAAAgarbage me\nno-such-option {own}{own}");
        write_secret(&setup.authorized_keys(), &[("team", text.as_bytes())]);
    });
    said::ok(&daemon.ssh(["true"]));
    let log = daemon.log();
    for place in ["team:3", "team:4"] {
        assert!(log.contains(place), "no {place} in\n{log}");
    }
}

#[test]
fn keys_in_the_home_count_under_strict_modes_only() {
    let daemon = Daemon::start(|_| ());
    let person = Person::new(&daemon, "person");
    let put = "umask 77; mkdir -p .ssh; cat >.ssh/authorized_keys";
    said::ok(&daemon.client.ssh_with([put], person.line.as_bytes()));
    person.eventually(true, SOON);
    said::ok(&daemon.ssh(["chmod 666 .ssh/authorized_keys"]));
    person.eventually(false, SOON);
    let path = daemon.home().join(".ssh/authorized_keys");
    assert!(
        daemon.log().contains(text(&path)),
        "the refusal names the path"
    );
    said::ok(&daemon.ssh(["chmod 600 .ssh/authorized_keys"]));
    person.eventually(true, SOON);
}

#[test]
fn keys_in_the_home_can_be_turned_off() {
    let daemon = Daemon::start(|setup| setup.args(["--home-authorized-keys", "false"]));
    let person = Person::new(&daemon, "person");
    let put = "umask 77; mkdir -p .ssh; cat >.ssh/authorized_keys";
    said::ok(&daemon.client.ssh_with([put], person.line.as_bytes()));
    daemon.signal(Signal::SIGHUP);
    assert!(!person.may_log_in());
}

#[test]
fn a_hang_up_signal_reads_the_keys_again() {
    let daemon = Daemon::start(|_| ());
    daemon.signal(Signal::SIGHUP);
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn another_user_name_is_refused_like_a_wrong_key() {
    let daemon = Daemon::start(|_| ());
    for name in ["root", "nobody", "no-such-user"] {
        let mut command = daemon.client.command("ssh");
        let output = run(
            command.args(["-l", name, "workspace", "true"]),
            b"",
            PATIENCE,
        );
        let error = said::failed(&output, 255);
        assert!(
            error.contains("Permission denied (publickey)"),
            "{name}: {error}"
        );
    }
}
