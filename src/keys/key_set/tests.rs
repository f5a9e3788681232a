//! Tests of key set.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

use ssh_key::{Algorithm, PrivateKey};

use super::*;
use crate::keys::Credential;
use crate::keys::Permission;

fn key() -> PublicKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
        .unwrap()
        .public_key()
        .clone()
}

fn text(key: &PublicKey) -> String {
    key.to_openssh().unwrap()
}

fn offer(key: &PublicKey) -> Offer<'_> {
    Offer {
        credential: Credential::Key(key),
        algorithm: "ssh-ed25519",
        sk_flags: None,
        peer: "10.0.0.1".parse().unwrap(),
        user: "jovyan",
        now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

/// A home and a directory that plays the Secret mount.
struct World {
    root: tempfile::TempDir,
    sources: Sources,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        let mount = root.path().join("mount");
        fs::create_dir(&home).unwrap();
        fs::create_dir(&mount).unwrap();
        let sources = Sources {
            authorized_keys: vec![mount],
            uid: fs::metadata(&home).unwrap().uid(),
            home,
            home_authorized_keys: true,
            user_ca: Vec::new(),
            principals: Vec::new(),
            revoked_keys: None,
            feed: None,
        };
        Self { root, sources }
    }

    fn mount(&self, name: &str) -> PathBuf {
        self.root.path().join("mount").join(name)
    }

    fn load(&self, previous: Option<&KeySet>) -> (KeySet, Vec<String>) {
        let (set, errors) = KeySet::load(&self.sources, previous);
        (set, errors.iter().map(ToString::to_string).collect())
    }
}

#[test]
fn a_secret_mount_names_the_person_and_skips_its_machinery() {
    let world = World::new();
    let (alice, bob) = (key(), key());
    let generation = world.mount("..2026_11_23_06_00_00.1");
    fs::create_dir(&generation).unwrap();
    fs::write(generation.join("alice"), text(&alice)).unwrap();
    fs::write(
        generation.join("bob"),
        format!("# Bob's\n\nrestrict,pty {}", text(&bob)),
    )
    .unwrap();
    symlink(generation.file_name().unwrap(), world.mount("..data")).unwrap();
    symlink("..data/alice", world.mount("alice")).unwrap();
    symlink("..data/bob", world.mount("bob")).unwrap();

    let (set, errors) = world.load(None);
    assert_eq!(errors, Vec::<String>::new());
    let grant = set.authorize(&offer(&bob)).unwrap();
    assert_eq!(grant.identity.label, "bob");
    assert_eq!(
        (grant.identity.path.clone(), grant.identity.line),
        (world.mount("bob"), 3)
    );
    assert!(grant.options.permits(Permission::Pty));
    assert!(!grant.options.permits(Permission::PortForwarding));
    assert!(
        set.authorize(&offer(&alice))
            .unwrap()
            .options
            .permits(Permission::PortForwarding)
    );
    assert!(set.is_candidate(&alice) && !set.is_candidate(&key()));
}

#[test]
fn a_missing_source_is_nobody_and_no_error() {
    let mut world = World::new();
    world.sources.authorized_keys = vec![world.mount("none"), world.mount("none/either")];
    let (set, errors) = world.load(None);
    assert!(set.is_empty() && errors.is_empty());
    assert_eq!(
        set.authorize(&offer(&key())).unwrap_err().as_label(),
        "unknown-key"
    );
}

#[test]
fn removal_ends_one_identity_and_leaves_the_other() {
    let world = World::new();
    let (alice, bob) = (key(), key());
    fs::write(world.mount("alice"), text(&alice)).unwrap();
    fs::write(world.mount("bob"), text(&bob)).unwrap();
    let (before, _) = world.load(None);
    let [alice, bob] = [alice, bob].map(|key| before.authorize(&offer(&key)).unwrap());
    fs::remove_file(world.mount("alice")).unwrap();

    let (after, _) = world.load(Some(&before));
    let now = offer(&key()).now;
    assert_eq!(
        after.still_allows(&alice, now).unwrap_err().as_label(),
        "unknown-key"
    );
    assert_eq!(after.still_allows(&bob, now), Ok(None));
    assert_eq!(after.generation(), before.generation() + 1);
}

#[test]
fn broken_updates_keep_the_last_good_keys_of_their_file_only() {
    let world = World::new();
    let (alice, bob, carol) = (key(), key(), key());
    fs::write(world.mount("alice"), text(&alice)).unwrap();
    fs::write(world.mount("bob"), text(&bob)).unwrap();
    fs::write(world.mount("carol"), text(&carol)).unwrap();
    let (before, _) = world.load(None);
    fs::write(
        world.mount("alice"),
        "<html>503 backend unavailable</html>\n",
    )
    .unwrap();
    fs::write(world.mount("bob"), "ssh-ed25519 gone\n").unwrap();
    fs::write(world.mount("carol"), "# nobody\n").unwrap();

    let (after, errors) = world.load(Some(&before));
    assert!(
        after.authorize(&offer(&alice)).is_ok(),
        "a web page is a broken update"
    );
    assert!(
        after.authorize(&offer(&bob)).is_err(),
        "a damaged key line is one line less"
    );
    assert!(
        after.authorize(&offer(&carol)).is_err(),
        "an empty list is a list"
    );
    assert_eq!(after.stale_sources(), 1);
    assert!(
        errors[0].contains("mount/alice: is not a list of keys (line 1:"),
        "{errors:?}"
    );
    assert!(errors[0].contains("last good content stays"), "{errors:?}");
    assert!(
        errors[1].contains("mount/bob:1: the ssh-ed25519 key is damaged"),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 2);
}

#[test]
fn special_and_endless_files_are_refused_without_blocking() {
    let world = World::new();
    nix::unistd::mkfifo(&world.mount("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(world.mount("long"), "#\n".repeat(100_001)).unwrap();
    fs::write(world.mount("huge"), vec![b'\n'; 5 * 1024 * 1024]).unwrap();
    let (set, errors) = world.load(None);
    let errors = errors.join("\n");
    assert_eq!(set.stale_sources(), 3);
    for reason in [
        "fifo: is a FIFO",
        "long: has more than 100000 lines",
        "huge: is larger than",
    ] {
        assert!(errors.contains(reason), "{errors}");
    }
}

#[test]
fn strict_modes_hold_below_the_home_and_name_the_path() {
    let world = World::new();
    let alice = key();
    let ssh = world.sources.home.join(".ssh");
    fs::create_dir(&ssh).unwrap();
    fs::write(ssh.join("authorized_keys"), text(&alice)).unwrap();
    let (set, errors) = world.load(None);
    assert!(
        errors.is_empty() && set.authorize(&offer(&alice)).is_ok(),
        "{errors:?}"
    );

    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o775)).unwrap();
    let (set, errors) = world.load(Some(&set));
    assert!(
        set.authorize(&offer(&alice)).is_err(),
        "untrusted now, so not even the last good set"
    );
    assert!(
        errors[0].contains(".ssh has mode 0775, writable by group"),
        "{errors:?}"
    );
}

#[test]
fn the_first_line_that_admits_decides() {
    let world = World::new();
    let alice = key();
    let line = text(&alice);
    let lines = format!(
        "expiry-time=\"20200101Z\" {line}\nfrom=\"192.0.2.0/24\" {line}\n\
         command=\"first\",expiry-time=\"20990101Z\" {line}\ncommand=\"second\" {line}\n"
    );
    fs::write(world.mount("alice"), lines).unwrap();
    let (set, errors) = world.load(None);
    assert!(errors.is_empty(), "{errors:?}");
    let grant = set.authorize(&offer(&alice)).unwrap();
    assert_eq!(grant.options.command.as_deref(), Some("first".as_ref()));
    assert_eq!(grant.identity.line, 3);
    assert!(grant.options.expires.is_some());
    let elsewhere = Offer {
        peer: "192.0.2.7".parse().unwrap(),
        ..offer(&alice)
    };
    assert_eq!(set.authorize(&elsewhere).unwrap().identity.line, 2);
    let later = Offer {
        now: UNIX_EPOCH + Duration::from_secs(5_000_000_000),
        ..offer(&alice)
    };
    assert_eq!(set.authorize(&later).unwrap().identity.line, 4);
}

#[test]
fn the_algorithm_must_fit_and_be_no_sha1() {
    let world = World::new();
    let alice = key();
    fs::write(world.mount("alice"), text(&alice)).unwrap();
    let (set, _) = world.load(None);
    for algorithm in ["ssh-rsa", "rsa-sha2-512", "ecdsa-sha2-nistp256", ""] {
        let denied = set
            .authorize(&Offer {
                algorithm,
                ..offer(&alice)
            })
            .unwrap_err();
        assert_eq!(denied.as_label(), "algorithm");
    }
}

#[test]
fn revoked_keys_are_out_and_an_unreadable_list_stops_new_logins_only() {
    let mut world = World::new();
    let (alice, bob, carol) = (key(), key(), key());
    let all = [&alice, &bob, &carol].map(text).join("\n");
    fs::write(world.mount("all"), all).unwrap();
    let list = world.root.path().join("revoked");
    world.sources.revoked_keys = Some(list.clone());
    let fingerprint = bob.fingerprint(ssh_key::HashAlg::Sha256);
    fs::write(
        &list,
        format!("# gone\n{}\n{fingerprint} bob\r\n", text(&alice)),
    )
    .unwrap();

    let (before, errors) = world.load(None);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(
        before.authorize(&offer(&alice)).unwrap_err().as_label(),
        "revoked"
    );
    assert_eq!(
        before.authorize(&offer(&bob)).unwrap_err().as_label(),
        "revoked"
    );
    assert!(!before.is_candidate(&alice) && before.is_candidate(&carol));
    let granted = before.authorize(&offer(&carol)).unwrap();

    fs::write(&list, "nonsense\n").unwrap();
    let (broken, errors) = world.load(Some(&before));
    assert!(errors[0].contains("nobody can log in"), "{errors:?}");
    let denied = broken.authorize(&offer(&carol)).unwrap_err();
    assert_eq!(denied.as_label(), "revocations-unreadable");
    assert_eq!(broken.still_allows(&granted, offer(&carol).now), Ok(None));
    assert_eq!(
        broken.authorize(&offer(&alice)).unwrap_err().as_label(),
        "revocations-unreadable"
    );
}

#[test]
fn a_directory_is_read_as_one_generation_whatever_the_moment() {
    let world = World::new();
    let keys = [key(), key()];
    let mount = world.mount("");
    let write = |number: usize| {
        let name = format!("..2026_{number}");
        fs::create_dir(mount.join(&name)).unwrap();
        for person in ["alice", "bob", "carol", "dave"] {
            fs::write(mount.join(&name).join(person), text(&keys[number % 2])).unwrap();
        }
        symlink(&name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if let Some(old) = number.checked_sub(1) {
            fs::remove_dir_all(mount.join(format!("..2026_{old}"))).unwrap();
        }
    };
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..200 {
                write(number);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        while !writer.is_finished() {
            let (set, errors) = world.load(None);
            assert_eq!((set.len(), errors), (4, Vec::new()));
            let both = keys.iter().filter(|key| set.is_candidate(key)).count();
            assert_eq!(both, 1, "half old, half new");
        }
    });
}

#[test]
fn a_line_that_allows_less_ends_whoever_it_let_in_and_one_that_allows_more_does_not() {
    let world = World::new();
    let alice = key();
    let write = |options: &str| {
        fs::write(world.mount("alice"), format!("{options}{}", text(&alice))).unwrap();
        world.load(None).0
    };
    let two = r#"permitopen="a:1",permitopen="b:2" "#;
    for (before, after, stays) in [
        ("", "no-x11-forwarding ", false),
        ("", r#"command="ls" "#, false),
        ("", r#"permitopen="a:1" "#, false),
        ("", r#"permitlisten="1" "#, false),
        ("", r#"environment="A=1" "#, true),
        ("restrict ", "", true),
        ("restrict,pty ", "restrict ", false),
        (r#"command="ls" "#, r#"command="id" "#, false),
        (r#"command="ls" "#, "", true),
        (two, r#"permitopen="b:2" "#, false),
        (r#"permitopen="b:2" "#, two, true),
    ] {
        let granted = write(before).authorize(&offer(&alice)).unwrap();
        let verdict = write(after).still_allows(&granted, offer(&alice).now);
        let wanted = if stays {
            Ok(None)
        } else {
            Err(Denied::Narrowed)
        };
        assert_eq!(verdict, wanted, "{before} -> {after}");
    }
}

#[test]
fn a_line_that_expires_hands_over_to_the_next() {
    let world = World::new();
    let alice = key();
    let line = text(&alice);
    fs::write(
        world.mount("alice"),
        format!("expiry-time=\"20270201Z\" {line}\n{line}"),
    )
    .unwrap();
    let (set, _) = world.load(None);
    let grant = set.authorize(&offer(&alice)).unwrap();
    let expires = grant.options.expires.unwrap();
    let now = offer(&alice).now;
    assert_eq!(set.still_allows(&grant, now), Ok(Some(expires)));
    let later = expires + Duration::from_secs(1);
    assert_eq!(
        set.still_allows(&grant, later),
        Ok(None),
        "nothing more to wait for"
    );
}
