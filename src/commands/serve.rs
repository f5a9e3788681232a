//! `podssh serve`: the start-up story, in order.
//!
//! Everything before the runtime is single-threaded, so that giving up root needs no thought about
//! other threads; the listeners are bound before it and nothing is accepted until after it.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Builder;

use super::daemon::Daemon;
use super::sockets::Sockets;
use super::{Failed, report};
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::keys::{self, Feed, HostKeyPlaces, HostKeys, KeyErrorKind, Keys, Sources};
use crate::server::{Rules, Server};
use crate::workers::Workers;
use crate::workspace::condition::{Condition, Variables};
use crate::workspace::{home, last_end, passwd, spawn};
use crate::{allocator, control, descriptors, exit_code, logging};

/// Serve until told to stop; the exit code.
pub fn run(args: ServeArgs) -> u8 {
    match start(args) {
        Ok(code) => code,
        Err(failed) => report(&failed),
    }
}

fn start(args: ServeArgs) -> Result<u8, Failed> {
    allocator::keep_freed_memory();
    descriptors::raise();
    spawn::keep_inherited();
    let (format, level) = config::log_settings(&args).map_err(wrong)?;
    logging::start(format, level);
    let check = args.check;
    let config = Config::parse(args, |name| std::env::var_os(name)).map_err(wrong)?;
    if check {
        return checked(&config);
    }
    let sockets = Sockets::bind(&config)?;
    let proof = config.user.demote();
    let proof = proof.map_err(|error| Failed::new(exit_code::NO_PERMISSION, error))?;
    let condition = prepare(&config);
    let host_keys = load_host_keys(&config)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(broken)?;
    let workers = Arc::new(Workers::start().map_err(broken)?);
    let daemon = Daemon::new(&config, condition, Keys::start(sources(&config)));
    let server = Server::new(
        proof,
        Arc::clone(&daemon.workspace),
        &host_keys,
        Arc::clone(&daemon.keys),
        Arc::clone(&daemon.metrics),
        Rules {
            forwarding: config.forwarding.clone(),
            limits: config.limits,
            proxies: config.proxies.clone(),
            compat: config.compat,
        },
    );
    let code = runtime.block_on(daemon.serve(&config, sockets, &server, &workers));
    // A blocking call that hangs (a dead network file system) must not hold up the end.
    runtime.shutdown_background();
    code
}

fn wrong(errors: impl Display) -> Failed {
    Failed::new(exit_code::CONFIG, errors)
}

pub(super) fn broken(error: impl Display) -> Failed {
    Failed::new(exit_code::SOFTWARE, error)
}

/// `--check`: every error of keys, home and shell as well.
fn checked(config: &Config) -> Result<u8, Failed> {
    let keys = Keys::start(sources(config)).errors();
    // A source that works and merely never changes is worth a line in the log, not a failure.
    let faults = keys
        .iter()
        .filter(|error| error.kind != KeyErrorKind::NeverUpdates);
    let mut problems: Vec<_> = faults.map(ToString::to_string).collect();
    if !config.user.home.is_dir() {
        let home = config.user.home.display();
        problems.push(format!(
            "{home}: the home directory is missing; mount its volume or give --home"
        ));
    }
    if !config.user.shell.is_file() {
        let shell = config.user.shell.display();
        problems.push(format!(
            "{shell}: the login shell is missing; install it or give --shell"
        ));
    }
    if let Err(error) = Sockets::bind(config) {
        problems.push(error.message);
    }
    if problems.is_empty() {
        Ok(0)
    } else {
        Err(wrong(problems.join("\n")))
    }
}

/// The home, the user's entry in passwd, and what is known of the last run.
fn prepare(config: &Config) -> Condition {
    let home = &config.user.home;
    for repair in keys::repair_modes(home, config.user.uid.as_raw()) {
        let (path, from, to) = (repair.path.display(), repair.from, repair.to);
        tracing::info!(%path, from = format!("{from:o}"), to = format!("{to:o}"), "mode repaired");
    }
    let prepared = home::prepare(home, &config.skeletons);
    tracing::info!(files = prepared.seeded.len(), "home prepared");
    for fault in &prepared.faults {
        tracing::warn!("{fault}");
    }
    match passwd::ensure(&config.user) {
        Ok(Some(file)) => tracing::info!(file, "passwd entry made"),
        Ok(None) => {}
        Err(lack) => tracing::info!("{lack}"),
    }
    let last_end = last_end::read(&last_end::path(home));
    tracing::info!("{last_end}");
    Condition::new(environment(config), last_end, prepared.faults)
}

/// The daemon's own, as the workspace user's.
fn environment(config: &Config) -> Variables {
    let user = &config.user;
    let mut ours: Variables = vec![
        ("HOME".into(), user.home.clone().into()),
        ("USER".into(), user.name.clone().into()),
        ("LOGNAME".into(), user.name.clone().into()),
        ("SHELL".into(), user.shell.clone().into()),
    ];
    if let Some(path) = &config.control {
        ours.push((control::VARIABLE.into(), path.clone().into()));
    }
    let theirs = |name: &OsString| ours.iter().all(|(own, _)| own != name);
    let mut variables: Variables = std::env::vars_os()
        .filter(|(name, _)| theirs(name))
        .collect();
    variables.extend(ours);
    variables
}

fn load_host_keys(config: &Config) -> Result<HostKeys, Failed> {
    let (home, uid) = (&config.user.home, config.user.uid.as_raw());
    let places = HostKeyPlaces::standard(config.host_keys.clone(), home, uid);
    let keys = HostKeys::load_or_generate(&places);
    let keys = keys.map_err(|error| Failed::new(exit_code::NO_INPUT, error))?;
    for warning in keys.warnings() {
        tracing::warn!("{warning}");
    }
    for fingerprint in keys.fingerprints() {
        tracing::info!(fingerprint, new = keys.generated(), "host key");
    }
    Ok(keys)
}

fn sources(config: &Config) -> Sources {
    Sources {
        authorized_keys: config.keys.authorized_keys.clone(),
        home: config.user.home.clone(),
        uid: config.user.uid.as_raw(),
        home_authorized_keys: config.keys.home,
        user_ca: config.keys.user_ca.clone(),
        principals: config.keys.principals.clone(),
        revoked_keys: config.keys.revoked.clone(),
        feed: config.keys.secret.as_ref().map(|(name, _)| {
            let path = Path::new("secret").join(name);
            Arc::new(Feed::new(path))
        }),
    }
}
