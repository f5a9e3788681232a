//! `--revoked-keys` written by `ssh-keygen -k`.

use crate::bench::Bench;

const PEER: &str = "10.0.0.1";

/// Two plain keys, and one certificate of each of two CAs with serial 1000.
fn people() -> Bench {
    let mut bench = Bench::new();
    let lines = [
        bench.key("alice", &["ed25519"]),
        bench.key("bob", &["rsa", "-b", "2048"]),
    ];
    bench.write("authorized_keys", &lines.join("\n"));
    let authorities = [bench.key("ca1", &["ed25519"]), bench.key("ca2", &["ecdsa"])];
    bench.write("user_ca", &authorities.join("\n"));
    for (name, ca) in [("carol", "ca1"), ("dave", "ca2")] {
        bench.key(name, &["ed25519"]);
        bench.sign(ca, name, &["-z", "1000", "-I", name]);
    }
    bench.sources.revoked_keys = Some(bench.path("revoked"));
    bench
}

/// Who is revoked by the list in force.
fn revoked(bench: &Bench) -> Vec<&'static str> {
    let (_, errors) = bench.load();
    assert!(errors.is_empty(), "{errors:?}");
    let names = ["alice", "bob", "carol", "dave"];
    let out = |name: &&str| match bench.decide(name, PEER) {
        Ok(_) => false,
        Err(denied) => {
            assert_eq!(denied.as_label(), "revoked", "{name}");
            true
        }
    };
    names.into_iter().filter(out).collect()
}

#[test]
fn krl_specifications_of_every_kind() {
    let bench = people();
    let fingerprint = |name: &str| {
        bench
            .keygen(&["-lf", &format!("{name}.pub")])
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    let numbers: Vec<String> = (1..2000)
        .step_by(2)
        .map(|n| format!("serial: {n}\n"))
        .collect();
    let bulk = numbers.concat();
    for (spec, ca, wanted) in [
        (bench.public_line("alice"), None, vec!["alice"]),
        (
            format!("key: {}", bench.public_line("bob")),
            None,
            vec!["bob"],
        ),
        (
            format!("sha1: {}", bench.public_line("bob")),
            None,
            vec!["bob"],
        ),
        (
            format!("sha256: {}", bench.public_line("bob")),
            None,
            vec!["bob"],
        ),
        (
            format!("hash: {}", fingerprint("alice")),
            None,
            vec!["alice"],
        ),
        (
            format!("sha256: {}", bench.public_line("carol")),
            None,
            vec!["carol"],
        ),
        ("serial: 1000".to_owned(), Some("ca1"), vec!["carol"]),
        (
            "serial: 1000".to_owned(),
            Some("none"),
            vec!["carol", "dave"],
        ),
        ("serial: 999-1001".to_owned(), Some("ca2"), vec!["dave"]),
        ("serial: 1001-5000".to_owned(), Some("ca2"), vec![]),
        ("serial: 1-1000000".to_owned(), Some("ca1"), vec!["carol"]),
        (bulk.clone(), Some("ca1"), vec![]),
        (format!("{bulk}serial: 1000"), Some("ca1"), vec!["carol"]),
        (
            "serial: 998\nserial: 1000\nserial: 18446744073709551615".to_owned(),
            Some("ca1"),
            vec!["carol"],
        ),
        ("id: dave".to_owned(), Some("ca2"), vec!["dave"]),
        ("id: dave".to_owned(), Some("ca1"), vec![]),
        (bench.public_line("ca1"), None, vec!["carol"]),
        (String::new(), None, vec![]),
    ] {
        bench.write("spec", &format!("{spec}\n"));
        let mut arguments = vec!["-q", "-k", "-f", "revoked"];
        let ca = ca.map(|ca| {
            if ca == "none" {
                ca.to_owned()
            } else {
                format!("{ca}.pub")
            }
        });
        arguments.extend(ca.iter().flat_map(|ca| ["-s", ca]));
        arguments.push("spec");
        bench.keygen(&arguments);
        assert_eq!(
            revoked(&bench),
            wanted,
            "{} {ca:?}",
            spec.lines().last().unwrap_or_default()
        );
    }
}

#[test]
fn a_certificate_in_a_krl_is_revoked_by_its_serial() {
    let bench = people();
    bench.keygen(&["-q", "-k", "-f", "revoked", "carol-cert.pub"]);
    assert_eq!(revoked(&bench), ["carol"]);
    bench.keygen(&["-q", "-k", "-u", "-f", "revoked", "alice.pub"]);
    assert_eq!(revoked(&bench), ["alice", "carol"]);
}

#[test]
fn plain_lists_name_keys_authorities_and_fingerprints() {
    let bench = people();
    bench.write(
        "revoked",
        &format!(
            "# gone\n{}\n{}\n",
            bench.public_line("bob"),
            bench.public_line("ca2")
        ),
    );
    assert_eq!(revoked(&bench), ["bob", "dave"]);
    bench.write("revoked", &bench.public_line("carol"));
    assert_eq!(revoked(&bench), ["carol"], "the key inside a certificate");
}

#[test]
fn a_damaged_list_lets_nobody_in() {
    let bench = people();
    bench.keygen(&["-q", "-k", "-f", "revoked", "alice.pub"]);
    let mut bytes = std::fs::read(bench.path("revoked")).unwrap();
    bytes.truncate(bytes.len() - 3);
    std::fs::write(bench.path("revoked"), bytes).unwrap();
    let (set, errors) = bench.load();
    assert!(
        errors[0].contains("cut short") && errors[0].contains("nobody can log in"),
        "{errors:?}"
    );
    assert_eq!(set.stale_sources(), 1);
    assert_eq!(
        bench.decide("bob", PEER).unwrap_err().as_label(),
        "revocations-unreadable"
    );
    std::fs::remove_file(bench.path("revoked")).unwrap();
    assert_eq!(
        bench.decide("bob", PEER).unwrap_err().as_label(),
        "revocations-unreadable"
    );
}
