//! What a stranger learns, which is nothing, and which keys are good enough.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::thread;

use crate::agent::{Authenticator, Kind};
use crate::pod::Pod;
use crate::running::{Running, Said};

/// All that the client says of the answers to one attempt, without what is its own.
fn conversation(running: &Running, pod: &Pod, user: &str, key: &str) -> Vec<String> {
    let mut ssh = running.command(&pod.person(key));
    // The last -l counts least: the first value of an option wins.
    let mut command = std::process::Command::new("ssh");
    command.args(["-vv", "-l", user]).args(ssh.get_args());
    ssh.env_clear();
    let said = Said::of(command.args(["127.0.0.1", "true"]));
    assert!(!said.entered());
    let told = said.err.lines().filter(|line| {
        [
            "receive packet",
            "Authentications that can continue",
            "Server accepts key",
            "Permission denied",
            "userauth",
        ]
        .iter()
        .any(|words| line.contains(words))
    });
    told.map(|line| line.trim_end().replace(user, "USER"))
        .collect()
}

#[test]
fn a_stranger_cannot_tell_a_user_that_exists_from_one_that_does_not() {
    for authority in [false, true] {
        let mut pod = Pod::with(&["alice"]);
        if authority {
            pod.secret("ca", &[("team", &pod.line("ca"))]);
            pod.args(["--user-ca", pod.path("ca").to_str().unwrap()]);
        }
        let running = pod.start();
        let known = conversation(&running, &pod, crate::harness::daemon::user(), "stranger");
        assert!(known.len() > 3, "{known:?}");
        for user in ["root", "nobody-here", "zz-top"] {
            let other = conversation(&running, &pod, user, "stranger");
            assert_eq!(known, other, "{user}, with a CA: {authority}");
        }
    }
}

#[test]
fn every_strong_key_type_logs_in_and_no_weak_one_does() {
    let mut pod = Pod::new();
    let kinds = [
        ("ed25519", &["-t", "ed25519"][..], true),
        ("p256", &["-t", "ecdsa", "-b", "256"], true),
        ("p384", &["-t", "ecdsa", "-b", "384"], true),
        ("p521", &["-t", "ecdsa", "-b", "521"], true),
        ("rsa2048", &["-t", "rsa", "-b", "2048"], true),
        ("rsa4096", &["-t", "rsa", "-b", "4096"], true),
        ("rsa1024", &["-t", "rsa", "-b", "1024"], false),
    ];
    for (name, kind, _) in kinds {
        pod.keygen(&[&["-q", "-N", "", "-f", name], kind].concat());
    }
    // As editors on Windows leave it, with comments and blank lines.
    let lines = kinds.map(|(name, ..)| format!("# {name}\r\n{}\r\n\r\n", pod.line(name)));
    fs::write(pod.path("keys"), lines.concat()).unwrap();
    pod.args(["--authorized-keys", pod.path("keys").to_str().unwrap()]);
    let running = pod.start();
    for (name, _, enters) in kinds {
        assert_eq!(
            running
                .ssh(&pod.person(name), &["-o", "RequiredRSASize=1024"], "true")
                .entered(),
            enters,
            "{name}"
        );
    }
    for (algorithm, enters) in [
        ("rsa-sha2-256", true),
        ("rsa-sha2-512", true),
        ("ssh-rsa", false),
    ] {
        let option = format!("PubkeyAcceptedAlgorithms={algorithm}");
        let said = running.ssh(&pod.person("rsa2048"), &["-o", &option], "true");
        assert_eq!(said.entered(), enters, "{algorithm} {said:?}");
    }
}

#[test]
fn the_person_is_named_at_login_and_a_refusal_says_why_in_the_log_only() {
    let pod = Pod::with(&["alice"]);
    let line = format!("from=\"10.0.0.0/8\" {}", pod.line("bob"));
    pod.secret(
        "authorized_keys",
        &[("alice", &pod.line("alice")), ("bob", &line)],
    );
    let running = pod.start();
    assert!(running.admits(&pod.person("alice")));
    running.logs("who=\"alice\"");
    let said = running.ssh(&pod.person("bob"), &[], "true");
    assert!(
        !said.entered() && !said.err.contains("10.0.0.0"),
        "{said:?}"
    );
    running.logs("/bob:1 does not list 127.0.0.1");
}

/// What a plain key may do: terminal, forwards, agent, display, `~/.ssh/rc`.
fn may(pod: &Pod, running: &Running, agent: &Authenticator, target: &str) -> [bool; 6] {
    let key = pod.person("alice");
    let ran = pod.path("home/ran");
    let done =
        |options: &[&str], command: &str| running.ssh(&key, options, command).code == Some(0);
    let terminal = done(&["-tt"], "test -t 0");
    let open = Said::of(running.command(&key).args(["-W", target, "127.0.0.1"]));
    let listen = done(
        &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"],
        "true",
    );
    let socket = format!("IdentityAgent={}", agent.socket.display());
    let agent = done(
        &["-o", &socket, "-o", "ForwardAgent=yes"],
        "test -S \"$SSH_AUTH_SOCK\"",
    );
    let mut display = running.command(&key);
    let _ = fs::remove_file(&ran);
    display
        .env("DISPLAY", "127.0.0.1:77")
        .args(["-Y", "127.0.0.1", "test -n \"$DISPLAY\""]);
    let display = Said::of(&mut display).code == Some(0);
    // A client that was refused a terminal does not wait for it; this one did.
    let rc = ran.exists();
    [terminal, open.out == "hello\n", listen, agent, display, rc]
}

#[test]
fn every_permission_is_given_and_taken_by_its_own_option() {
    let pod = Pod::with(&["alice"]);
    let agent = Authenticator::plug_in(&pod.path("people"), "token", Kind::Ed25519);
    fs::create_dir(pod.path("home/.ssh")).unwrap();
    fs::write(pod.path("home/.ssh/rc"), "touch ~/ran\n").unwrap();
    pod.give("home");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|mut peer| {
            let _ = peer.write_all(b"hello\n");
        });
    });
    let running = pod.start();
    let mut generation = 1;
    for (options, wanted) in [
        ("", "TOLADR"),
        ("restrict", ""),
        ("no-pty", "OLADR"),
        ("restrict,pty", "T"),
        ("no-port-forwarding", "TADR"),
        ("restrict,port-forwarding", "OL"),
        ("no-agent-forwarding", "TOLDR"),
        ("restrict,agent-forwarding", "A"),
        ("no-X11-forwarding", "TOLAR"),
        ("restrict,X11-forwarding", "D"),
        ("no-user-rc", "TOLAD"),
        ("restrict,user-rc", "R"),
        ("permitopen=\"127.0.0.1:1\"", "TLADR"),
        ("permitlisten=\"1\"", "TOADR"),
    ] {
        if !options.is_empty() {
            pod.secret(
                "authorized_keys",
                &[("alice", &format!("{options} {}", pod.line("alice")))],
            );
            generation += 1;
            running.shows("podssh_keys_generation", generation);
        }
        let had = may(&pod, &running, &agent, &target);
        let letters = "TOLADR".chars().zip(had).filter(|(_, had)| *had);
        let letters: String = letters.map(|(letter, _)| letter).collect();
        assert_eq!(letters, wanted, "{options}");
    }
}
