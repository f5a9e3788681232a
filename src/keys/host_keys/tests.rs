//! Tests of host keys.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn places(root: &Path) -> HostKeyPlaces {
    let uid = fs::metadata(root).unwrap().uid();
    HostKeyPlaces {
        explicit: None,
        mounted: root.join("mounted"),
        state: root.join("a/b/state"),
        fallback: None,
        uid,
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The generated keys as text, to tell whether they are the same.
fn identity(keys: &HostKeys) -> Vec<String> {
    keys.known_hosts_lines(&["h".to_owned()]).unwrap()
}

#[test]
fn generated_once_private_and_the_same_ever_after() {
    let root = tempfile::tempdir().unwrap();
    let first = HostKeys::load_or_generate(&places(root.path())).unwrap();
    let second = HostKeys::load_or_generate(&places(root.path())).unwrap();

    assert!(first.generated() && !second.generated());
    assert_eq!(identity(&first), identity(&second));
    let names: Vec<_> = first
        .keys()
        .iter()
        .map(|key| key.private.algorithm().to_string())
        .collect();
    assert_eq!(names, ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
    for key in first.keys() {
        assert_eq!(fs::metadata(&key.path).unwrap().mode() & 0o777, 0o600);
        assert!(key.path.with_extension("pub").exists());
    }
    assert_eq!(
        fs::metadata(first.directory()).unwrap().mode() & 0o777,
        0o700
    );
    let leftovers = fs::read_dir(first.directory()).unwrap().count();
    assert_eq!(
        leftovers, 4,
        "two keys and their public halves, nothing else"
    );
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_half_done() {
    let root = tempfile::tempdir().unwrap();
    let places = places(root.path());
    let before = HostKeys::load_or_generate(&places).unwrap();
    // As if killed after the first link: one key, one leftover, one torn temporary.
    fs::remove_file(places.state.join("ssh_host_ecdsa_key")).unwrap();
    fs::write(
        places.state.join(".podssh-new-0-ssh_host_ecdsa_key"),
        "-----BEGIN OPENSSH",
    )
    .unwrap();

    let after = HostKeys::load_or_generate(&places).unwrap();
    assert_eq!(after.keys().len(), 2);
    assert_eq!(identity(&before).first(), identity(&after).first());
    assert!(
        !places
            .state
            .join(".podssh-new-0-ssh_host_ecdsa_key")
            .exists()
    );
}

/// Else a second kill, while the rest is made, would leave one key for good.
#[test]
fn what_tells_of_a_kill_stays_until_every_key_is_there() {
    let root = tempfile::tempdir().unwrap();
    let torn = root.path().join(".podssh-new-0-ssh_host_ecdsa_key");
    fs::write(&torn, "-----BEGIN OPENSSH").unwrap();
    generate::missing(root.path()).unwrap();
    assert!(torn.exists() && root.path().join("ssh_host_ecdsa_key").exists());
    generate::clean(root.path());
    assert!(!torn.exists());
}

#[test]
fn a_mounted_key_wins_whatever_it_is_called_and_is_read_through_data() {
    let root = tempfile::tempdir().unwrap();
    let places = places(root.path());
    let generated = HostKeys::load_or_generate(&places).unwrap();
    let generation = places.mounted.join("..2026_11_23");
    fs::create_dir_all(&generation).unwrap();
    assert_eq!(
        HostKeys::load_or_generate(&places).unwrap().directory(),
        places.state
    );

    fs::copy(
        places.state.join("ssh_host_ed25519_key"),
        generation.join("whatever"),
    )
    .unwrap();
    symlink("..2026_11_23", places.mounted.join("..data")).unwrap();
    symlink("..data/whatever", places.mounted.join("whatever")).unwrap();
    let mounted = HostKeys::load_or_generate(&places).unwrap();
    assert_eq!(mounted.keys().len(), 1);
    assert_eq!(mounted.keys()[0].path, places.mounted.join("whatever"));
    assert_eq!(identity(&mounted)[0], identity(&generated)[0]);
}

#[test]
fn two_daemons_on_one_volume_agree() {
    let root = tempfile::tempdir().unwrap();
    let places = places(root.path());
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let places = places.clone();
            std::thread::spawn(move || HostKeys::load_or_generate(&places).unwrap())
        })
        .collect();
    let found: Vec<_> = racers
        .into_iter()
        .map(|racer| identity(&racer.join().unwrap()))
        .collect();
    let settled = HostKeys::load_or_generate(&places).unwrap();
    assert!(
        found.iter().all(|keys| *keys == identity(&settled)),
        "{found:#?}"
    );
    assert_eq!(settled.keys().len(), 2);
}

#[test]
fn unusable_keys_stop_the_start_with_the_fix() {
    let root = tempfile::tempdir().unwrap();
    let mut places = places(root.path());
    let directory = root.path().join("explicit");
    fs::create_dir(&directory).unwrap();
    places.explicit = Some(directory.clone());
    let key = directory.join("key");
    for (text, wanted) in [
        (
            "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\n",
            "ssh-keygen -p -f",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\n", "ssh-keygen -p -f"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "damaged",
        ),
    ] {
        fs::write(&key, text).unwrap();
        let error = HostKeys::load_or_generate(&places).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: ", key.display())),
            "{error}"
        );
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut places = places(root.path());
    let keys = HostKeys::load_or_generate(&places).unwrap();
    let directory = root.path().join("explicit");
    fs::create_dir(&directory).unwrap();
    fs::copy(&keys.keys()[0].path, directory.join("key")).unwrap();
    places.explicit = Some(directory.clone());
    HostKeys::load_or_generate(&places).unwrap();

    set_mode(&directory.join("key"), 0o644);
    let error = HostKeys::load_or_generate(&places).unwrap_err().to_string();
    assert!(error.contains("mode 0644"), "{error}");
    // What we made ourselves is repaired instead: fsGroup adds group rights at every mount.
    set_mode(&keys.keys()[0].path, 0o660);
    places.explicit = None;
    HostKeys::load_or_generate(&places).unwrap();
    assert_eq!(
        fs::metadata(&keys.keys()[0].path).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn no_place_for_a_key_names_the_fix() {
    let root = tempfile::tempdir().unwrap();
    let mut places = places(root.path());
    fs::write(
        root.path().join("a"),
        "a file where the directory should be",
    )
    .unwrap();
    places.state = root.path().join("a/b");
    let error = HostKeys::load_or_generate(&places).unwrap_err().to_string();
    assert!(
        error.contains("mount a Secret") && error.contains("make the home writable"),
        "{error}"
    );
}

#[test]
fn a_home_that_takes_no_key_gets_one_for_this_run_and_an_unusable_key_does_not() {
    let root = tempfile::tempdir().unwrap();
    let mut places = places(root.path());
    fs::write(root.path().join("a"), "a file where the home should be").unwrap();
    places.fallback = Some(root.path().join("run/host_keys"));
    let keys = HostKeys::load_or_generate(&places).unwrap();
    assert_eq!(keys.directory(), root.path().join("run/host_keys"));
    assert!(keys.warnings()[0].contains("this run only"));
    let again = HostKeys::load_or_generate(&places).unwrap();
    assert_eq!(identity(&again), identity(&keys));

    fs::remove_file(root.path().join("a")).unwrap();
    fs::create_dir_all(&places.state).unwrap();
    fs::write(places.state.join("ssh_host_ed25519_key"), "damaged").unwrap();
    HostKeys::load_or_generate(&places).unwrap_err();
}

#[test]
fn known_hosts_names_are_checked() {
    for (text, wanted) in [
        ("Alice.Example.COM", Some("alice.example.com")),
        ("[alice.svc]:80", Some("[alice.svc]:80")),
        ("[alice.svc]:22", Some("alice.svc")),
        ("::1", Some("::1")),
        ("[2001:db8::1]:2222", Some("[2001:db8::1]:2222")),
        ("", None),
        ("a b", None),
        ("a,b", None),
        ("*", None),
        ("host:22", None),
        ("[host]", None),
        ("[host]:0", None),
        ("[host]:99999", None),
        ("host\nother", None),
    ] {
        assert_eq!(known_host(text).ok().as_deref(), wanted, "{text}");
    }
}

#[test]
fn a_published_key_is_refused_by_fingerprint() {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDlGXyls41vyNkMefimxQwTTpguIIZhM2AVzKbHb2On";
    let key = PublicKey::from_openssh(line).unwrap();
    let error = file::check_published(Path::new("key"), &key)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("everybody has") && error.contains("envd"),
        "{error}"
    );
}
