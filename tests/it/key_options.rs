//! Options of an authorized key, certificates and revocation, as a client meets them.

use std::fs;
use std::process::{Command, Output};

use crate::bare::text;
use crate::harness::daemon::{Daemon, Setup, user, write_secret};
use crate::harness::process::{PATIENCE, run};
use crate::said;

/// A daemon that lets the harness's client in under these options only.
#[track_caller]
fn with_options(options: &str) -> Daemon {
    Daemon::start(|setup| {
        let line = format!("{options} {}", own_line(setup));
        write_secret(&setup.authorized_keys(), &[("tester", line.as_bytes())]);
    })
}

fn own_line(setup: &Setup) -> String {
    fs::read_to_string(setup.identity().with_extension("pub")).expect("its public half")
}

#[track_caller]
fn ssh(daemon: &Daemon, args: &[&str]) -> Output {
    run(daemon.client.command("ssh").args(args), b"", PATIENCE)
}

fn forwards(daemon: &Daemon) -> bool {
    let args = [
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        "0:127.0.0.1:1",
        "workspace",
        "true",
    ];
    ssh(daemon, &args).status.success()
}

#[test]
fn restrict_leaves_commands_and_nothing_else() {
    let daemon = with_options("restrict");
    assert_eq!(said::ok(&daemon.ssh(["echo here"])), "here\n");
    let output = ssh(&daemon, &["-tt", "workspace", "tty"]);
    assert!(
        said::err(&output).contains("PTY allocation request failed"),
        "{}",
        said::show(&output)
    );
    assert!(!forwards(&daemon));
    let error = said::err(&ssh(&daemon, &["-W", "127.0.0.1:1", "workspace"]));
    assert!(error.contains("administratively prohibited"), "{error}");
    let again = with_options("restrict,pty,port-forwarding");
    said::ok(&ssh(&again, &["-tt", "workspace", "tty"]));
    assert!(forwards(&again));
}

#[test]
fn no_pty_and_no_port_forwarding_take_away_one_thing_each() {
    let daemon = with_options("no-pty");
    assert!(said::err(&ssh(&daemon, &["-tt", "workspace", "true"])).contains("PTY"));
    assert!(forwards(&daemon));
    let daemon = with_options("no-port-forwarding");
    said::ok(&ssh(&daemon, &["-tt", "workspace", "true"]));
    assert!(!forwards(&daemon));
}

#[test]
fn a_forced_command_replaces_what_was_asked_for_and_knows_it() {
    let daemon = with_options(r#"command="echo \"asked: [$SSH_ORIGINAL_COMMAND]\"""#);
    assert_eq!(said::ok(&daemon.ssh(["rm -rf  /"])), "asked: [rm -rf  /]\n");
    assert_eq!(said::ok(&ssh(&daemon, &["-T", "workspace"])), "asked: []\n");
    let subsystem = said::ok(&ssh(&daemon, &["-s", "workspace", "sftp"]));
    assert!(subsystem.starts_with("asked: ["), "{subsystem}");
    let terminal = said::ok(&ssh(&daemon, &["-tt", "workspace", "ls"]));
    assert_eq!(terminal, "asked: [ls]\r\n");
}

#[test]
fn a_key_for_other_addresses_is_refused() {
    let daemon = with_options(r#"from="10.0.0.0/8,!127.0.0.1,192.168.*""#);
    said::failed(&daemon.ssh(["true"]), 255);
    let daemon = with_options(r#"from="127.0.0.0/8""#);
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn permitted_destinations_environment_and_expiry_of_a_key_are_honoured() {
    let daemon =
        with_options(r#"permitopen="127.0.0.1:1",environment="LC_WHO=me",environment="X=1""#);
    assert_eq!(said::ok(&daemon.ssh(["echo $LC_WHO $X"])), "me 1\n");
    let error = said::err(&ssh(&daemon, &["-W", "127.0.0.1:1", "workspace"]));
    assert!(error.contains("connect failed"), "{error}");
    let error = said::err(&ssh(&daemon, &["-W", "127.0.0.1:2", "workspace"]));
    assert!(error.contains("administratively prohibited"), "{error}");
    let daemon = with_options(r#"expiry-time="20200101""#);
    said::failed(&daemon.ssh(["true"]), 255);
    let daemon = with_options(r#"expiry-time="20990101""#);
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn permitted_listeners_of_a_key_are_honoured() {
    // A client that names no address means localhost.
    assert!(forwards(&with_options(r#"permitlisten="localhost:*""#)));
    assert!(!forwards(&with_options(r#"permitlisten="localhost:1""#)));
}

#[track_caller]
fn keygen(args: &[&str]) {
    said::ok(&run(
        Command::new("ssh-keygen").arg("-q").args(args),
        b"",
        PATIENCE,
    ));
}

/// A daemon that trusts a certificate authority and no key; the client's key is certified by
/// `ssh-keygen` with these arguments.
#[track_caller]
fn certified(arguments: &[&str], flags: &[&str]) -> Daemon {
    Daemon::start(|setup| {
        let identity = setup.identity();
        let ca = identity.with_file_name("ca");
        keygen(&["-t", "ed25519", "-N", "", "-f", text(&ca)]);
        let (ca_text, key) = (text(&ca), identity.with_extension("pub"));
        keygen(
            &[
                &["-s", ca_text, "-I", "the tester"],
                arguments,
                &[text(&key)],
            ]
            .concat(),
        );
        write_secret(&setup.authorized_keys(), &[("nobody", b"# nobody\n")]);
        let public = setup.authorized_keys().with_file_name("ca.pub");
        fs::copy(ca.with_extension("pub"), &public).expect("the authority's public key");
        setup.args(["--user-ca", text(&public)]);
        setup.args(flags);
    })
}

#[test]
fn a_certificate_logs_in_where_it_is_valid() {
    let own = ["-n", user(), "-V", "-1m:+10m"];
    let daemon = certified(&own, &[]);
    assert_eq!(said::ok(&daemon.ssh(["echo here"])), "here\n");
    assert!(
        daemon.log().contains("the tester"),
        "the log names the certificate's id"
    );
    let refused = [
        (
            "another principal",
            vec!["-n", "somebody-else", "-V", "-1m:+10m"],
            vec![],
        ),
        ("expired", vec!["-n", user(), "-V", "-10m:-1m"], vec![]),
        (
            "a host's",
            vec!["-h", "-n", user(), "-V", "-1m:+10m"],
            vec![],
        ),
        (
            "not for the flag",
            own.to_vec(),
            vec!["--principal", "team-a"],
        ),
    ];
    for (what, arguments, flags) in refused {
        let daemon = certified(&arguments, &flags);
        let error = said::failed(&daemon.ssh(["true"]), 255);
        assert!(error.contains("Permission denied"), "{what}: {error}");
    }
    let daemon = certified(
        &["-n", "team-a", "-V", "-1m:+10m"],
        &["--principal", "team-a"],
    );
    said::ok(&daemon.ssh(["true"]));
}

#[test]
fn what_a_certificate_forbids_is_refused() {
    let daemon = certified(
        &[
            "-n",
            user(),
            "-O",
            "clear",
            "-O",
            "force-command=echo forced",
            "-V",
            "-1m:+10m",
        ],
        &[],
    );
    assert_eq!(said::ok(&daemon.ssh(["echo mine"])), "forced\n");
    assert!(said::err(&ssh(&daemon, &["-tt", "workspace", "true"])).contains("PTY"));
    assert!(!forwards(&daemon));
}

#[test]
fn a_revoked_key_stays_out_by_list_and_by_krl() {
    for krl in [false, true] {
        let daemon = Daemon::start(|setup| {
            let public = setup.identity().with_extension("pub");
            let list = setup.authorized_keys().with_file_name("revoked");
            if krl {
                keygen(&["-k", "-f", text(&list), text(&public)]);
            } else {
                fs::copy(&public, &list).expect("a list");
            }
            setup.args(["--revoked-keys", text(&list)]);
        });
        let error = said::failed(&daemon.ssh(["true"]), 255);
        assert!(error.contains("Permission denied"), "krl {krl}: {error}");
    }
}

#[test]
fn every_common_kind_of_key_logs_in() {
    for kind in [
        &["ed25519"][..],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "521"],
        &["rsa", "-b", "2048"],
    ] {
        let daemon = Daemon::start(|setup| {
            let identity = setup.identity();
            fs::remove_file(&identity).expect("the harness's key");
            fs::remove_file(identity.with_extension("pub")).expect("and its public half");
            keygen(&[&["-N", "", "-f", text(&identity), "-t"], kind].concat());
            write_secret(
                &setup.authorized_keys(),
                &[("tester", own_line(setup).as_bytes())],
            );
        });
        said::ok(&daemon.ssh(["true"]));
    }
}
