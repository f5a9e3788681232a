//! Who leaves a source leaves the workspace: live connections end within two seconds of the swap,
//! with the reason on the client's screen, and nobody else notices.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use crate::live::Live;
use crate::pod::{Pod, set_mode};

const REMOVED: &str = "the key you logged in with has been removed";
const REVOKED: &str = "the key you logged in with has been revoked";
const EXPIRED: &str = "the key you logged in with has expired";
const NARROWED: &str = "the key you logged in with may do less than before";

#[test]
fn one_persons_removal_ends_theirs_and_leaves_the_others() {
    let pod = Pod::with(&["alice", "bob"]);
    let running = pod.start();
    let (one, two) = (pod.person("alice"), pod.person("bob"));
    let (first, second) = (Live::start(&running, &one), Live::start(&running, &one));
    let mut bob = Live::start(&running, &two);
    let swapped = Instant::now();
    pod.secret("authorized_keys", &[("bob", &pod.line("bob"))]);
    for live in [first, second] {
        let said = live.ends(swapped);
        assert!(said.contains(REMOVED), "{said}");
    }
    assert!(bob.answers() && !running.admits(&one) && running.admits(&two));
    assert_eq!(running.figure("podssh_revoked_total"), 2);
    assert!(
        running.log().contains("who=\"alice\""),
        "the log names the person"
    );
}

#[test]
fn a_certificate_goes_with_its_authority_its_serial_and_its_time() {
    for way in [
        "authority",
        "line",
        "serial",
        "key",
        "plain",
        "revoked authority",
        "time",
    ] {
        let mut pod = Pod::new();
        let ca = pod.line("ca");
        let listed = if way == "line" {
            format!("cert-authority {ca}")
        } else {
            pod.line("bob")
        };
        pod.secret("keys", &[("bob", &listed)]);
        pod.secret("ca", &[("ca", if way == "line" { "" } else { &ca })]);
        fs::write(pod.path("revoked"), "").unwrap();
        for (flag, name) in [
            ("--authorized-keys", "keys"),
            ("--user-ca", "ca"),
            ("--revoked-keys", "revoked"),
        ] {
            pod.args([flag, pod.path(name).to_str().unwrap()]);
        }
        let validity = if way == "time" { "-1m:+6s" } else { "-1m:+1h" };
        pod.sign("ca", "alice", &["-z", "7", "-V", validity]);
        let signed = Instant::now();
        pod.sign("ca", "carol", &["-z", "8"]);
        let running = pod.start();
        let alice = Live::start(&running, &pod.person("alice"));
        let mut carol = Live::start(&running, &pod.person("carol"));
        let mut since = Instant::now();
        let said = match way {
            "authority" => {
                pod.secret("ca", &[("ca", "# nobody\n")]);
                REMOVED
            }
            "line" => {
                pod.secret("keys", &[("bob", &pod.line("bob"))]);
                REMOVED
            }
            "serial" => {
                fs::write(pod.path("spec"), "serial: 7\n").unwrap();
                let (list, spec) = (pod.path("new"), pod.path("spec"));
                pod.keygen(&[
                    "-q",
                    "-k",
                    "-f",
                    list.to_str().unwrap(),
                    "-s",
                    "ca.pub",
                    spec.to_str().unwrap(),
                ]);
                since = Instant::now();
                fs::rename(list, pod.path("revoked")).unwrap();
                REVOKED
            }
            "key" => {
                let list = pod.path("new");
                pod.keygen(&["-q", "-k", "-f", list.to_str().unwrap(), "alice.pub"]);
                since = Instant::now();
                fs::rename(list, pod.path("revoked")).unwrap();
                REVOKED
            }
            "plain" => {
                fs::write(pod.path("revoked"), pod.line("alice")).unwrap();
                REVOKED
            }
            "revoked authority" => {
                fs::write(pod.path("revoked"), &ca).unwrap();
                REVOKED
            }
            _ => {
                since = signed + Duration::from_secs(6);
                EXPIRED
            }
        };
        let ended = alice.ends(since);
        assert!(ended.contains(said), "{way}: {ended}");
        let both = matches!(way, "authority" | "line" | "revoked authority");
        assert_eq!(carol.answers(), !both, "{way}");
        assert!(!running.admits(&pod.person("alice")), "{way}");
    }
}

#[test]
fn expiry_time_ends_who_is_in() {
    let pod = Pod::with(&["alice"]);
    let end = SystemTime::now() + Duration::from_secs(8);
    let seconds = end
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let end_instant = Instant::now() + Duration::from_secs(8);
    let stamp = crate::harness::process::run(
        std::process::Command::new("date").args([
            "-u",
            "-d",
            &format!("@{seconds}"),
            "+%Y%m%d%H%M%SZ",
        ]),
        b"",
        Duration::from_secs(9),
    );
    let stamp = String::from_utf8(stamp.stdout).unwrap();
    let line = format!("expiry-time=\"{}\" {}", stamp.trim(), pod.line("alice"));
    pod.secret("authorized_keys", &[("alice", &line)]);
    let running = pod.start();
    let said = Live::start(&running, &pod.person("alice")).ends(end_instant);
    assert!(said.contains(EXPIRED), "{said}");
    assert!(!running.admits(&pod.person("alice")));
}

#[test]
fn a_line_that_allows_less_ends_it_and_a_move_to_another_file_or_place_does_not() {
    let pod = Pod::with(&["alice", "bob"]);
    let running = pod.start();
    let mut alice = Live::start(&running, &pod.person("alice"));
    let (line, bob) = (pod.line("alice"), pod.line("bob"));
    for (name, text) in [
        ("alice-smith", format!("# renamed\n{line}")),
        ("bob", format!("{bob}\n{line}")),
        ("alice", format!("environment=\"A=1\" {line}")),
    ] {
        let generation = running.figure("podssh_keys_generation");
        pod.secret("authorized_keys", &[(name, &text), ("other", &bob)]);
        running.shows("podssh_keys_generation", generation + 1);
        assert!(alice.answers(), "{text}");
    }
    let swapped = Instant::now();
    pod.secret("authorized_keys", &[("alice", &format!("restrict {line}"))]);
    let said = alice.ends(swapped);
    assert!(said.contains(NARROWED), "{said}");
    assert!(running.admits(&pod.person("alice")), "with less");
}

#[test]
fn a_source_that_disappears_means_nobody() {
    let pod = Pod::with(&["alice"]);
    let running = pod.start();
    let alice = Live::start(&running, &pod.person("alice"));
    let gone = Instant::now();
    fs::rename(pod.path("authorized_keys"), pod.path("elsewhere")).unwrap();
    let said = alice.ends(gone);
    assert!(said.contains(REMOVED), "{said}");
    assert!(!running.admits(&pod.person("alice")));
    fs::rename(pod.path("elsewhere"), pod.path("authorized_keys")).unwrap();
    running.shows("podssh_keys", 1);
    assert!(running.admits(&pod.person("alice")), "and it comes back");
}

#[test]
fn a_key_in_the_home_is_followed_too() {
    let pod = Pod::with(&["alice"]);
    let ssh = pod.path("home/.ssh");
    fs::create_dir(&ssh).unwrap();
    fs::write(ssh.join("authorized_keys"), pod.line("bob")).unwrap();
    pod.give("home");
    for (path, mode) in [(ssh.clone(), 0o700), (ssh.join("authorized_keys"), 0o600)] {
        set_mode(&path, mode);
    }
    let running = pod.start();
    let bob = Live::start(&running, &pod.person("bob"));
    let mut alice = Live::start(&running, &pod.person("alice"));
    let gone = Instant::now();
    fs::remove_file(ssh.join("authorized_keys")).unwrap();
    assert!(bob.ends(gone).contains(REMOVED));
    assert!(alice.answers());
}
