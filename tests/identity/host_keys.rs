//! Who we are: from a Secret, from the home volume, or made there once; the same after any restart.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::harness::process::{PATIENCE, run};
use crate::pod::{FS_GROUP, Pod, set_mode};
use crate::running::{Running, Said};

const STATE: &str = "home/.local/state/podssh/host_keys";

/// The host key lines a client sees, by type.
fn scanned(running: &Running) -> Vec<String> {
    let mut scan = std::process::Command::new("ssh-keyscan");
    scan.args([
        "-T",
        "20",
        "-t",
        "ed25519,ecdsa,rsa",
        "-p",
        &running.port,
        "127.0.0.1",
    ]);
    let said = Said::of(&mut scan);
    let keys = said
        .out
        .lines()
        .map(|line| line.split_once(' ').unwrap().1.to_owned());
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    keys
}

fn types(keys: &[String]) -> Vec<&str> {
    keys.iter()
        .map(|key| key.split(' ').next().unwrap())
        .collect()
}

/// A Secret `volume` of host keys by name, mounted at `mounted` as `fsGroup` leaves it.
fn mounted(pod: &mut Pod, names: &[&str]) -> PathBuf {
    let texts: Vec<String> = names
        .iter()
        .map(|name| fs::read_to_string(pod.path("people").join(name)).unwrap())
        .collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    pod.secret("volume", &files);
    let volume = pod.path("volume");
    let generation = volume.join(fs::read_link(volume.join("..data")).unwrap());
    for name in names {
        let path = generation.join(name);
        chown(&path, Some(0), Some(FS_GROUP)).unwrap();
        set_mode(&path, 0o440);
    }
    let at = pod.path("mounted");
    fs::create_dir(&at).unwrap();
    pod.mount(&volume, &at);
    pod.args([Path::new("--host-keys"), &at]);
    at
}

#[test]
fn made_once_in_the_home_private_and_the_same_after_every_restart() {
    let mut pod = Pod::with(&["alice"]);
    let first = scanned(&pod.start());
    assert_eq!(types(&first), ["ssh-ed25519"]);
    for name in ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"] {
        let metadata = fs::metadata(pod.path(STATE).join(name)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(pod.path(STATE)).unwrap().mode() & 0o777, 0o700);
    // The node went away without a word, twice, and fsGroup came along with the volume.
    for name in ["ssh_host_ed25519_key", "ssh_host_ecdsa_key"] {
        set_mode(&pod.path(STATE).join(name), 0o660);
    }
    let again = pod.start();
    assert_eq!(scanned(&again), first);
    assert!(again.log().contains("new=false"), "{}", again.log());
    // The other one is for old clients.
    drop(again);
    pod.args(["--compat"]);
    let old = scanned(&pod.start());
    assert_eq!(types(&old), ["ecdsa-sha2-nistp256", "ssh-ed25519"]);
    assert_eq!(
        fs::metadata(pod.path(STATE).join("ssh_host_ecdsa_key"))
            .unwrap()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn a_kill_while_keys_are_made_leaves_one_whole_set_at_the_next_start() {
    for round in 0..16 {
        let pod = Pod::new();
        let mut serve = pod.podssh([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "none",
            "--user",
        ]);
        serve
            .arg(crate::harness::daemon::user())
            .arg("--home")
            .arg(pod.path("home"));
        let mut killed = serve
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let directory = pod.path(STATE);
        // At a file's first sight, or a little later each time: in the middle of it all.
        for _ in 0..5000 {
            if fs::read_dir(&directory).is_ok_and(|mut files| files.next().is_some()) {
                break;
            }
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros(round * 150));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let survivor = fs::read(directory.join("ssh_host_ed25519_key")).ok();
        let first = scanned(&pod.start());
        assert_eq!(types(&first), ["ssh-ed25519"], "round {round}");
        let stands = fs::read(directory.join("ssh_host_ed25519_key")).unwrap();
        assert!(
            survivor.is_none_or(|survivor| survivor == stands),
            "round {round}"
        );
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            4,
            "nothing left over"
        );
        assert_eq!(scanned(&pod.start()), first);
    }
}

#[test]
fn a_mounted_secret_wins_and_nothing_is_written() {
    let mut pod = Pod::with(&["alice"]);
    pod.person("host");
    let ca = pod.line("ca");
    pod.keygen(&[
        "-q",
        "-s",
        "ca",
        "-h",
        "-I",
        "host",
        "-n",
        "workspace",
        "host.pub",
    ]);
    pod.keygen(&["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]);
    mounted(&mut pod, &["host", "host-cert.pub", "rsa"]);
    let running = pod.start();
    let keys = scanned(&running);
    assert_eq!(types(&keys), ["ssh-ed25519", "ssh-rsa"]);
    assert_eq!(
        keys[0].split(' ').nth(1),
        pod.line("host").split(' ').nth(1)
    );
    assert!(
        running
            .log()
            .contains("serving an RSA host key; its signing is not constant-time")
    );
    assert!(!pod.path(STATE).exists());
    drop(running);
    assert_eq!(scanned(&pod.start()), keys, "after a restart");
    // Its certificate comes with it, from the same generation.
    let known = pod.path("people/known_hosts");
    fs::write(&known, format!("@cert-authority workspace {ca}\n")).unwrap();
    let running = pod.start();
    let mut ssh = running.unpinned(&pod.person("alice"));
    let file = format!("UserKnownHostsFile={}", known.display());
    ssh.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "HostKeyAlias=workspace",
        "-o",
        &file,
    ]);
    let said = Said::of(ssh.args(["127.0.0.1", "true"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}

#[test]
fn no_rsa_key_without_a_mounted_one() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let said = running.ssh(
        &pod.person("alice"),
        &["-o", "HostKeyAlgorithms=rsa-sha2-512"],
        "true",
    );
    assert!(
        said.err.contains("no matching host key type found"),
        "{said:?}"
    );
    assert!(!running.log().contains("RSA"));
}

#[test]
fn a_read_only_home_without_a_key_is_served_with_keys_of_the_run_and_names_the_fix() {
    let mut pod = Pod::with(&["alice"]);
    pod.mount(&pod.path("home"), &pod.path("home"));
    let running = pod.start();
    assert!(running.admits(&pod.person("alice")));
    let wanted = format!(
        "{}: holds no host key and none can be made there",
        pod.path(STATE).display()
    );
    let log = running.log();
    assert!(log.contains(&wanted), "{log}");
    assert!(
        log.contains("mount a Secret with one, or make the home writable"),
        "{log}"
    );
    assert!(log.contains("last for this run only"), "{log}");
}

#[test]
fn a_key_in_an_image_layer_that_others_can_read_is_refused_with_the_reason() {
    let mut pod = Pod::new();
    pod.person("host");
    let layer = pod.path("layer");
    fs::create_dir(&layer).unwrap();
    fs::copy(pod.person("host"), layer.join("ssh_host_ed25519_key")).unwrap();
    set_mode(&layer.join("ssh_host_ed25519_key"), 0o644);
    pod.args([Path::new("--host-keys"), &layer]);
    let (code, said) = pod.refusal();
    assert_eq!(code, Some(66), "{said}");
    assert!(said.contains("has mode 0644"), "{said}");
    assert!(
        said.contains("a key in an image layer is known to all who can pull the image"),
        "{said}"
    );
    assert!(
        said.contains("mount a Secret with a key of its own for each workspace"),
        "{said}"
    );
}

#[test]
fn host_keys_prints_known_hosts_lines_that_stock_ssh_takes() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let ask = |hosts: &[&str]| {
        let mut command = pod.podssh(["host-keys", "--host-keys"]);
        run(command.arg(pod.path(STATE)).args(hosts), b"", PATIENCE)
    };
    let place = format!("[127.0.0.1]:{}", running.port);
    let output = ask(&["Workspace.Example", &place, "[gateway.example]:22"]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 6);
    assert!(
        lines.contains("\nworkspace.example ecdsa") && lines.contains("\ngateway.example ecdsa"),
        "{lines}"
    );
    let fingerprints = String::from_utf8(output.stderr).unwrap();
    let known = pod.path("people/known_hosts");
    fs::write(&known, &lines).unwrap();
    let listed = pod.keygen(&["-lF", &place, "-f", "known_hosts"]);
    for line in fingerprints.lines() {
        assert!(
            listed.contains(line.split(' ').nth(1).unwrap()),
            "{listed} {line}"
        );
    }
    let strict = format!("UserKnownHostsFile={}", known.display());
    let mut ssh = running.unpinned(&pod.person("alice"));
    let said = Said::of(ssh.args([
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        &strict,
        "127.0.0.1",
        "echo in",
    ]));
    assert_eq!(
        (said.out.as_str(), said.code),
        ("in\n", Some(0)),
        "{said:?}"
    );
    assert_eq!(said.err, "", "no prompt, no warning");

    for bad in [
        "a b", "*", "a,b", "host:22", "[host]", "[host]:0", "!host", "|1|x|y", "a\nb", "",
    ] {
        let output = ask(&[bad]);
        assert_eq!(output.status.code(), Some(64), "{bad:?}");
        assert!(output.stdout.is_empty(), "{bad:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("is not a host name, an address or [host]:port"),
            "{said}"
        );
    }
}

#[test]
fn the_documented_mounts_are_found_without_any_flag() {
    let mut pod = Pod::new();
    pod.person("host");
    // What a pod's /etc has, with the two Secrets.
    for name in ["passwd", "group", "nsswitch.conf"] {
        fs::create_dir_all(pod.path("etc/podssh/host_keys")).unwrap();
        let _ = fs::copy(Path::new("/etc").join(name), pod.path("etc").join(name));
    }
    pod.secret(
        "etc/podssh/authorized_keys",
        &[("alice", &pod.line("alice"))],
    );
    let key = fs::read_to_string(pod.person("host")).unwrap();
    pod.secret("volume", &[("ssh_host_ed25519_key", &key)]);
    let volume = pod.path("volume");
    let generation = volume.join(fs::read_link(volume.join("..data")).unwrap());
    chown(
        generation.join("ssh_host_ed25519_key"),
        Some(0),
        Some(FS_GROUP),
    )
    .unwrap();
    set_mode(&generation.join("ssh_host_ed25519_key"), 0o440);
    pod.mount(&volume, &pod.path("etc/podssh/host_keys"));
    pod.mount_all(&pod.path("etc"), Path::new("/etc"));
    let running = pod.start();
    let keys = scanned(&running);
    assert_eq!(keys.len(), 1);
    assert_eq!(
        keys[0].split(' ').nth(1),
        pod.line("host").split(' ').nth(1)
    );
    assert!(running.admits(&pod.person("alice")) && !pod.path(STATE).exists());
}
