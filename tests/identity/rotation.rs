//! New host keys without a prompt: `hostkeys-00@openssh.com` with the stock client's UpdateHostKeys,
//! and host certificates, where one line pins them all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::process::{Background, PATIENCE, eventually};
use crate::pod::Pod;
use crate::running::{Running, Said};

/// Replaces what is in the directory of host keys with these people's keys.
fn serve_keys(pod: &Pod, names: &[&str]) -> PathBuf {
    let directory = pod.path("keys");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    for name in names {
        let (key, certificate) = (pod.path("people").join(name), format!("{name}-cert.pub"));
        fs::copy(&key, directory.join(name)).unwrap();
        let _ = fs::copy(
            pod.path("people").join(&certificate),
            directory.join(&certificate),
        );
    }
    pod.give("keys");
    directory
}

/// A login that trusts what `known` says and keeps it up to date.
fn updating(pod: &Pod, running: &Running, known: &Path) -> Command {
    updating_with(pod, running, known, "LogLevel=INFO")
}

fn updating_with(pod: &Pod, running: &Running, known: &Path, option: &str) -> Command {
    let file = format!("UserKnownHostsFile={}", known.display());
    let mut ssh = running.unpinned(&pod.person("alice"));
    ssh.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "UpdateHostKeys=yes",
        "-o",
        &file,
    ]);
    ssh.args([
        "-o",
        option,
        "-o",
        "HostKeyAlias=workspace",
        "127.0.0.1",
        "cat",
    ]);
    ssh
}

/// Stays logged in until the client knows these keys: stock ssh learns them after the login.
#[track_caller]
fn learns(pod: &Pod, running: &Running, known: &Path, wanted: &[&String]) {
    let mut ssh = updating(pod, running, known);
    let _session = Background::start(ssh.stdin(Stdio::piped()).stdout(Stdio::null()));
    eventually(&format!("the client knows {wanted:?}"), PATIENCE, || {
        known_keys(known)
            .iter()
            .eq(wanted.iter().copied())
            .then_some(())
    });
}

/// The keys known for the workspace, in the file's order.
fn known_keys(known: &Path) -> Vec<String> {
    let text = fs::read_to_string(known).unwrap();
    let key = |line: &str| line.split(' ').nth(2).map(str::to_owned);
    text.lines()
        .filter(|line| line.starts_with("workspace "))
        .filter_map(key)
        .collect()
}

fn blob(pod: &Pod, name: &str) -> String {
    fs::read_to_string(pod.path("people").join(format!("{name}.pub")))
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn stock_ssh_learns_a_new_key_and_forgets_the_old_one() {
    let mut pod = Pod::with(&["alice"]);
    let known = pod.path("run/known_hosts");
    pod.person("old");
    pod.keygen(&["-q", "-t", "ecdsa", "-N", "", "-f", "new"]);
    let (old, new) = (blob(&pod, "old"), blob(&pod, "new"));
    fs::write(&known, format!("workspace {}\n", pod.line("old"))).unwrap();
    let directory = serve_keys(&pod, &["old", "new"]);
    pod.args([Path::new("--host-keys"), &directory]);

    let running = pod.start();
    learns(&pod, &running, &known, &[&old, &new]);
    drop(running);

    serve_keys(&pod, &["new"]);
    let running = pod.start();
    learns(&pod, &running, &known, &[&new]);
    // A key nobody has told the client about is an alarm, as it must be.
    drop(running);
    pod.keygen(&["-q", "-t", "ecdsa", "-N", "", "-f", "stranger"]);
    serve_keys(&pod, &["stranger"]);
    let running = pod.start();
    let said = Said::of(&mut updating(&pod, &running, &known));
    assert!(
        said.err.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "{said:?}"
    );
}

#[test]
fn keys_of_every_type_are_learnt_from_any_other() {
    let mut pod = Pod::with(&["alice"]);
    let known = pod.path("run/known_hosts");
    pod.person("ed");
    pod.keygen(&["-q", "-t", "ecdsa", "-N", "", "-f", "ec"]);
    pod.keygen(&["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]);
    let directory = serve_keys(&pod, &["ed", "ec", "rsa"]);
    pod.args([Path::new("--host-keys"), &directory]);
    let running = pod.start();
    let blobs = ["ed", "ec", "rsa"].map(|name| blob(&pod, name));
    for (first, algorithm) in [
        ("ed", "ssh-ed25519"),
        ("ec", "ecdsa-sha2-nistp256"),
        ("rsa", "rsa-sha2-256"),
        ("rsa", "rsa-sha2-512"),
    ] {
        fs::write(&known, format!("workspace {}\n", pod.line(first))).unwrap();
        // ssh takes only keys of types it would accept, so the list goes on.
        let mut ssh = updating_with(
            &pod,
            &running,
            &known,
            &format!("HostKeyAlgorithms={algorithm},ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512"),
        );
        let _session = Background::start(ssh.stdin(Stdio::piped()).stdout(Stdio::null()));
        eventually(&format!("all keys by {algorithm}"), PATIENCE, || {
            let keys = known_keys(&known);
            blobs.iter().all(|blob| keys.contains(blob)).then_some(())
        });
    }
}

/// Signs the key of `name` as one of the host `workspace`.
fn sign_host(pod: &Pod, name: &str, more: &[&str]) {
    pod.person(name);
    let public = format!("{name}.pub");
    pod.keygen(
        &[
            &["-q", "-s", "ca", "-I", name, "-h", "-n", "workspace"],
            more,
            &[&public],
        ]
        .concat(),
    );
}

#[test]
fn one_cert_authority_line_pins_every_workspace_also_after_rotation() {
    let mut pod = Pod::with(&["alice"]);
    let known = pod.path("run/known_hosts");
    let ca = pod.line("ca");
    for name in ["first", "second"] {
        sign_host(&pod, name, &["-V", "-1m:+1d"]);
    }
    fs::write(&known, format!("@cert-authority workspace {ca}\n")).unwrap();
    let directory = serve_keys(&pod, &["first"]);
    pod.args([Path::new("--host-keys"), &directory]);
    let running = pod.start();
    let file = format!("UserKnownHostsFile={}", known.display());
    let login = |running: &Running| {
        let mut ssh = running.unpinned(&pod.person("alice"));
        ssh.args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "HostKeyAlias=workspace",
            "-o",
            &file,
        ]);
        Said::of(ssh.args(["127.0.0.1", "echo in"]))
    };
    let said = login(&running);
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("in\n", ""),
        "{said:?}"
    );
    // `podssh host-keys` prints that very line.
    let mut ask = pod.podssh(["host-keys", "workspace", "--host-keys"]);
    let printed = Said::of(ask.arg(&directory)).out;
    let words: Vec<&str> = ca.split(' ').take(2).collect();
    assert!(
        printed.contains(&format!("@cert-authority workspace {}", words.join(" "))),
        "{printed}"
    );
    drop(running);

    serve_keys(&pod, &["second"]);
    let said = login(&pod.start());
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("in\n", ""),
        "{said:?}"
    );
    // A certificate of another CA, or one that has expired, is not believed.
    sign_host(&pod, "second", &["-V", "-2d:-1d"]);
    serve_keys(&pod, &["second"]);
    let said = login(&pod.start());
    assert!(
        said.err.contains("expired") && said.code == Some(255),
        "{said:?}"
    );
    let _ = fs::remove_file(pod.path("people/second-cert.pub"));
    serve_keys(&pod, &["second"]);
    let said = login(&pod.start());
    assert!(
        said.err.contains("Host key verification failed"),
        "{said:?}"
    );
}
