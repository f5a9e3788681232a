//! Updates as they reach a pod: swaps, renames, several sources, and updates that are broken.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::process::eventually;
use crate::live::Live;
use crate::pod::{Pod, set_mode};
use crate::running::Running;

/// What the next login may have to wait for a swap, and what asking for it costs.
const SECOND: Duration = Duration::from_secs(1);

/// How long it took from now until so many keys were in force.
fn takes(running: &Running, keys: i64) -> Duration {
    let since = Instant::now();
    eventually("the new key set", Duration::from_secs(10), || {
        (running.figure("podssh_keys") == keys).then_some(())
    });
    since.elapsed()
}

#[test]
fn swaps_are_in_force_within_a_second_each_time() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let (alice, bob) = (pod.line("alice"), pod.line("bob"));
    for round in 0..4 {
        let both = [("alice", alice.as_str()), ("bob", bob.as_str())];
        let files = if round % 2 == 0 {
            &both[..]
        } else {
            &both[..1]
        };
        pod.secret("authorized_keys", files);
        let took = takes(&running, files.len() as i64);
        assert!(took < SECOND, "{took:?}");
        assert_eq!(running.admits(&pod.person("bob")), round % 2 == 0);
        assert!(running.admits(&pod.person("alice")));
    }
    assert_eq!(running.figure("podssh_keys_generation"), 5);
}

#[test]
fn several_sources_are_followed_each_by_itself() {
    let mut pod = Pod::with(&["alice"]);
    pod.secret("team", &[("bob", &pod.line("bob"))]);
    fs::write(pod.path("file"), pod.line("carol")).unwrap();
    for name in ["team", "file", "later"] {
        pod.args(["--authorized-keys", pod.path(name).to_str().unwrap()]);
    }
    let running = pod.start();
    let mut lives = ["alice", "bob", "carol"].map(|name| Live::start(&running, &pod.person(name)));
    assert!(!running.admits(&pod.person("dave")));

    // A plain file is edited in place, then replaced by a rename, as editors do.
    fs::write(
        pod.path("file"),
        format!("{}\n{}\n", pod.line("carol"), pod.line("erin")),
    )
    .unwrap();
    assert!(takes(&running, 4) < SECOND && running.admits(&pod.person("erin")));
    fs::write(pod.path("file.new"), pod.line("carol")).unwrap();
    fs::rename(pod.path("file.new"), pod.path("file")).unwrap();
    assert!(takes(&running, 3) < SECOND && !running.admits(&pod.person("erin")));
    // One that did not exist at start appears.
    pod.secret("later", &[("dave", &pod.line("dave"))]);
    assert!(takes(&running, 4) < SECOND && running.admits(&pod.person("dave")));
    assert!(lives.iter_mut().all(Live::answers));

    let swapped = Instant::now();
    pod.secret("team", &[]);
    let [mut alice, bob, mut carol] = lives;
    assert!(bob.ends(swapped).contains("has been removed"));
    assert!(alice.answers() && carol.answers());
}

#[test]
fn a_broken_update_keeps_the_last_good_set_and_is_told() {
    let pod = Pod::with(&["alice", "bob"]);
    let running = pod.start();
    let (mut alice, mut bob) = (
        Live::start(&running, &pod.person("alice")),
        Live::start(&running, &pod.person("bob")),
    );
    assert_eq!(running.figure("podssh_keys_stale_sources"), 0);
    let (good, bobs) = (pod.line("alice"), pod.line("bob"));
    for broken in [
        "\u{7f}ELF\u{1}\u{2}",
        "<html>502</html>",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n",
    ] {
        pod.secret("authorized_keys", &[("alice", broken), ("bob", &bobs)]);
        running.shows("podssh_keys_stale_sources", 1);
        running.shows("podssh_keys_problems{kind=\"unreadable\"}", 1);
        assert!(alice.answers() && bob.answers() && running.admits(&pod.person("alice")));
        running.logs("its last good content stays in force");
        assert!(
            running.log().contains("/alice: is not a list of keys"),
            "the path is named"
        );
        pod.secret("authorized_keys", &[("alice", &good), ("bob", &bobs)]);
        running.shows("podssh_keys_stale_sources", 0);
        running.shows("podssh_keys_problems{kind=\"unreadable\"}", 0);
    }
    // One bad line costs that line only, and a removal beside a broken file still counts.
    pod.secret(
        "authorized_keys",
        &[("alice", &format!("frobnicate {bobs}\n{good}\n"))],
    );
    running.shows("podssh_keys_problems{kind=\"line\"}", 1);
    running.logs("alice:1: unknown option \"frobnicate\"");
    assert!(bob.ends(Instant::now()).contains("has been removed"));
    assert!(alice.answers());
}

#[test]
fn a_link_that_leads_nowhere_and_a_directory_that_cannot_be_read_are_broken_updates() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let mut alice = Live::start(&running, &pod.person("alice"));
    let keys = pod.path("authorized_keys");
    set_mode(&keys, 0o000);
    running.shows("podssh_keys_stale_sources", 1);
    assert!(alice.answers());
    set_mode(&keys, 0o755);
    running.shows("podssh_keys_stale_sources", 0);
    let generation = fs::read_link(keys.join("..data")).unwrap();
    fs::rename(keys.join(&generation), pod.path("away")).unwrap();
    running.shows("podssh_keys_stale_sources", 1);
    assert!(alice.answers());
    fs::rename(pod.path("away"), keys.join(&generation)).unwrap();
    running.shows("podssh_keys_stale_sources", 0);
    assert!(alice.answers());
}

#[test]
fn what_no_event_tells_is_found_by_the_poll_or_a_hang_up() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let alice = Live::start(&running, &pod.person("alice"));
    // Another volume mounted over the first one inside the pod: nobody is told.
    pod.secret("over", &[("bob", &pod.line("bob"))]);
    let keys = pod.path("authorized_keys");
    let inside = |words: &[&str]| {
        let target = running.pid().to_string();
        let status = std::process::Command::new("nsenter")
            .args(["--target", &target, "--mount"])
            .args(words)
            .status()
            .unwrap();
        assert!(status.success());
    };
    let (over, at) = (pod.path("over"), keys.to_str().unwrap());
    inside(&["mount", "--bind", over.to_str().unwrap(), at]);
    running.shows("podssh_keys_generation", 2);
    assert!(running.admits(&pod.person("bob")) && !running.admits(&pod.person("alice")));
    drop(alice);
    inside(&["umount", at]);
    running.signal(nix::sys::signal::Signal::SIGHUP);
    let since = Instant::now();
    running.shows("podssh_keys_generation", 3);
    assert!(since.elapsed() < SECOND);
    assert!(running.admits(&pod.person("alice")) && !running.admits(&pod.person("bob")));
}
