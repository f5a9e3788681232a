//! Certificates signed by `ssh-keygen -s` with each of its options, shown by a stock ssh.

use std::fs;
use std::net::TcpListener;
use std::thread;

use crate::harness::daemon::user;
use crate::pod::Pod;
use crate::running::Running;

/// A pod that trusts the CA in the Secret `ca`, with more flags.
fn trusting(flags: &[&str]) -> Pod {
    let mut pod = Pod::new();
    pod.secret("ca", &[("team", &pod.line("ca"))]);
    pod.args(["--user-ca", pod.path("ca").to_str().unwrap()]);
    pod.args(flags);
    pod
}

#[test]
fn force_command_replaces_what_is_asked_for_in_every_kind_of_session() {
    let pod = trusting(&[]);
    pod.sign(
        "ca",
        "alice",
        &["-O", "force-command=echo \"forced: $SSH_ORIGINAL_COMMAND\""],
    );
    let running = pod.start();
    let said = running.ssh(&pod.person("alice"), &[], "id -u");
    assert_eq!(said.out, "forced: id -u\n", "{said:?}");
    let said = running.ssh(&pod.person("alice"), &["-s"], "sftp");
    assert_eq!(said.out, "forced: internal-sftp\n", "{said:?}");
    let said = running.ssh(&pod.person("alice"), &["-tt"], "id -u");
    assert_eq!(said.out, "forced: id -u\r\n", "{said:?}");
}

#[test]
fn addresses_names_times_and_kinds_decide() {
    let pod = trusting(&[]);
    let running = pod.start();
    for (signing, enters) in [
        (&[][..], true),
        (&["-O", "source-address=127.0.0.0/8"], true),
        (&["-O", "source-address=10.0.0.0/8,::1"], false),
        (&["-V", "-2h:-1h"], false),
        (&["-V", "+1h:+2h"], false),
        (&["-V", "always:forever"], true),
        (&["-n", "somebody,else"], false),
        (&["-n", &format!("somebody,{}", user())], true),
        (&["-h"], false),
        (&["-O", "critical:x@example.com=y"], false),
        (&["-O", "extension:x@example.com=y"], true),
        (&["-O", "verify-required"], false),
    ] {
        pod.sign("ca", "alice", signing);
        assert_eq!(running.admits(&pod.person("alice")), enters, "{signing:?}");
    }
    pod.sign("stranger", "alice", &[]);
    assert!(!running.admits(&pod.person("alice")), "another CA");
    for (name, kind) in [("rsa", "rsa"), ("p384", "ecdsa")] {
        pod.keygen(&["-q", "-t", kind, "-N", "", "-f", name]);
        pod.sign("ca", name, &[]);
        assert!(running.admits(&pod.person(name)), "{name}");
    }
    let log = running.log();
    for words in [
        "Certificate is expired or not yet valid",
        "reason=\"address\"",
        "reason=\"certificate\"",
        "reason=\"unknown-key\"",
    ] {
        assert!(log.contains(words), "{words} in {log}");
    }
}

/// What a login may do: terminal, local forward, remote forward, agent.
fn may(pod: &Pod, running: &Running, target: u16) -> [bool; 4] {
    let key = pod.person("alice");
    let terminal = running.ssh(&key, &["-tt"], "test -t 0").code == Some(0);
    let place = format!("127.0.0.1:{target}");
    let open = crate::running::Said::of(running.command(&key).args(["-W", &place, "127.0.0.1"]));
    let listen = running.ssh(
        &key,
        &["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"],
        "true",
    );
    let agent = crate::agent::Authenticator::plug_in(
        &pod.path("people"),
        &format!("agent{}", rand::random::<u32>()),
        crate::agent::Kind::Ed25519,
    );
    let socket = format!("IdentityAgent={}", agent.socket.display());
    let options = ["-o", &socket, "-o", "ForwardAgent=yes"];
    let agent = running.ssh(&key, &options, "test -S \"$SSH_AUTH_SOCK\"");
    [
        terminal,
        open.out == "hello\n",
        listen.code == Some(0),
        agent.code == Some(0),
    ]
}

#[test]
fn extensions_that_are_not_given_are_not_had() {
    let pod = trusting(&[]);
    let running = pod.start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    thread::spawn(move || {
        target.incoming().flatten().for_each(|mut peer| {
            let _ = std::io::Write::write_all(&mut peer, b"hello\n");
        });
    });
    for (signing, wanted) in [
        (&[][..], [true; 4]),
        (&["-O", "clear"], [false; 4]),
        (&["-O", "no-pty"], [false, true, true, true]),
        (&["-O", "no-port-forwarding"], [true, false, false, true]),
        (&["-O", "no-agent-forwarding"], [true, true, true, false]),
        (
            &["-O", "clear", "-O", "permit-pty"],
            [true, false, false, false],
        ),
    ] {
        pod.sign("ca", "alice", signing);
        assert_eq!(may(&pod, &running, port), wanted, "{signing:?}");
    }
}

#[test]
fn authorities_come_as_files_directories_and_lines() {
    let mut pod = Pod::new();
    for name in ["file", "one", "two", "line", "named", "limited"] {
        pod.person(&format!("ca-{name}"));
    }
    fs::write(
        pod.path("ca_file"),
        format!("# ours\n{}\n", pod.line("ca-file")),
    )
    .unwrap();
    pod.secret(
        "ca_directory",
        &[("one", &pod.line("ca-one")), ("two", &pod.line("ca-two"))],
    );
    let lines = [
        format!("cert-authority {}", pod.line("ca-line")),
        format!(
            "cert-authority,principals=\"team-red,team-blue\" {}",
            pod.line("ca-named")
        ),
        format!(
            "cert-authority,restrict,command=\"echo limited\" {}",
            pod.line("ca-limited")
        ),
    ];
    pod.secret("keys", &[("authorities", &lines.join("\n"))]);
    for (flag, name) in [
        ("--user-ca", "ca_file"),
        ("--user-ca", "ca_directory"),
        ("--authorized-keys", "keys"),
    ] {
        pod.args([flag, pod.path(name).to_str().unwrap()]);
    }
    let running = pod.start();
    for (ca, signing, wanted) in [
        ("file", &[][..], Some("ran\n")),
        ("one", &[], Some("ran\n")),
        ("two", &[], Some("ran\n")),
        ("line", &[], Some("ran\n")),
        ("line", &["-n", "team-red"], None),
        ("named", &["-n", "team-blue"], Some("ran\n")),
        ("named", &["-n", "team-green"], None),
        ("named", &[], None),
        ("limited", &[], Some("limited\n")),
        ("limited", &["-O", "force-command=echo other"], None),
    ] {
        pod.sign(&format!("ca-{ca}"), "alice", signing);
        let said = running.ssh(&pod.person("alice"), &[], "echo ran");
        let got = said.entered().then_some(said.out.as_str());
        assert_eq!(got, wanted, "{ca} {signing:?}");
    }
    assert!(
        !running.admits(&pod.person("ca-line")),
        "a CA signs, it does not log in"
    );
}

#[test]
fn principals_of_the_command_line_stand_for_the_user() {
    let pod = trusting(&["--principal", "team-red", "--principal", "team-blue"]);
    let running = pod.start();
    for (principals, enters) in [("team-blue", true), ("x,team-red", true), (user(), false)] {
        pod.sign("ca", "alice", &["-n", principals]);
        assert_eq!(running.admits(&pod.person("alice")), enters, "{principals}");
    }
}

#[test]
fn the_log_says_whose_certificate_it_was() {
    let pod = trusting(&[]);
    pod.sign("ca", "alice", &["-z", "42"]);
    let running = pod.start();
    assert!(running.admits(&pod.person("alice")));
    let log = running.log();
    let line = log
        .lines()
        .find(|line| line.contains("certificate accepted"))
        .unwrap();
    assert!(
        line.contains("certificate=\"alice\"") && line.contains("serial=42"),
        "{line}"
    );
}
