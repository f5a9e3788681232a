//! Each algorithm that `--compat` offers carries data, alone; what is weak it does not offer either.

use std::thread;

use crate::harness::daemon::Daemon;
use crate::harness::process::{PATIENCE, run};
use crate::said;

/// Sends data there and back with `options`.
#[track_caller]
fn carries(daemon: &Daemon, options: &[String]) {
    let data = said::noise(1_000_000);
    let mut ssh = daemon.client.command("ssh");
    ssh.args(options).args(["workspace", "cat"]);
    let output = run(&mut ssh, &data, PATIENCE);
    assert!(
        output.stdout == data,
        "{options:?}: {}",
        said::show(&output)
    );
}

fn option(name: &str, value: &str) -> [String; 2] {
    ["-o".to_owned(), format!("{name}={value}")]
}

#[test]
fn every_key_exchange_works() {
    let daemon = Daemon::start(|setup| setup.args(["--compat"]));
    for kex in [
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group14-sha256",
    ] {
        carries(&daemon, &option("KexAlgorithms", kex));
    }
}

#[test]
fn every_cipher_works_with_every_mac() {
    let daemon = Daemon::start(|setup| setup.args(["--compat"]));
    for cipher in [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        carries(&daemon, &option("Ciphers", cipher));
    }
    let macs = [
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    ];
    thread::scope(|scope| {
        for mac in macs {
            let daemon = &daemon;
            scope.spawn(move || {
                for cipher in ["aes128-ctr", "aes192-ctr", "aes256-ctr"] {
                    let rekey = option("RekeyLimit", "300K");
                    let options = [option("Ciphers", cipher), option("MACs", mac), rekey].concat();
                    carries(daemon, &options);
                }
            });
        }
    });
}

#[test]
fn what_is_weak_is_not_offered() {
    let daemon = Daemon::start(|setup| setup.args(["--compat"]));
    for (name, value, what) in [
        (
            "KexAlgorithms",
            "diffie-hellman-group14-sha1",
            "key exchange method",
        ),
        (
            "KexAlgorithms",
            "diffie-hellman-group1-sha1",
            "key exchange method",
        ),
        ("Ciphers", "aes256-cbc", "cipher"),
        ("Ciphers", "3des-cbc", "cipher"),
        ("MACs", "hmac-sha1", "MAC"),
        ("HostKeyAlgorithms", "ssh-rsa", "host key type"),
    ] {
        let mut ssh = daemon.client.command("ssh");
        // A cipher that needs a MAC, unless ciphers are what is tried.
        let cipher = if name == "Ciphers" {
            value
        } else {
            "aes128-ctr"
        };
        ssh.args(option(name, value))
            .args(option("Ciphers", cipher));
        let error = said::failed(&run(ssh.args(["workspace", "true"]), b"", PATIENCE), 255);
        assert!(
            error.contains(&format!("no matching {what} found")),
            "{value}: {error}"
        );
    }
}
