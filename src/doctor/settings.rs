//! Where the daemon was told to find its keys. A session's environment has none of podssh's own
//! variables, so that what doctor was not told comes from process 1 when that is `podssh serve`.

use std::path::{Path, PathBuf};

use super::surroundings::Surroundings;

/// What doctor may be told of, under the names of `podssh serve`'s flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--authorized-keys`; empty for the default.
    pub authorized_keys: Vec<PathBuf>,
    /// `--home-authorized-keys`
    pub home_authorized_keys: Option<bool>,
    /// `--user-ca`
    pub user_ca: Vec<PathBuf>,
    /// `--host-keys`
    pub host_keys: Option<PathBuf>,
    /// `--keys-from-secret`: a source that doctor does not ask.
    pub keys_from_secret: Option<String>,
}

impl Settings {
    /// What process 1 was told, by flags and by variables; nothing when it is no `podssh serve`.
    #[must_use]
    pub fn of_daemon(root: &Path) -> Self {
        let list = |name: &str| strings(&root.join("proc/1").join(name));
        let arguments = list("cmdline");
        if arguments.get(1).is_none_or(|word| word != "serve") {
            return Self::default();
        }
        let environment = list("environ");
        let all = |flag: &str| values(flag, &arguments, &environment);
        let paths = |flag: &str| all(flag).into_iter().map(PathBuf::from).collect();
        Self {
            authorized_keys: paths("authorized-keys"),
            home_authorized_keys: all("home-authorized-keys")
                .pop()
                .map(|word| word != "false"),
            user_ca: paths("user-ca"),
            host_keys: all("host-keys").pop().map(PathBuf::from),
            keys_from_secret: all("keys-from-secret").pop(),
        }
    }

    /// These, and `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        let first = |ours: Vec<PathBuf>, theirs| if ours.is_empty() { theirs } else { ours };
        Self {
            authorized_keys: first(self.authorized_keys, others.authorized_keys),
            home_authorized_keys: self.home_authorized_keys.or(others.home_authorized_keys),
            user_ca: first(self.user_ca, others.user_ca),
            host_keys: self.host_keys.or(others.host_keys),
            keys_from_secret: self.keys_from_secret.or(others.keys_from_secret),
        }
    }

    /// Files and directories with keys, the default filled in.
    pub(super) fn key_paths(&self) -> Vec<PathBuf> {
        if self.authorized_keys.is_empty() {
            vec![PathBuf::from("/etc/podssh/authorized_keys")]
        } else {
            self.authorized_keys.clone()
        }
    }
}

impl Surroundings {
    /// Every operator's source of keys.
    pub(super) fn key_sources(&self) -> Vec<PathBuf> {
        let mut paths = self.settings.key_paths();
        paths.extend(self.settings.user_ca.iter().cloned());
        paths
    }
}

/// A file of strings that each end with NUL.
fn strings(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let strings = bytes.split(|byte| *byte == 0).filter(|s| !s.is_empty());
    strings
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}

/// What `--flag` is given, as `--flag VALUE` or `--flag=VALUE`; without it, the variable's list.
fn values(flag: &str, arguments: &[String], environment: &[String]) -> Vec<String> {
    let (alone, with_value) = (format!("--{flag}"), format!("--{flag}="));
    let own = arguments.iter().take_while(|word| *word != "--");
    let nothing = String::new();
    let following = arguments.iter().skip(1).chain([&nothing]);
    let given = own.zip(following).filter_map(|(word, next)| {
        word.strip_prefix(&with_value)
            .or_else(|| (*word == alone).then_some(next))
            .map(str::to_owned)
    });
    let given: Vec<String> = given.collect();
    let lists = if given.is_empty() {
        let name = format!("PODSSH_{}=", flag.to_uppercase().replace('-', "_"));
        let variable = |entry: &String| entry.strip_prefix(&name).map(str::to_owned);
        environment.iter().filter_map(variable).collect()
    } else {
        given
    };
    let parts = lists.iter().flat_map(|list| list.split(','));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(cmdline: &str, environ: &str) -> Settings {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/1");
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("cmdline"), cmdline.replace(' ', "\0")).unwrap();
        std::fs::write(process.join("environ"), environ.replace(' ', "\0")).unwrap();
        Settings::of_daemon(root.path())
    }

    #[test]
    fn flags_come_before_variables_and_another_process_1_says_nothing() {
        let settings = daemon(
            "/usr/bin/podssh serve --authorized-keys /a --authorized-keys=/b,/c --host-keys /h -- x --user-ca /no",
            "PODSSH_AUTHORIZED_KEYS=/z PODSSH_USER_CA=/ca PODSSH_HOME_AUTHORIZED_KEYS=false HOME=/x",
        );
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(settings.authorized_keys, paths(&["/a", "/b", "/c"]));
        assert_eq!(settings.user_ca, paths(&["/ca"]));
        assert_eq!(settings.home_authorized_keys, Some(false));
        assert_eq!(settings.host_keys, Some(PathBuf::from("/h")));
        assert_eq!(
            daemon("/bin/sleep 5", "PODSSH_USER_CA=/ca"),
            Settings::default()
        );
        assert_eq!(daemon("", ""), Settings::default());
    }

    #[test]
    fn what_was_given_to_doctor_wins() {
        let given = Settings {
            user_ca: vec!["/mine".into()],
            ..Settings::default()
        };
        let merged = given.or(daemon("/podssh serve --user-ca /theirs --host-keys /h", ""));
        assert_eq!(merged.user_ca, [PathBuf::from("/mine")]);
        assert_eq!(merged.host_keys, Some(PathBuf::from("/h")));
    }
}
