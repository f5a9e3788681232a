//! The environment of sessions, by the rules of DESIGN section 6, the same in every kind of session.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::bare::text;
use crate::harness::daemon::{Daemon, Setup, user, write_secret};
use crate::harness::process::{PATIENCE, run};
use crate::said;

/// What differs between two sessions of one kind already, or is the shell's own.
const OF_THE_MOMENT: [&str; 9] = [
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TERM",
    "SHLVL",
    "_",
    "PWD",
    "OLDPWD",
    "PODSSH_SESSION_PATH",
];

type Variables = BTreeMap<String, String>;

/// Login shells get what the image's profile.d gives them there.
fn as_in_the_image(setup: &mut Setup) {
    let profile =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("image/etc/profile.d/00-podssh-path.sh");
    let profile = fs::read_to_string(profile).expect("the image's profile.d file");
    fs::write(setup.home().join(".profile"), profile).expect("~/.profile");
}

fn parsed(env: &[u8]) -> Variables {
    let env = String::from_utf8_lossy(env);
    let pairs = env.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The environment in each kind of session, by the kind's name.
#[track_caller]
fn of_every_kind(daemon: &Daemon) -> Vec<(&'static str, Variables)> {
    let kinds = [
        ("exec", &["workspace", "env -0 >env"][..], ""),
        (
            "exec on a terminal",
            &["-tt", "workspace", "env -0 >env"],
            "",
        ),
        ("shell", &["-T", "workspace"], "env -0 >env\n"),
        (
            "shell on a terminal",
            &["-tt", "workspace"],
            "env -0 >env; exit\n",
        ),
    ];
    kinds
        .map(|(name, args, stdin)| {
            let mut command = daemon.client.command("ssh");
            command.args(args).env("TERM", "xterm-256color");
            said::ok(&run(&mut command, stdin.as_bytes(), PATIENCE));
            let file = daemon.home().join("env");
            let variables = parsed(&fs::read(&file).expect("the session wrote it"));
            fs::remove_file(file).expect("ours");
            (name, variables)
        })
        .into()
}

#[test]
fn every_kind_of_session_has_the_same_environment_and_path() {
    let profile = fs::read_to_string("/etc/profile").expect("a Debian");
    assert!(profile.contains("PATH="), "it would not reset PATH");
    let path = "/opt/image/bin:/usr/local/bin:/usr/bin:/bin";
    let daemon = Daemon::start(|setup| {
        as_in_the_image(setup);
        setup.env("PATH", path);
        setup.env("CUDA_VERSION", "12.9");
        setup.env("TZ", "Asia/Tokyo");
    });
    let kinds = of_every_kind(&daemon);
    for (kind, variables) in &kinds {
        assert_eq!(variables["PATH"], path, "{kind}");
        assert_eq!(variables["CUDA_VERSION"], "12.9", "{kind}");
        assert_eq!(variables["TZ"], "Asia/Tokyo", "{kind}");
    }
    let essence = |variables: &Variables| {
        let mut variables = variables.clone();
        variables.retain(|name, _| !OF_THE_MOMENT.contains(&name.as_str()));
        variables
    };
    for (kind, variables) in &kinds[1..] {
        assert_eq!(essence(variables), essence(&kinds[0].1), "{kind}");
    }
}

/// A subsystem is served within the daemon and has no environment; where a key makes a program of it,
/// that one has.
#[test]
fn a_subsystem_that_is_a_program_has_the_environment_too() {
    let daemon = Daemon::start(|setup| {
        setup.env("PATH", "/opt/image/bin:/usr/bin:/bin");
        setup.env("KUBERNETES_PORT", "tcp://10.0.0.1:443");
        let key = fs::read_to_string(setup.identity().with_extension("pub")).expect("the key");
        let line = format!("command=\"env -0\" {key}");
        write_secret(&setup.authorized_keys(), &[("tester", line.as_bytes())]);
    });
    let of = |args: &[&str]| {
        let output = run(daemon.client.command("ssh").args(args), b"", PATIENCE);
        said::ok(&output);
        let mut variables = parsed(&output.stdout);
        let asked = variables.remove("SSH_ORIGINAL_COMMAND");
        variables.retain(|name, _| !OF_THE_MOMENT.contains(&name.as_str()));
        (variables, asked)
    };
    let (subsystem, asked) = of(&["-s", "workspace", "sftp"]);
    let (command, _) = of(&["workspace", "anything"]);
    assert_eq!(subsystem, command);
    assert_eq!(subsystem["PATH"], "/opt/image/bin:/usr/bin:/bin");
    assert!(!subsystem.contains_key("KUBERNETES_PORT"));
    assert!(asked.is_some_and(|asked| asked.contains("sftp")));
}

#[test]
fn the_clusters_noise_and_the_daemons_own_flags_stay_outside() {
    let daemon = Daemon::start(|setup| {
        for (name, value) in [
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_PORT", "tcp://10.0.0.1:443"),
            ("DB_SERVICE_HOST", "10.0.0.2"),
            ("DB_SERVICE_PORT", "5432"),
            ("DB_SERVICE_PORT_HTTP", "80"),
            ("DB_PORT", "tcp://10.0.0.2:5432"),
            ("DNS_PORT", "udp://10.0.0.2:53"),
            ("DB_PORT_5432_TCP", "tcp://10.0.0.2:5432"),
            ("DB_PORT_5432_TCP_ADDR", "10.0.0.2"),
            ("DNS_PORT_53_UDP_PROTO", "udp"),
            ("PODSSH_KEEPALIVE", "20s"),
            ("VAULT_TOKEN", "secret"),
            // These stay:
            ("APP_PORT", "8080"),
            ("VAULT_ADDR", "https://vault"),
            ("CACHE_SERVICE_HOST", "10.0.0.3"),
            ("LANG", "C.UTF-8"),
        ] {
            setup.env(name, value);
        }
        setup.args(["--env-deny", "*_TOKEN,NOTHING", "--env-deny", "VAULT_*"]);
        setup.args(["--env-allow", "CACHE_*", "--env-allow", "VAULT_ADDR"]);
    });
    for (kind, mut variables) in of_every_kind(&daemon) {
        // What profile.d and `podssh status` need.
        variables.remove("PODSSH_SESSION_PATH");
        variables.remove("PODSSH_CONTROL");
        for (name, value) in [
            ("APP_PORT", "8080"),
            ("VAULT_ADDR", "https://vault"),
            ("CACHE_SERVICE_HOST", "10.0.0.3"),
            ("LANG", "C.UTF-8"),
        ] {
            assert_eq!(
                variables.get(name).map(String::as_str),
                Some(value),
                "{name}, {kind}"
            );
        }
        let noise = |name: &&String| {
            ["KUBERNETES_", "DB_", "DNS_", "PODSSH_", "VAULT_TOKEN"]
                .iter()
                .any(|start| name.starts_with(start))
        };
        let found: Vec<_> = variables.keys().filter(noise).collect();
        assert!(found.is_empty(), "{kind}: {found:?}");
    }
}

#[test]
fn every_session_knows_its_user_and_its_connection() {
    let daemon = Daemon::start(|_| ());
    let (_, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
    let home = daemon.home();
    for (kind, variables) in of_every_kind(&daemon) {
        let expected = [
            ("HOME", text(&home).to_owned()),
            ("USER", user().to_owned()),
            ("LOGNAME", user().to_owned()),
            ("SHELL", "/bin/bash".to_owned()),
            ("MAIL", format!("/var/mail/{}", user())),
        ];
        for (name, value) in expected {
            assert_eq!(variables.get(name), Some(&value), "{name}, {kind}");
        }
        let connection: Vec<_> = variables["SSH_CONNECTION"].split(' ').collect();
        assert_eq!(connection[0], "127.0.0.1", "{kind}");
        assert_eq!(connection[2..], ["127.0.0.1", port], "{kind}");
        let client = format!("127.0.0.1 {} {port}", connection[1]);
        assert_eq!(variables["SSH_CLIENT"], client, "{kind}");
        let terminal = kind.ends_with("terminal");
        assert_eq!(variables.contains_key("SSH_TTY"), terminal, "{kind}");
        let term = variables.get("TERM").map(String::as_str);
        let expected = terminal.then_some("xterm-256color");
        // bash itself says `dumb` where nobody does.
        assert_eq!(term.filter(|term| *term != "dumb"), expected, "{kind}");
        for absent in ["SSH_AUTH_SOCK", "SSH_ORIGINAL_COMMAND"] {
            assert!(!variables.contains_key(absent), "{absent}, {kind}");
        }
    }
}

#[test]
fn the_users_file_is_read_anew_by_every_session() {
    let daemon = Daemon::start(|setup| {
        setup.env("COLOUR", "image");
        setup.env("KEPT", "image");
        let file = setup.home().join(".config/podssh/env");
        fs::create_dir_all(file.parent().expect("a folder")).expect("~/.config/podssh");
        let content = "# comment\n\nCOLOUR=user\nexport QUOTED=\"a b\"\nSINGLE='c $d'\nURL=a=b=c\n\
                       not a line\n1BAD=x\nHOME=/nowhere\nLD_LIBRARY_PATH=/opt/lib\n";
        fs::write(file, content).expect("the user's file");
    });
    for (kind, variables) in of_every_kind(&daemon) {
        for (name, value) in [
            ("COLOUR", "user"),
            ("KEPT", "image"),
            ("QUOTED", "a b"),
            ("SINGLE", "c $d"),
            ("URL", "a=b=c"),
            ("LD_LIBRARY_PATH", "/opt/lib"),
        ] {
            assert_eq!(
                variables.get(name).map(String::as_str),
                Some(value),
                "{name}, {kind}"
            );
        }
        assert!(!variables.contains_key("1BAD"), "{kind}");
        assert_eq!(variables["HOME"], text(&daemon.home()), "{kind}");
    }
    said::ok(&daemon.ssh(["echo COLOUR=later >.config/podssh/env"]));
    assert_eq!(said::ok(&daemon.ssh(["echo $COLOUR$URL"])), "later\n");
}

#[test]
fn a_client_may_set_what_is_accepted_and_nothing_else() {
    let asks = |daemon: &Daemon| {
        let mut command = daemon.client.command("ssh");
        for option in [
            "LANG=de_DE.UTF-8",
            "LC_TIME=C",
            "GIT_PROTOCOL=version=2",
            "TZ=UTC",
            "LD_PRELOAD=/evil.so",
            "PATH=/evil",
            "MINE=1",
        ] {
            command.args([
                "-o",
                &format!("SendEnv={}", option.split_once('=').expect("=").0),
            ]);
            let (name, value) = option.split_once('=').expect("=");
            if name != "PATH" && name != "LD_PRELOAD" {
                command.env(name, value);
            }
        }
        command.args(["-o", "SetEnv=LD_PRELOAD=/evil.so PATH=/evil"]);
        command.args(["workspace", "env -0"]);
        let output = run(&mut command, b"", PATIENCE);
        said::ok(&output);
        parsed(&output.stdout)
    };
    let variables = asks(&Daemon::start(|_| ()));
    assert_eq!(variables["LANG"], "de_DE.UTF-8");
    assert_eq!(variables["LC_TIME"], "C");
    assert_eq!(variables["GIT_PROTOCOL"], "version=2");
    assert_eq!(variables["TZ"], "UTC");
    assert_ne!(variables["PATH"], "/evil");
    assert!(!variables.contains_key("LD_PRELOAD") && !variables.contains_key("MINE"));

    let variables = asks(&Daemon::start(|setup| setup.args(["--accept-env", "MINE"])));
    assert_eq!(variables["MINE"], "1");
    assert_eq!(variables["LANG"], "C.UTF-8", "the daemon's own");
    assert!(!variables.contains_key("TZ"));
}

#[test]
fn the_environment_does_not_leak_from_one_session_to_the_next() {
    let daemon = Daemon::start(|_| ());
    let mut command = daemon.client.command("ssh");
    command.args(["-o", "SetEnv=LC_LEAK=1", "workspace", "echo $LC_LEAK"]);
    assert_eq!(said::ok(&run(&mut command, b"", PATIENCE)), "1\n");
    assert_eq!(said::ok(&daemon.ssh(["echo $LC_LEAK"])), "\n");
}
