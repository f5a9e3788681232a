//! FIDO keys log in with a stock ssh, by themselves and in certificates.

use std::path::{Path, PathBuf};

use crate::agent::{Authenticator, Kind, TOUCHED, VERIFIED};
use crate::pod::Pod;
use crate::running::{Running, Said};

const KINDS: [Kind; 2] = [Kind::Ed25519, Kind::Ecdsa];

fn plugged(pod: &Pod, kind: Kind) -> (Authenticator, PathBuf) {
    let key = Authenticator::plug_in(&pod.path("people"), "token", kind);
    (key, pod.path("people/token.pub"))
}

/// Whether this authenticator gets in with these flags.
#[track_caller]
fn admits(running: &Running, key: &Authenticator, public: &Path, more: &[&str], flags: u8) -> bool {
    key.claims(flags);
    let agent = format!("IdentityAgent={}", key.socket.display());
    let mut command = running.command(public);
    command.args(["-o", &agent]).args(more);
    Said::of(command.args(["127.0.0.1", "true"])).entered()
}

#[test]
fn a_touched_key_gets_in_and_an_untouched_one_where_its_line_says_so() {
    for kind in KINDS {
        for (options, wanted) in [
            (
                "",
                [
                    (TOUCHED, true),
                    (TOUCHED | VERIFIED, true),
                    (0, false),
                    (VERIFIED, false),
                ],
            ),
            (
                "no-touch-required ",
                [
                    (TOUCHED, true),
                    (0, true),
                    (VERIFIED, true),
                    (TOUCHED | VERIFIED, true),
                ],
            ),
            (
                "verify-required ",
                [
                    (TOUCHED, false),
                    (0, false),
                    (VERIFIED, false),
                    (TOUCHED | VERIFIED, true),
                ],
            ),
        ] {
            let mut pod = Pod::new();
            let (key, public) = plugged(&pod, kind);
            let line = format!("{options}{}", key.public.to_openssh().unwrap());
            pod.secret("authorized_keys", &[("token", &line)]);
            pod.args([
                "--authorized-keys",
                pod.path("authorized_keys").to_str().unwrap(),
            ]);
            let running = pod.start();
            for (flags, enters) in wanted {
                let entered = admits(&running, &key, &public, &[], flags);
                assert_eq!(entered, enters, "{kind:?} {options:?} {flags}");
            }
        }
    }
}

#[test]
fn certificates_of_hardware_keys_carry_the_same_rules() {
    for kind in KINDS {
        for (signing, wanted) in [
            (
                &[][..],
                [(TOUCHED, true), (0, false), (TOUCHED | VERIFIED, true)],
            ),
            (
                &["-O", "no-touch-required"],
                [(TOUCHED, true), (0, true), (VERIFIED, true)],
            ),
            (
                &["-O", "verify-required"],
                [
                    (TOUCHED, false),
                    (VERIFIED, false),
                    (TOUCHED | VERIFIED, true),
                ],
            ),
        ] {
            let mut pod = Pod::new();
            pod.secret("user_ca", &[("ca", &pod.line("ca"))]);
            pod.args(["--user-ca", pod.path("user_ca").to_str().unwrap()]);
            let (key, public) = plugged(&pod, kind);
            pod.person("ca");
            pod.keygen(
                &[
                    &[
                        "-q",
                        "-s",
                        "ca",
                        "-I",
                        "token",
                        "-n",
                        crate::harness::daemon::user(),
                    ],
                    signing,
                    &["token.pub"],
                ]
                .concat(),
            );
            let certificate = format!(
                "CertificateFile={}",
                pod.path("people/token-cert.pub").display()
            );
            let running = pod.start();
            for (flags, enters) in wanted {
                let entered = admits(&running, &key, &public, &["-o", &certificate], flags);
                assert_eq!(entered, enters, "{kind:?} {signing:?} {flags}");
            }
        }
    }
}
