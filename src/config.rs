//! What was meant: the command line parsed into types, every error reported at once.
//!
//! No field says "default": whoever owns a part gets its final value.

mod compat;
mod forwarding;
mod globs;
mod proxies;
mod rekey;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

pub use self::compat::Compat;
pub use self::forwarding::{Forwarding, Target};
pub use self::globs::Globs;
pub use self::proxies::Proxies;
pub use self::rekey::RekeyLimit;
use crate::cli::ServeArgs;
use crate::logging::Format;
use crate::user::{User, Wanted};

/// Everything `podssh serve` needs to know.
#[derive(Debug)]
pub struct Config {
    /// SSH listeners; at least one.
    pub listen: Vec<SocketAddr>,
    /// The admin listener, unless turned off.
    pub admin_listen: Option<SocketAddr>,
    /// Who is served.
    pub user: User,
    /// Where keys come from.
    pub keys: KeySources,
    /// `--host-keys`; the default places depend on what is there.
    pub host_keys: Option<PathBuf>,
    /// Limits of a connection.
    pub limits: Limits,
    /// Time from SIGTERM to the end of everything.
    pub grace: Duration,
    /// What sessions get of the daemon's environment and of the client's.
    pub environment: EnvironmentRules,
    /// What may be forwarded.
    pub forwarding: Forwarding,
    /// What a home is given, the first wins.
    pub skeletons: Vec<PathBuf>,
    /// Directories of start hooks.
    pub hooks: Vec<PathBuf>,
    /// What each hook may take.
    pub hook_timeout: Duration,
    /// The control socket, unless it is where it is by default.
    pub control: Option<PathBuf>,
    /// Whose PROXY header is believed.
    pub proxies: Proxies,
    /// How old a client may be.
    pub compat: Compat,
    /// Shown at login shells.
    pub motd: PathBuf,
    /// Written once accepting.
    pub ready_file: Option<PathBuf>,
    /// The side process; empty for none.
    pub command: Vec<OsString>,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub struct KeySources {
    /// `--authorized-keys`: files or directories.
    pub authorized_keys: Vec<PathBuf>,
    /// `--home-authorized-keys`
    pub home: bool,
    /// `--user-ca`
    pub user_ca: Vec<PathBuf>,
    /// `--principal`; empty means the user's name.
    pub principals: Vec<String>,
    /// `--revoked-keys`
    pub revoked: Option<PathBuf>,
    /// `--keys-from-secret`: its name, and where the API's credentials are.
    pub secret: Option<(String, PathBuf)>,
}

/// Limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Silence after which the peer is asked for a sign of life.
    pub keepalive: Duration,
    /// Time to authenticate.
    pub login_grace: Duration,
    /// Connections at once that have exchanged keys and not logged in; more may wait before that.
    pub max_startups: usize,
    /// Failed authentication requests before the connection ends.
    pub max_auth_tries: usize,
    /// When the keys of a connection are changed.
    pub rekey: RekeyLimit,
}

/// Which variables reach a session; session/environment.rs has the fixed rules.
#[derive(Clone, Debug)]
pub struct EnvironmentRules {
    /// Dropped from the daemon's environment.
    pub deny: Globs,
    /// Kept whatever else drops them.
    pub allow: Globs,
    /// Taken from the client.
    pub accept: Globs,
}

/// All that is wrong with a command line, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Parse the flags. `environment` is asked for HOME and SHELL.
    pub fn parse(
        args: ServeArgs,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let path = |name| {
            environment(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let limits = parse_limits(&mut errors, &args);
        let wanted = Wanted {
            name: args.user,
            home: args.home,
            shell: args.shell,
            env_home: path("HOME"),
            env_shell: path("SHELL"),
        };
        let user = collect(
            &mut errors,
            User::resolve(wanted).map_err(|error| error.to_string()),
        );
        let listen = collect_all(&mut errors, &args.listen, |text| address("--listen", text));
        let admin_listen = match args.admin_listen.as_str() {
            "none" | "" => Some(None),
            text => collect(&mut errors, address("--admin-listen", text)).map(Some),
        };
        let grace = collect(&mut errors, duration("--grace", &args.grace));
        let forwarding = Forwarding::parse(&args.forward, &args.permit_open, &args.permit_listen);
        let forwarding = forwarding.map_err(|more| errors.extend(more)).ok();
        let proxies = Proxies::parse(&args.trusted_proxy);
        let proxies = proxies.map_err(|more| errors.extend(more)).ok();
        let compat = collect(&mut errors, args.compat.parse());
        if args.listen.iter().all(String::is_empty) {
            errors.push("--listen: no address given; the default is [::]:2222".to_owned());
        }
        let hook_timeout = collect(&mut errors, duration("--hook-timeout", &args.hook_timeout));
        let times = grace.zip(hook_timeout);
        let peers = forwarding.zip(proxies).zip(compat);
        match (user, admin_listen, limits, times, peers) {
            (Some(user), Some(admin_listen), Some(limits), Some(times), Some(peers))
                if errors.is_empty() =>
            {
                let (grace, hook_timeout) = times;
                let ((forwarding, proxies), compat) = peers;
                Ok(Self {
                    listen,
                    admin_listen,
                    user,
                    keys: KeySources {
                        authorized_keys: named(args.authorized_keys),
                        home: args.home_authorized_keys,
                        user_ca: named(args.user_ca),
                        principals: args
                            .principal
                            .into_iter()
                            .filter(|name| !name.is_empty())
                            .collect(),
                        revoked: args
                            .revoked_keys
                            .filter(|path| !path.as_os_str().is_empty()),
                        secret: args
                            .keys_from_secret
                            .filter(|name| !name.is_empty())
                            .map(|name| (name, args.api_credentials)),
                    },
                    host_keys: args.host_keys.filter(|path| !path.as_os_str().is_empty()),
                    limits,
                    grace,
                    environment: EnvironmentRules {
                        deny: Globs::new(&args.env_deny),
                        allow: Globs::new(&args.env_allow),
                        accept: Globs::new(&args.accept_env),
                    },
                    forwarding,
                    skeletons: given(args.skel),
                    hooks: given(args.hooks),
                    hook_timeout,
                    control: args.control.filter(|path| !path.as_os_str().is_empty()),
                    proxies,
                    compat,
                    motd: args.motd,
                    ready_file: args.ready_file,
                    command: args.command,
                })
            }
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// How to log, parsed apart so that the other errors can be logged.
pub fn log_settings(args: &ServeArgs) -> Result<(Option<Format>, Level), ConfigErrors> {
    match args.log_level.parse() {
        Ok(level) => Ok((args.log_format, level)),
        Err(_) => Err(ConfigErrors(vec![format!(
            "--log-level {:?} is none of error, warn, info, debug, trace",
            args.log_level
        )])),
    }
}

/// A duration as `30s`, `5m` or `1h30m`.
pub fn duration(flag: &str, text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|error| format!("{flag} {text:?} is not a duration such as 30s or 5m: {error}"))?;
    if parsed.is_zero() {
        return Err(format!("{flag} {text:?} must be longer than zero"));
    }
    Ok(parsed)
}

fn parse_limits(errors: &mut Vec<String>, args: &ServeArgs) -> Option<Limits> {
    let keepalive = collect(errors, duration("--keepalive", &args.keepalive));
    let login_grace = collect(errors, duration("--login-grace", &args.login_grace));
    let max_startups = collect(errors, count("--max-startups", &args.max_startups));
    let max_auth_tries = collect(errors, count("--max-auth-tries", &args.max_auth_tries));
    let rekey = collect(errors, RekeyLimit::parse(&args.rekey_limit));
    Some(Limits {
        keepalive: keepalive?,
        login_grace: login_grace?,
        max_startups: max_startups?,
        max_auth_tries: max_auth_tries?,
        rekey: rekey?,
    })
}

fn count(flag: &str, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{flag} {text:?} is not a whole number above zero")),
    }
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "{flag} {text:?} is not an address with a port, such as [::]:2222 or 127.0.0.1:2222"
        )
    })
}

fn named(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths
        .into_iter()
        .filter(|path| !path.as_os_str().is_empty())
        .collect()
}

/// Directories of which `none` says that there are none.
fn given(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let given = named(paths).into_iter();
    given.filter(|path| path.as_os_str() != "none").collect()
}

fn collect<T>(errors: &mut Vec<String>, result: Result<T, String>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn collect_all<T>(
    errors: &mut Vec<String>,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let given = texts.iter().filter(|text| !text.is_empty());
    given
        .filter_map(|text| collect(errors, parse(text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(flags: &[&str]) -> Result<Config, ConfigErrors> {
        let words = ["podssh", "serve", "--home", "/tmp", "--user", "jovyan"]
            .iter()
            .chain(flags);
        let Command::Serve(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not serve")
        };
        // Tests may run as root, which has its own rules for the user.
        let mut args = *args;
        if nix::unistd::geteuid().is_root() {
            args.user = Some("nobody".into());
        } else {
            args.user = None;
        }
        Config::parse(args, |_| None)
    }

    #[test]
    fn every_error_is_reported_at_once_and_names_its_flag() {
        let error = parse(&[
            "--listen",
            "nowhere",
            "--keepalive",
            "often",
            "--grace",
            "0s",
            "--max-startups",
            "many",
            "--forward",
            "some",
            "--permit-open",
            "host",
            "--trusted-proxy",
            "gateway",
            "--compat=all",
        ]);
        let text = error.unwrap_err().to_string();
        for flag in [
            "--listen",
            "--keepalive",
            "--grace",
            "--max-startups",
            "--forward",
            "--permit-open",
            "--trusted-proxy",
            "--compat",
        ] {
            assert!(text.contains(flag), "{flag} is not in:\n{text}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.listen, ["[::]:2222".parse().unwrap()]);
        assert_eq!(config.admin_listen, Some("[::]:9090".parse().unwrap()));
        assert_eq!(config.limits.keepalive, Duration::from_secs(30));
        assert_eq!(config.grace, Duration::from_secs(60));
        assert_eq!(config.limits.max_startups, 100);
        assert!(config.environment.accept.matches("LC_ALL"));
        assert!(!config.environment.accept.matches("LD_PRELOAD"));
    }

    #[test]
    fn the_admin_listener_can_be_turned_off() {
        assert_eq!(
            parse(&["--admin-listen", "none"]).unwrap().admin_listen,
            None
        );
    }
}
