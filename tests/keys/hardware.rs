//! FIDO keys: the flags that the signature carries. No authenticator here, so the keys are made up
//! around an ordinary point; `ssh-keygen` vouches that they read as the real thing.

use std::time::SystemTime;

use podssh::keys::{Credential, Offer};
use ssh_key::public::{EcdsaPublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{Certificate, PublicKey, certificate::Builder};

use crate::bench::Bench;

fn hardware_keys(bench: &Bench) -> [PublicKey; 2] {
    let read =
        |name: &str| PublicKey::read_openssh_file(bench.path(&format!("{name}.pub"))).unwrap();
    bench.key("ed", &["ed25519"]);
    bench.key("ec", &["ecdsa", "-b", "256"]);
    let ed = *read("ed").key_data().ed25519().unwrap();
    let ec = read("ec");
    let Some(EcdsaPublicKey::NistP256(point)) = ec.key_data().ecdsa() else {
        panic!("not p256")
    };
    [
        KeyData::SkEd25519(SkEd25519::new(ed, "ssh:")).into(),
        KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, "ssh:")).into(),
    ]
}

fn decide(
    bench: &Bench,
    credential: Credential<'_>,
    algorithm: &str,
    flags: Option<u8>,
) -> &'static str {
    let (set, errors) = bench.load();
    assert!(errors.is_empty(), "{errors:?}");
    let offer = Offer {
        credential,
        algorithm,
        sk_flags: flags,
        peer: "10.0.0.1".parse().unwrap(),
        user: &bench.user,
        now: SystemTime::now(),
    };
    set.authorize(&offer)
        .map_or_else(|denied| denied.as_label(), |_| "in")
}

#[test]
fn touch_and_verification_are_asked_for() {
    let bench = Bench::new();
    for key in hardware_keys(&bench) {
        let line = key.to_openssh().unwrap();
        bench.write("sk.pub", &line);
        assert!(bench.keygen(&["-lf", "sk.pub"]).contains("-SK)"));
        let algorithm = key.algorithm();
        for (options, wanted) in [
            (
                "",
                [
                    ("in", Some(1)),
                    ("in", Some(5)),
                    ("presence", Some(0)),
                    ("presence", None),
                ],
            ),
            (
                "no-touch-required ",
                [
                    ("in", Some(0)),
                    ("in", None),
                    ("in", Some(4)),
                    ("in", Some(1)),
                ],
            ),
            (
                "verify-required ",
                [
                    ("presence", Some(1)),
                    ("in", Some(5)),
                    ("presence", Some(4)),
                    ("presence", None),
                ],
            ),
            (
                "no-touch-required,verify-required ",
                [
                    ("presence", Some(1)),
                    ("in", Some(4)),
                    ("in", Some(5)),
                    ("presence", None),
                ],
            ),
        ] {
            bench.write("authorized_keys", &format!("{options}{line}"));
            for (verdict, flags) in wanted {
                let said = decide(&bench, Credential::Key(&key), algorithm.as_str(), flags);
                assert_eq!(said, verdict, "{options} {flags:?}");
            }
            let wrong = decide(&bench, Credential::Key(&key), "ssh-ed25519", Some(5));
            assert_eq!(wrong, "algorithm");
        }
    }
}

/// A certificate for `key` by the CA in the file `ca`.
fn certify(bench: &Bench, key: &PublicKey, no_touch: bool) -> Certificate {
    let ca = ssh_key::PrivateKey::read_openssh_file(bench.path("ca")).unwrap();
    let mut builder = Builder::new(vec![0; 16], key.key_data().clone(), 0, u64::MAX - 1).unwrap();
    builder.valid_principal(bench.user.clone()).unwrap();
    if no_touch {
        builder.extension("no-touch-required", "").unwrap();
    }
    builder.sign(&ca).unwrap()
}

#[test]
fn certificates_waive_touch_only_where_line_and_certificate_agree() {
    let bench = Bench::new();
    let ca = bench.key("ca", &["ed25519"]);
    for key in hardware_keys(&bench) {
        let [touch, none] = [false, true].map(|no_touch| certify(&bench, &key, no_touch));
        let ask = |certificate: &Certificate| {
            decide(
                &bench,
                Credential::Certificate(certificate),
                key.algorithm().as_str(),
                Some(0),
            )
        };
        bench.write("user_ca", &ca);
        bench.write("authorized_keys", "");
        assert_eq!((ask(&touch), ask(&none)), ("presence", "in"));
        bench.write("user_ca", "");
        bench.write("authorized_keys", &format!("cert-authority {ca}"));
        assert_eq!((ask(&touch), ask(&none)), ("presence", "presence"));
        bench.write(
            "authorized_keys",
            &format!("cert-authority,no-touch-required {ca}"),
        );
        assert_eq!((ask(&touch), ask(&none)), ("presence", "in"));
    }
}
