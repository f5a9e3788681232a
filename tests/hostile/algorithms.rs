//! What is offered: to an auditor, and to clients of another age.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::tool;
use crate::said;

/// The only remark on what today's clients need; without it they cannot connect.
const NOT_POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

/// ssh-audit's failures and warnings as `algorithm: words`. Its note on the rate of
/// connections is not among them: a rate a source is none where all come from a gateway.
#[track_caller]
fn audit(flags: &[&str]) -> Vec<String> {
    let daemon = Daemon::start(|setup| setup.args(flags));
    let port = daemon.address.rsplit_once(':').expect("a port").1;
    let mut command = Command::new(tool("PODSSH_SSH_AUDIT", "venv/bin/ssh-audit"));
    let output = run(command.args(["-j", "-p", port, "127.0.0.1"]), b"", PATIENCE);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said::show(&output)));
    let mut remarks = Vec::new();
    for kind in ["kex", "key", "enc", "mac"] {
        let offered = report[kind].as_array().expect("algorithms");
        assert!(!offered.is_empty(), "{kind}: {report}");
        for entry in offered {
            for level in ["fail", "warn"] {
                for words in entry["notes"][level].as_array().into_iter().flatten() {
                    remarks.push(format!("{}: {words}", entry["algorithm"]).replace('"', ""));
                }
            }
        }
    }
    assert_eq!(report["cves"], Value::Array(Vec::new()));
    remarks
}

#[test]
fn an_audit_finds_nothing_but_that_todays_clients_are_not_all_post_quantum() {
    let remarks = audit(&[]);
    let expected = ["curve25519-sha256", "curve25519-sha256@libssh.org"]
        .map(|name| format!("{name}: {NOT_POST_QUANTUM}"));
    assert_eq!(remarks, expected);
}

#[test]
fn an_audit_finds_no_failure_and_no_warning_with_compat_none() {
    let remarks = audit(&["--compat=none"]);
    assert_eq!(remarks, Vec::<String>::new());
}

/// A client of ten years ago, whose newest choices these are.
const OLD: [&str; 4] = [
    "HostKeyAlgorithms=ecdsa-sha2-nistp256",
    "Ciphers=aes128-ctr",
    "MACs=hmac-sha2-256",
    "PubkeyAcceptedAlgorithms=ssh-ed25519,rsa-sha2-256",
];

#[track_caller]
fn old_client(daemon: &Daemon, kex: &str) -> Output {
    let mut command = daemon.client.command("ssh");
    for option in OLD {
        command.args(["-o", option]);
    }
    command.args(["-o", &format!("KexAlgorithms={kex}")]);
    run(command.args(["workspace", "echo in"]), b"", PATIENCE)
}

#[test]
fn a_client_of_another_age_gets_in_with_compat_and_is_told_why_not_without() {
    let kexes = [
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
    ];
    for flag in ["--compat", "--compat=old"] {
        let daemon = Daemon::start(|setup| setup.args([flag]));
        for kex in kexes {
            assert_eq!(said::ok(&old_client(&daemon, kex)), "in\n", "{kex}");
        }
    }
    let daemon = Daemon::start(|_| ());
    for kex in kexes {
        let words = said::failed(&old_client(&daemon, kex), 255);
        assert!(words.contains("no matching key exchange method"), "{words}");
    }
    let told = daemon
        .log()
        .lines()
        .any(|line| line.contains("INFO") && line.contains("common"));
    assert!(told, "{}", daemon.log());
}

#[test]
fn what_is_broken_is_not_offered_to_anybody() {
    let daemon = Daemon::start(|setup| setup.args(["--compat=old"]));
    for option in [
        "KexAlgorithms=diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
        "Ciphers=aes128-cbc,3des-cbc",
        "MACs=hmac-sha1,hmac-sha1-etm@openssh.com",
        "HostKeyAlgorithms=ssh-rsa",
    ] {
        let mut command = daemon.client.command("ssh");
        command.args(["-o", "Ciphers=aes128-ctr", "-o", option]);
        // The first value of an option counts.
        if option.starts_with("Ciphers") {
            command = daemon.client.command("ssh");
            command.args(["-o", option]);
        }
        let output = run(command.args(["workspace", "true"]), b"", PATIENCE);
        let words = said::failed(&output, 255);
        assert!(words.contains("no matching"), "{option}: {words}");
    }
}
