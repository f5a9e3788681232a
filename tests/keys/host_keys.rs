//! Host keys as ssh-keygen makes and reads them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use podssh::keys::{HostKeyPlaces, HostKeys};

use crate::bench::{Bench, output};

fn places(bench: &Bench) -> HostKeyPlaces {
    HostKeyPlaces {
        fallback: None,
        explicit: Some(bench.root.path().to_owned()),
        mounted: bench.path("mounted"),
        state: bench.path("state"),
        uid: fs::metadata(bench.root.path()).unwrap().uid(),
    }
}

#[test]
fn generated_keys_are_what_ssh_keygen_reads() {
    let bench = Bench::new();
    let keys = HostKeys::load_or_generate(&places(&bench)).unwrap();
    let lines = keys
        .known_hosts_lines(&["[alice.example]:80".to_owned()])
        .unwrap();
    bench.write("known_hosts", &(lines.join("\n") + "\n"));
    let found = bench.keygen(&["-lF", "[alice.example]:80", "-f", "known_hosts"]);
    for (key, line) in keys.keys().iter().zip(keys.fingerprints()) {
        let fingerprint = bench.keygen(&["-lf", key.path.to_str().unwrap()]);
        let fingerprint = fingerprint.split(' ').nth(1).unwrap();
        assert!(
            found.contains(fingerprint) && line.contains(fingerprint),
            "{found} {line}"
        );
        let derived = bench.keygen(&["-yf", key.path.to_str().unwrap()]);
        let public = fs::read_to_string(key.path.with_extension("pub")).unwrap();
        assert_eq!(derived.trim_end(), public.trim_end());
    }
}

#[test]
fn a_kill_at_any_moment_of_generation_changes_no_key_that_stands() {
    for round in 0..24 {
        let bench = Bench::new();
        let directory = bench.path("keys");
        let run = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_podssh"));
            command
                .args(["host-keys", "alice", "--host-keys"])
                .arg(&directory);
            command.stderr(Stdio::null());
            command
        };
        let mut killed = run().stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(round));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let path = directory.join("ssh_host_ed25519_key");
        let survivor = fs::read(&path).ok();

        let first = output(&mut run());
        assert_eq!(first.lines().count(), 2, "{first}");
        assert_eq!(first, output(&mut run()));
        assert!(survivor.is_none_or(|survivor| survivor == fs::read(&path).unwrap()));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
    }
}

#[test]
fn every_openssh_private_key_in_a_mount_is_served() {
    let bench = Bench::new();
    bench.key("one", &["ed25519"]);
    bench.key("two", &["ecdsa", "-b", "384"]);
    bench.key("three", &["rsa", "-b", "2048"]);
    bench.write("README", "not a key\n");
    let keys = HostKeys::load_or_generate(&places(&bench)).unwrap();
    assert!(!keys.generated());
    assert_eq!(keys.keys().len(), 3);
    assert!(keys.keys()[0].private.algorithm().is_ed25519());
    assert_eq!(keys.warnings().len(), 1);
    assert!(
        keys.warnings()[0].contains("RSA host key"),
        "{:?}",
        keys.warnings()
    );
}

#[test]
fn encrypted_and_pem_keys_name_the_command_that_helps() {
    let bench = Bench::new();
    bench.keygen(&["-q", "-t", "ed25519", "-N", "secret", "-f", "key"]);
    let error = HostKeys::load_or_generate(&places(&bench))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is encrypted") && error.contains("ssh-keygen -p -f"),
        "{error}"
    );
    bench.keygen(&["-q", "-p", "-P", "secret", "-N", "", "-f", "key"]);
    assert!(HostKeys::load_or_generate(&places(&bench)).is_ok());

    for format in ["PEM", "PKCS8"] {
        let name = format!("key_{format}");
        bench.keygen(&["-q", "-t", "ecdsa", "-m", format, "-N", "", "-f", &name]);
        let error = HostKeys::load_or_generate(&places(&bench))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("another format") && error.contains("ssh-keygen -p -f"),
            "{error}"
        );
        // And the command does help.
        bench.keygen(&["-q", "-p", "-P", "", "-N", "", "-f", &name]);
        assert!(HostKeys::load_or_generate(&places(&bench)).is_ok());
    }
}

#[test]
fn a_host_certificate_beside_its_key_pins_the_authority() {
    let bench = Bench::new();
    let ca = tempfile::tempdir().unwrap();
    let ca_key = ca.path().join("ca");
    bench.keygen(&[
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-f",
        ca_key.to_str().unwrap(),
    ]);
    bench.key("host", &["ed25519"]);
    let sign = |more: &[&str]| {
        let mut arguments = vec!["-q", "-s", ca_key.to_str().unwrap(), "-I", "host"];
        arguments.extend(more);
        arguments.push("host.pub");
        bench.keygen(&arguments);
        HostKeys::load_or_generate(&places(&bench)).unwrap()
    };
    let keys = sign(&["-h", "-n", "alice.example"]);
    assert!(keys.keys()[0].certificate.is_some());
    let lines = keys
        .known_hosts_lines(&["alice.example".to_owned()])
        .unwrap();
    assert!(
        lines[1].starts_with("@cert-authority alice.example ssh-ed25519 "),
        "{lines:?}"
    );

    let keys = sign(&["-n", "alice"]);
    assert!(keys.keys()[0].certificate.is_none());
    assert!(
        keys.warnings()[0].contains("user certificate"),
        "{:?}",
        keys.warnings()
    );
}
