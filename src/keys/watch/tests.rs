//! Tests of watch.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use ssh_key::{Algorithm, PrivateKey, PublicKey};
use tokio_util::sync::CancellationToken;

use super::*;

fn key() -> PublicKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
        .unwrap()
        .public_key()
        .clone()
}

/// The kubelet's AtomicWriter: write a new generation beside the old one, rename a link to it over
/// `..data`, remove the old one.
fn atomic_write(mount: &Path, generation: &str, files: &[(&str, &PublicKey)]) {
    let old = fs::read_link(mount.join("..data")).ok();
    fs::create_dir(mount.join(generation)).unwrap();
    for (name, key) in files {
        let path = mount.join(generation).join(name);
        fs::write(&path, key.to_openssh().unwrap()).unwrap();
    }
    symlink(generation, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for (name, _) in files {
        let link = mount.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(mount.join(old)).unwrap();
    }
}

fn sources(root: &Path) -> Sources {
    Sources {
        authorized_keys: vec![root.join("mount")],
        home: root.join("home"),
        uid: fs::metadata(root).unwrap().uid(),
        home_authorized_keys: true,
        user_ca: Vec::new(),
        principals: Vec::new(),
        revoked_keys: None,
        feed: None,
    }
}

/// Wait for a key set of which `wanted` holds; how long it took.
async fn seen(keys: &Keys, wanted: impl Fn(&KeySet) -> bool) -> Duration {
    let start = Instant::now();
    let mut changes = keys.subscribe();
    let found = changes.wait_for(|set| wanted(set));
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap()
        .unwrap();
    start.elapsed()
}

/// Follow the sources of `root` on a task, as a caller of `Keys` does through its own spawner.
async fn following<F: Future<Output = ()>>(root: &Path, test: impl FnOnce(Arc<Keys>) -> F) {
    let keys = Keys::start(sources(root));
    let stop = CancellationToken::new();
    let follow = Arc::clone(&keys).follow(stop.cancelled());
    let test = async {
        test(keys).await;
        stop.cancel();
    };
    tokio::join!(follow, test);
}

#[tokio::test]
async fn a_swap_is_seen_within_a_second_each_time() {
    let root = tempfile::tempdir().unwrap();
    let mount = root.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let (alice, bob) = (key(), key());
    atomic_write(&mount, "..2026_1", &[("alice", &alice), ("bob", &bob)]);
    following(root.path(), |keys| async move {
        assert_eq!(keys.current().len(), 2);
        for round in 2..6 {
            let gone = round % 2 == 0;
            let files = [("bob", &bob), ("alice", &alice)];
            let files = if gone { &files[..1] } else { &files[..] };
            atomic_write(&mount, &format!("..2026_{round}"), files);
            let took = seen(&keys, |set| set.is_candidate(&alice) != gone).await;
            assert!(took < Duration::from_secs(1), "took {took:?}");
            assert!(keys.current().is_candidate(&bob));
            assert!(keys.errors().is_empty(), "{:?}", keys.errors());
        }
    })
    .await;
}

#[tokio::test]
async fn a_mount_and_a_home_file_that_appear_later_are_seen() {
    let root = tempfile::tempdir().unwrap();
    let (alice, bob) = (key(), key());
    fs::create_dir(root.path().join("home")).unwrap();
    let path = root.path();
    following(path, |keys| async move {
        assert!(keys.current().is_empty());
        fs::create_dir(path.join("mount")).unwrap();
        atomic_write(&path.join("mount"), "..2026_1", &[("alice", &alice)]);
        let took = seen(&keys, |set| set.is_candidate(&alice)).await;
        assert!(took < Duration::from_secs(1), "took {took:?}");

        let ssh = path.join("home/.ssh");
        fs::create_dir(&ssh).unwrap();
        fs::write(ssh.join("authorized_keys"), bob.to_openssh().unwrap()).unwrap();
        let took = seen(&keys, |set| set.is_candidate(&bob)).await;
        assert!(took < Duration::from_secs(1), "took {took:?}");
        fs::remove_file(ssh.join("authorized_keys")).unwrap();
        seen(&keys, |set| !set.is_candidate(&bob)).await;
    })
    .await;
}

#[tokio::test]
async fn reading_does_not_wake_itself_and_nothing_new_is_no_new_set() {
    let root = tempfile::tempdir().unwrap();
    let mount = root.path().join("mount");
    fs::create_dir(&mount).unwrap();
    atomic_write(&mount, "..2026_1", &[("alice", &key())]);
    following(root.path(), |keys| async move {
        let generation = keys.current().generation();
        let mut changes = keys.subscribe();
        keys.reload();
        let quiet = tokio::time::timeout(Duration::from_millis(500), changes.changed()).await;
        assert!(quiet.is_err());
        assert_eq!(keys.current().generation(), generation);
    })
    .await;
}
