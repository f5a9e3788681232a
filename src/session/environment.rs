//! The environment of a session, decided by rule and without a system call.
//!
//! Lowest first, later ones win: the daemon's own (image and pod) by the rules, the user's file,
//! what every login has, what the client was allowed to set, and what the key's options say.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use crate::config::{EnvironmentRules, Globs};
use crate::control;
use crate::user::User;

/// PATH when the image sets none; Debian's default for users, with the administrator's folders.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a user keeps variables of all sessions, below the home.
pub(super) const USER_FILE: &str = ".config/podssh/env";
/// How much of it is read.
pub(super) const MAX_USER_FILE: u64 = 256 * 1024;

/// What the environment of one session is made from.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub inherited: &'a [(OsString, OsString)],
    pub rules: &'a EnvironmentRules,
    pub user_file: &'a str,
    pub user: &'a User,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub tty: Option<&'a Path>,
    pub term: Option<&'a str>,
    /// The command the client asked for, when the key's own replaced it.
    pub original_command: Option<&'a OsStr>,
    pub agent: Option<&'a Path>,
    pub display: Option<&'a str>,
    pub client_variables: &'a [(String, OsString)],
    /// The first of a name wins.
    pub key_variables: &'a [(String, OsString)],
}

/// Variables by name, in the order they were first set.
#[derive(Default)]
struct Variables(Vec<(OsString, OsString)>);

impl Variables {
    fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let (name, value) = (name.as_ref(), value.as_ref().to_owned());
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }
}

/// The environment of a session.
pub(super) fn build(facts: &Facts<'_>) -> Vec<(OsString, OsString)> {
    let mut variables = Variables::default();
    for (name, value) in facts.inherited {
        if is_inherited(name, value, facts.rules) {
            variables.set(name, value);
        }
    }
    for (name, value) in user_variables(facts.user_file) {
        variables.set(name, value);
    }
    set_login(&mut variables, facts);
    set_connection(&mut variables, facts);
    for (name, value) in facts.client_variables {
        variables.set(name, value);
    }
    for (name, value) in facts.key_variables.iter().rev() {
        variables.set(name, value);
    }
    variables.0
}

/// HOME and the like; what the image or the user's file says of PATH is kept.
fn set_login(variables: &mut Variables, facts: &Facts<'_>) {
    let user = facts.user;
    variables.set("HOME", &user.home);
    variables.set("USER", &user.name);
    variables.set("LOGNAME", &user.name);
    variables.set("SHELL", &user.shell);
    variables.set("MAIL", format!("/var/mail/{}", user.name));
    let path = variables.get("PATH").filter(|path| !path.is_empty());
    let path = path.map_or_else(|| DEFAULT_PATH.into(), OsStr::to_owned);
    // A login shell's /etc/profile may reset PATH; the image's profile.d file restores it from this.
    variables.set("PODSSH_SESSION_PATH", &path);
    variables.set("PATH", path);
}

/// SSH_CLIENT and the like, as sshd words them.
fn set_connection(variables: &mut Variables, facts: &Facts<'_>) {
    let (client, server) = (facts.client, facts.server);
    let ip = |address: SocketAddr| address.ip().to_canonical();
    let ends = format!(
        "{} {} {} {}",
        ip(client),
        client.port(),
        ip(server),
        server.port()
    );
    variables.set(
        "SSH_CLIENT",
        format!("{} {} {}", ip(client), client.port(), server.port()),
    );
    variables.set("SSH_CONNECTION", ends);
    if let Some(tty) = facts.tty {
        variables.set("SSH_TTY", tty);
    }
    if let Some(agent) = facts.agent {
        variables.set("SSH_AUTH_SOCK", agent);
    }
    if let Some(display) = facts.display {
        variables.set("DISPLAY", display);
    }
    if let Some(command) = facts.original_command {
        variables.set("SSH_ORIGINAL_COMMAND", command);
    }
    if let Some(term) = facts.term {
        variables.set("TERM", term);
    }
}

/// Whether a variable of the daemon's own reaches sessions.
fn is_inherited(name: &OsStr, value: &OsStr, rules: &EnvironmentRules) -> bool {
    // A name that is not text can match no rule; the cluster and the image set none such.
    let Some(name) = name.to_str() else {
        return true;
    };
    rules.allow.matches(name)
        || !(is_cluster_noise(name, value) || is_ours(name) || rules.deny.matches(name))
}

/// What the daemon's own start leaves behind and no session should see.
fn is_ours(name: &str) -> bool {
    const PER_SESSION: [&str; 12] = [
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "SSH_TTY",
        "SSH_ORIGINAL_COMMAND",
        "SSH_AUTH_SOCK",
        "TERM",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "DISPLAY",
        "XAUTHORITY",
    ];
    // `podssh status` in a session asks the daemon that serves it.
    let ours = name.starts_with("PODSSH_") && name != control::VARIABLE;
    ours || PER_SESSION.contains(&name)
}

static NOISE: LazyLock<Globs> = LazyLock::new(|| {
    let links = [
        "*_SERVICE_HOST",
        "*_SERVICE_PORT*",
        "*_PORT_*_TCP*",
        "*_PORT_*_UDP*",
    ];
    Globs::new(&[&["KUBERNETES_*"], links.as_slice()].concat())
});

/// Service links and the like, which a cluster adds by the hundred.
fn is_cluster_noise(name: &str, value: &OsStr) -> bool {
    let link = || {
        let value = value.to_str().unwrap_or_default();
        value.starts_with("tcp://") || value.starts_with("udp://")
    };
    NOISE.matches(name) || (name.ends_with("_PORT") && link())
}

/// `KEY=value` lines: blank lines and `#` comments skipped, one pair of quotes around a value
/// removed, nothing expanded. Lines that are none of that are skipped.
fn user_variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = !name.is_empty()
            && name.chars().all(valid)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        let quoted = |mark| value.strip_prefix(mark).and_then(|v| v.strip_suffix(mark));
        (named && !value.contains('\0'))
            .then(|| (name, quoted('"').or_else(|| quoted('\'')).unwrap_or(value)))
    })
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    fn rules(deny: &[&str], allow: &[&str]) -> EnvironmentRules {
        EnvironmentRules {
            deny: Globs::new(deny),
            allow: Globs::new(allow),
            accept: Globs::default(),
        }
    }

    fn environment(inherited: &[(&str, &str)], rules: &EnvironmentRules, file: &str) -> Variables {
        let inherited: Vec<_> = inherited
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let user = User {
            name: "jovyan".into(),
            uid: Uid::from_raw(1000),
            gid: Gid::from_raw(100),
            home: "/home/jovyan".into(),
            shell: "/bin/bash".into(),
        };
        Variables(build(&Facts {
            inherited: &inherited,
            rules,
            user_file: file,
            user: &user,
            client: "[::ffff:10.0.0.9]:5555".parse().unwrap(),
            server: "[::ffff:10.0.0.1]:2222".parse().unwrap(),
            tty: None,
            term: Some("xterm"),
            original_command: None,
            agent: None,
            display: None,
            client_variables: &[("LANG".into(), "C.UTF-8".into())],
            key_variables: &[("WHO".into(), "alice".into())],
        }))
    }

    #[test]
    fn the_images_variables_reach_a_session_and_the_clusters_do_not() {
        let inherited = [
            ("CUDA_HOME", "/usr/local/cuda"),
            ("PATH", "/opt/conda/bin:/usr/bin"),
            ("KUBERNETES_PORT", "tcp://10.0.0.1:443"),
            ("REDIS_SERVICE_HOST", "10.0.0.2"),
            ("REDIS_PORT", "tcp://10.0.0.2:6379"),
            ("REDIS_PORT_6379_TCP_ADDR", "10.0.0.2"),
            ("APP_PORT", "8080"),
            ("PODSSH_LISTEN", "[::]:2222"),
            ("TOKEN", "secret"),
        ];
        let variables = environment(&inherited, &rules(&["TOKEN"], &[]), "");
        for name in [
            "KUBERNETES_PORT",
            "REDIS_SERVICE_HOST",
            "REDIS_PORT",
            "REDIS_PORT_6379_TCP_ADDR",
            "PODSSH_LISTEN",
            "TOKEN",
        ] {
            assert_eq!(variables.get(name), None, "{name}");
        }
        assert_eq!(variables.get("APP_PORT"), Some(OsStr::new("8080")));
        assert_eq!(
            variables.get("CUDA_HOME"),
            Some(OsStr::new("/usr/local/cuda"))
        );
        assert_eq!(
            variables.get("PATH"),
            Some(OsStr::new("/opt/conda/bin:/usr/bin"))
        );
    }

    #[test]
    fn what_is_allowed_wins_over_every_deny_rule() {
        let inherited = [("KUBERNETES_NODE", "a")];
        let variables = environment(&inherited, &rules(&["KUBE*"], &["KUBERNETES_NODE"]), "");
        assert_eq!(variables.get("KUBERNETES_NODE"), Some(OsStr::new("a")));
    }

    #[test]
    fn the_users_file_is_read_as_plain_lines() {
        let file = "# mine\nA=1\nexport B=\"two words\"\n\nbroken\n9X=no\nHOME=/elsewhere\n";
        let variables = environment(&[("A", "0")], &rules(&[], &[]), file);
        assert_eq!(variables.get("A"), Some(OsStr::new("1")));
        assert_eq!(variables.get("B"), Some(OsStr::new("two words")));
        assert_eq!(variables.get("HOME"), Some(OsStr::new("/home/jovyan")));
        assert_eq!(variables.get("9X"), None);
    }

    #[test]
    fn a_connection_is_described_as_sshd_does() {
        let variables = environment(&[], &rules(&[], &[]), "");
        assert_eq!(
            variables.get("SSH_CLIENT"),
            Some(OsStr::new("10.0.0.9 5555 2222"))
        );
        assert_eq!(
            variables.get("SSH_CONNECTION"),
            Some(OsStr::new("10.0.0.9 5555 10.0.0.1 2222"))
        );
        assert_eq!(variables.get("LANG"), Some(OsStr::new("C.UTF-8")));
        assert_eq!(variables.get("WHO"), Some(OsStr::new("alice")));
        assert_eq!(variables.get("PATH"), Some(OsStr::new(DEFAULT_PATH)));
    }
}
