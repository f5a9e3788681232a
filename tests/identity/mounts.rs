//! Volumes as the kubelet mounts them: read-only, odd owners and modes, `subPath`, `fsGroup`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::time::Instant;

use crate::live::Live;
use crate::pod::{FS_GROUP, Pod, set_mode};

/// Modes and owners of a Secret volume under `fsGroup`: all root's, the group's, world-writable top.
fn as_with_fs_group(pod: &Pod, name: &str) {
    let top = pod.path(name);
    let generation = top.join(fs::read_link(top.join("..data")).unwrap());
    for file in fs::read_dir(&generation).unwrap() {
        let path = file.unwrap().path();
        chown(&path, Some(0), Some(FS_GROUP)).unwrap();
        set_mode(&path, 0o440);
    }
    for (path, mode) in [(generation, 0o2755), (top, 0o3777)] {
        chown(&path, Some(0), Some(FS_GROUP)).unwrap();
        set_mode(&path, mode);
    }
}

#[test]
fn a_mounted_secret_counts_whatever_its_modes_and_is_followed() {
    let mut pod = Pod::new();
    let (alice, bob) = (pod.line("alice"), pod.line("bob"));
    pod.secret("volume", &[("alice", &alice), ("bob", &bob)]);
    as_with_fs_group(&pod, "volume");
    let at = pod.path("mounted");
    fs::create_dir(&at).unwrap();
    pod.mount(&pod.path("volume"), &at);
    pod.args(["--authorized-keys", at.to_str().unwrap()]);
    let running = pod.start();
    assert!(!running.log().contains("WARN"), "{}", running.log());
    let (first, mut second) = (
        Live::start(&running, &pod.person("alice")),
        Live::start(&running, &pod.person("bob")),
    );
    // The writer is outside, on the node.
    let swapped = Instant::now();
    pod.secret("volume", &[("bob", &bob)]);
    assert!(first.ends(swapped).contains("has been removed"));
    assert!(second.answers());
}

#[test]
fn sub_path_mounts_are_reported_as_never_updating() {
    let mut pod = Pod::new();
    // The kubelet's own way to name a generation.
    let generation = pod.path("volume/..2026_11_23_07_49_57.1234567890");
    fs::create_dir_all(&generation).unwrap();
    for name in ["alice", "bob"] {
        fs::write(generation.join(name), pod.line(name)).unwrap();
    }
    // What the kubelet does: it resolves the link and binds what it leads to.
    let (file, directory) = (pod.path("one_file"), pod.path("one_generation"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&directory).unwrap();
    pod.mount(&generation.join("alice"), &file);
    for at in [&file, &directory] {
        pod.args(["--authorized-keys", at.to_str().unwrap()]);
    }
    pod.mount(&generation, &directory);
    let running = pod.start();
    assert_eq!(
        running.figure("podssh_keys_problems{kind=\"never-updates\"}"),
        2
    );
    for at in [&file, &directory] {
        let wanted = format!(
            "{}: is mounted as one file or generation (subPath) and never updates; mount the whole Secret as a directory",
            at.display()
        );
        assert!(running.log().contains(&wanted), "{}", running.log());
    }
    for name in ["alice", "bob"] {
        assert!(running.admits(&pod.person(name)), "it does work");
    }
    assert_eq!(running.figure("podssh_keys_stale_sources"), 0);
}

#[test]
fn a_file_others_may_write_is_refused_by_name_unless_it_is_mounted_read_only() {
    let mut pod = Pod::new();
    fs::write(pod.path("keys"), pod.line("alice")).unwrap();
    chown(pod.path("keys"), Some(4242), Some(4242)).unwrap();
    set_mode(&pod.path("keys"), 0o666);
    let keys = pod.path("keys").display().to_string();
    pod.args(["--authorized-keys", &keys]);
    let running = pod.start();
    assert!(!running.admits(&pod.person("alice")));
    assert_eq!(
        running.figure("podssh_keys_problems{kind=\"untrusted\"}"),
        1
    );
    let wanted = format!("{keys}: {keys} has mode 0666, writable by group or others");
    assert!(running.log().contains(&wanted), "{}", running.log());
    drop(running);
    pod.mount(&pod.path("keys"), &pod.path("keys"));
    assert!(pod.start().admits(&pod.person("alice")));
}

/// `~/.ssh` with one key in it, as strict modes want it.
fn home_with_key(pod: &Pod) -> [std::path::PathBuf; 3] {
    let (home, ssh) = (pod.path("home"), pod.path("home/.ssh"));
    let keys = ssh.join("authorized_keys");
    fs::create_dir(&ssh).unwrap();
    fs::write(&keys, pod.line("alice")).unwrap();
    pod.give("home");
    for (path, mode) in [(&home, 0o750), (&ssh, 0o700), (&keys, 0o600)] {
        set_mode(path, mode);
    }
    [home, ssh, keys]
}

#[test]
fn a_home_mangled_by_fs_group_is_repaired_at_start() {
    let pod = Pod::new();
    let [home, ssh, keys] = home_with_key(&pod);
    let private = ssh.join("id_ed25519");
    fs::copy(pod.person("bob"), &private).unwrap();
    pod.give("home");
    // The kubelet's walk: group read and write everywhere, setgid on directories.
    for (path, mode) in [
        (&home, 0o2770),
        (&ssh, 0o2770),
        (&keys, 0o660),
        (&private, 0o660),
    ] {
        chown(path, None, Some(FS_GROUP)).unwrap();
        set_mode(path, mode);
    }
    let running = pod.start();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&home), mode(&ssh)), (0o2750, 0o2700));
    assert_eq!((mode(&keys), mode(&private)), (0o600, 0o600));
    assert!(running.admits(&pod.person("alice")));
    for path in [&home, &ssh, &keys, &private] {
        let line = running.log().lines().any(|line| {
            line.contains("mode repaired") && line.contains(&format!("path={} ", path.display()))
        });
        assert!(line, "{}", running.log());
    }
}

#[test]
fn strict_modes_below_the_home_name_the_very_path() {
    let pod = Pod::new();
    let places = home_with_key(&pod);
    let running = pod.start();
    assert!(running.admits(&pod.person("alice")));
    for (path, good, bad) in [
        (&places[0], 0o750, 0o777),
        (&places[1], 0o700, 0o770),
        (&places[2], 0o600, 0o620),
    ] {
        set_mode(path, bad);
        running.shows("podssh_keys", 0);
        assert!(!running.admits(&pod.person("alice")), "{}", path.display());
        running.logs(&format!(
            "{} has mode {bad:04o}, writable by group or others; correct its owner and mode",
            path.display()
        ));
        set_mode(path, good);
        running.shows("podssh_keys", 1);
        assert!(running.admits(&pod.person("alice")));
    }
    chown(&places[2], Some(4242), None).unwrap();
    set_mode(&places[2], 0o644);
    running.shows("podssh_keys", 0);
    running.logs(&format!("{} is owned by uid 4242", places[2].display()));
}

#[test]
fn with_the_home_switched_off_its_keys_do_not_count() {
    let mut pod = Pod::new();
    home_with_key(&pod);
    pod.args(["--home-authorized-keys", "false"]);
    assert!(!pod.start().admits(&pod.person("alice")));
}
