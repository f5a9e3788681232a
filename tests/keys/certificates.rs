//! Certificates signed by `ssh-keygen -s`, with each option it knows.

use std::time::{Duration, SystemTime};

use podssh::keys::{Credential, Denied, Offer, Permission};

use crate::bench::Bench;

const PEER: &str = "10.0.0.1";

/// A CA trusted by `--user-ca`, and a key signed by it with `more`.
fn signed(more: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.key("ca", &["ed25519"]);
    bench.write("user_ca", &format!("# ours\n{}\n", bench.public_line("ca")));
    bench.key("alice", &["ed25519"]);
    bench.sign("ca", "alice", more);
    bench
}

#[test]
fn a_certificate_says_who_it_is_and_what_it_may_do() {
    let bench = signed(&["-z", "7", "-V", "-1h:+1h"]);
    let grant = bench.decide("alice", PEER).unwrap();
    let certificate = grant.identity.certificate.unwrap();
    assert_eq!(
        (certificate.key_id.as_str(), certificate.serial),
        ("an id", 7)
    );
    let listed = bench.keygen(&["-lf", "ca.pub"]);
    assert_eq!(
        listed.split(' ').nth(1),
        Some(certificate.ca_fingerprint.as_str())
    );
    assert_eq!(grant.identity.label, "user_ca");
    let left = grant
        .options
        .expires
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500));
    // ssh-keygen's default extensions are all five.
    for permission in [
        Permission::Pty,
        Permission::PortForwarding,
        Permission::AgentForwarding,
        Permission::X11Forwarding,
        Permission::UserRc,
    ] {
        assert!(grant.options.permits(permission), "{permission:?}");
    }
}

#[test]
fn extensions_that_are_absent_are_denied() {
    let bench = signed(&[
        "-O",
        "clear",
        "-O",
        "permit-pty",
        "-O",
        "extension:who@example.com=x",
    ]);
    let options = bench.decide("alice", PEER).unwrap().options;
    assert!(options.permits(Permission::Pty) && !options.permits(Permission::PortForwarding));
    assert!(!options.permits(Permission::AgentForwarding));
    assert_eq!(options.expires, None, "valid for ever");
}

#[test]
fn critical_options_are_honoured_or_refuse() {
    for (more, peer, wanted) in [
        (&["-O", "force-command=ls"][..], PEER, Ok(Some("ls"))),
        (
            &["-O", "source-address=10.0.0.0/8,192.0.2.1"],
            PEER,
            Ok(None),
        ),
        (
            &["-O", "source-address=10.0.0.0/8,192.0.2.1"],
            "192.0.2.2",
            Err("address"),
        ),
        (
            &["-O", "critical:what@example.com=x"],
            PEER,
            Err("certificate"),
        ),
        (&["-O", "verify-required"], PEER, Err("presence")),
        (&["-V", "-2h:-1h"], PEER, Err("time")),
        (&["-V", "+1h:+2h"], PEER, Err("time")),
        (&["-n", "somebody,else"], PEER, Err("certificate")),
        (&["no-principals"], PEER, Err("certificate")),
        (&["-h"], PEER, Err("certificate")),
    ] {
        let decision = signed(more).decide("alice", peer);
        let decision = decision.map(|grant| grant.options.command);
        let shown = decision
            .as_ref()
            .map(|command| command.as_ref().and_then(|c| c.to_str()));
        assert_eq!(
            shown.map_err(Denied::as_label),
            wanted,
            "{more:?} {decision:?}"
        );
    }
}

#[test]
fn principals_of_the_command_line_replace_the_user_name() {
    let mut bench = signed(&["-n", "team-red"]);
    assert!(bench.decide("alice", PEER).is_err());
    bench.sources.principals = vec!["team-blue".to_owned(), "team-red".to_owned()];
    assert!(bench.decide("alice", PEER).is_ok());
    bench.sources.principals = vec!["team-blue".to_owned(), bench.user.clone()];
    assert!(bench.decide("alice", PEER).is_err());
}

#[test]
fn cert_authority_lines_restrict_what_the_certificate_allows() {
    for (options, more, wanted) in [
        ("cert-authority", &[][..], Ok(true)),
        ("cert-authority,no-pty", &[], Ok(false)),
        ("cert-authority", &["-O", "no-pty"], Ok(false)),
        ("cert-authority,principals=\"x,y\"", &["-n", "y"], Ok(true)),
        ("cert-authority,principals=\"x,y\"", &[], Err("certificate")),
        (
            "cert-authority,command=\"a\"",
            &["-O", "force-command=a"],
            Ok(true),
        ),
        (
            "cert-authority,command=\"a\"",
            &["-O", "force-command=b"],
            Err("certificate"),
        ),
        ("cert-authority,expiry-time=\"20200101Z\"", &[], Err("time")),
        ("cert-authority,from=\"192.0.2.1\"", &[], Err("address")),
        ("pty", &[], Err("unknown-key")),
    ] {
        let bench = signed(more);
        bench.write("user_ca", "");
        bench.write(
            "authorized_keys",
            &format!("{options} {}", bench.public_line("ca")),
        );
        let decision = bench.decide("alice", PEER);
        let shown = decision
            .as_ref()
            .map(|grant| grant.options.permits(Permission::Pty));
        assert_eq!(
            shown.map_err(Denied::as_label),
            wanted,
            "{options} {decision:?}"
        );
    }
}

#[test]
fn a_ca_key_does_not_log_in_itself_and_a_foreign_ca_signs_nothing() {
    let bench = signed(&[]);
    assert_eq!(
        bench.decide("ca", PEER).unwrap_err().as_label(),
        "unknown-key"
    );
    bench.key("other", &["ed25519"]);
    bench.sign("other", "alice", &[]);
    assert_eq!(
        bench.decide("alice", PEER).unwrap_err().as_label(),
        "unknown-key"
    );
}

#[test]
fn rsa_authorities_must_sign_with_sha2() {
    let bench = signed(&[]);
    bench.key("rsa", &["rsa", "-b", "2048"]);
    bench.write("user_ca", &bench.public_line("rsa"));
    for (algorithm, wanted) in [
        ("rsa-sha2-512", Ok(())),
        ("rsa-sha2-256", Ok(())),
        ("ssh-rsa", Err("algorithm")),
    ] {
        bench.sign("rsa", "alice", &["-t", algorithm]);
        let decision = bench.decide("alice", PEER).map(drop);
        assert_eq!(
            decision.as_ref().map_err(Denied::as_label).copied(),
            wanted,
            "{algorithm}"
        );
    }
}

#[test]
fn a_forged_certificate_is_refused() {
    let bench = signed(&[]);
    let mut bytes = bench.certificate("alice").to_bytes().unwrap();
    let position = bytes
        .windows(5)
        .position(|window| window == b"an id")
        .unwrap();
    bytes[position] = b'A';
    let forged = ssh_key::Certificate::from_bytes(&bytes).unwrap();
    let (set, _) = bench.load();
    let denied = bench.ask(
        &set,
        Credential::Certificate(&forged),
        PEER.parse().unwrap(),
    );
    assert_eq!(denied.unwrap_err().as_label(), "certificate");
}

#[test]
fn a_live_connection_loses_its_right_with_the_authority_and_with_time() {
    let bench = signed(&["-V", "-1h:+1h"]);
    let granted = bench.decide("alice", PEER).unwrap();
    let (set, _) = bench.load();
    let now = SystemTime::now();
    let until = set.still_allows(&granted, now).unwrap().unwrap();
    assert!(until > now && until <= now + Duration::from_secs(3600));
    let late = now + Duration::from_secs(3700);
    assert_eq!(
        set.still_allows(&granted, late).unwrap_err().as_label(),
        "time"
    );
    bench.write("user_ca", "# nobody\n");
    let (set, _) = bench.load();
    assert_eq!(
        set.still_allows(&granted, now).unwrap_err().as_label(),
        "unknown-key"
    );
}

#[test]
fn with_an_authority_unknown_keys_are_worth_a_signature() {
    let bench = signed(&[]);
    let (set, _) = bench.load();
    let certificate = bench.certificate("alice");
    let embedded = ssh_key::PublicKey::from(certificate.public_key().clone());
    assert!(set.is_candidate(&embedded));
    let offer = Offer {
        credential: Credential::Key(&embedded),
        algorithm: "ssh-ed25519",
        sk_flags: None,
        peer: PEER.parse().unwrap(),
        user: &bench.user,
        now: SystemTime::now(),
    };
    assert!(
        set.authorize(&offer).is_err(),
        "worth a signature, not a login"
    );
    // Some libraries pass the certificate's own algorithm name on.
    let offer = Offer {
        credential: Credential::Certificate(&certificate),
        algorithm: "ssh-ed25519-cert-v01@openssh.com",
        ..offer
    };
    assert!(set.authorize(&offer).is_ok());
}
