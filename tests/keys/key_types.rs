//! Every key type that ssh-keygen makes: accepted, or refused with a reason.

use crate::bench::Bench;

#[test]
fn every_accepted_type_logs_in_and_weak_ones_are_refused() {
    let bench = Bench::new();
    let kinds: [(&str, &[&str], bool); 8] = [
        ("ed25519", &["ed25519"], true),
        ("p256", &["ecdsa", "-b", "256"], true),
        ("p384", &["ecdsa", "-b", "384"], true),
        ("p521", &["ecdsa", "-b", "521"], true),
        ("rsa2048", &["rsa", "-b", "2048"], true),
        ("rsa4096", &["rsa", "-b", "4096"], true),
        ("rsa1024", &["rsa", "-b", "1024"], false),
        ("rsa2040", &["rsa", "-b", "2040"], false),
    ];
    let lines: Vec<String> = kinds
        .iter()
        .map(|(name, kind, _)| bench.key(name, kind))
        .collect();
    bench.write("authorized_keys", &lines.join("\r\n"));
    let (set, errors) = bench.load();
    assert_eq!(set.len(), 6);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].contains(":7: an RSA key of 1024 bits is too short"),
        "{errors:?}"
    );
    for (name, _, accepted) in kinds {
        assert_eq!(bench.decide(name, "10.0.0.1").is_ok(), accepted, "{name}");
    }
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let bench = Bench::new();
    let line = bench.key("alice", &["ed25519"]);
    bench.write("authorized_keys", &line);
    let grant = bench.decide("alice", "10.0.0.1").unwrap();
    let listed = bench.keygen(&["-lf", "alice.pub"]);
    assert_eq!(
        listed.split(' ').nth(1),
        Some(grant.identity.fingerprint.as_str())
    );
}
