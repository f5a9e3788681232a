//! `podssh serve`: the start-up story, in order.
//!
//! Everything before the runtime is single-threaded, so that giving up root needs no thought about
//! other threads; the listeners are bound before it and nothing is accepted until after it.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::runtime::Builder;

use super::sockets::Sockets;
use super::{Failed, ready, report};
use crate::cli::ServeArgs;
use crate::cluster::KeyWatch;
use crate::config::{self, Config};
use crate::keys::{self, Feed, HostKeyPlaces, HostKeys, KeyErrorKind, Keys, Sources};
use crate::metrics::Metrics;
use crate::server::{Rules, Server};
use crate::session::{self, Workspace};
use crate::shutdown::Tasks;
use crate::workers::Workers;
use crate::workspace::condition::{Condition, Variables};
use crate::workspace::hooks::Hooks;
use crate::workspace::life::Life;
use crate::workspace::memory::Memory;
use crate::workspace::reaper::Reaper;
use crate::workspace::side_process::SideProcess;
use crate::workspace::signals::{Signals, Told};
use crate::workspace::{home, last_end, leftovers, passwd};
use crate::{admin, allocator, control, descriptors, exit_code, logging, runtime_dir};

/// What is kept of the grace time for ending what has not left by itself.
const ENDING: Duration = Duration::from_secs(10);
/// What the last tasks may take of that.
const FINAL: Duration = Duration::from_secs(6);

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
    session::keep_inherited();
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
    let daemon = Daemon::new(&config, condition);
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

fn broken(error: impl Display) -> Failed {
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

/// What lives as long as the daemon.
struct Daemon {
    tasks: Tasks,
    /// Tasks that outlive the others: a session's end is told by the reaper.
    plumbing: Tasks,
    keys: Arc<Keys>,
    metrics: Arc<Metrics>,
    workspace: Arc<Workspace>,
    side: SideProcess,
    life: Arc<Life>,
}

impl Daemon {
    fn new(config: &Config, condition: Condition) -> Self {
        let tasks = Tasks::default();
        let workspace = Workspace {
            user: config.user.clone(),
            condition,
            rules: config.environment.clone(),
            motd: config.motd.clone(),
            reaper: Reaper::default(),
            tasks: tasks.clone(),
        };
        let keys = Keys::start(sources(config));
        Self {
            metrics: Arc::new(Metrics::of(Arc::clone(&keys), tasks.clone())),
            tasks,
            plumbing: Tasks::default(),
            keys,
            workspace: Arc::new(workspace),
            side: SideProcess::new(&config.command),
            life: Arc::new(Life::new(&config.user.home)),
        }
    }

    async fn serve(
        &self,
        config: &Config,
        sockets: Sockets,
        server: &Arc<Server>,
        workers: &Arc<Workers>,
    ) -> Result<u8, Failed> {
        let mut signals = Signals::new().map_err(broken)?;
        let (reaper, plumbing) = (self.workspace.reaper.clone(), self.plumbing.clone());
        self.plumbing.spawn("reaper", async move {
            tokio::select! {
                _ = reaper.run() => {}
                () = plumbing.stopping() => {}
            }
        });
        let stopping = self.tasks.clone();
        let follow = Arc::clone(&self.keys).follow(async move { stopping.stopping().await });
        self.tasks.spawn("keys", follow);
        self.life.record(|_| ()).await;
        self.answer_control(config, &sockets, server);
        self.follow_secret(config);
        self.listen(config, sockets, server, workers)?;
        self.start_up(config);
        let told = signals.until_told(&self.side, &self.keys).await;
        Ok(self.stop(told, &mut signals, server, config.grace).await)
    }

    /// Keys by the API, where they are asked for; else nothing of it is touched.
    fn follow_secret(&self, config: &Config) {
        let (Some((name, credentials)), Some(feed)) = (&config.keys.secret, self.keys.feed())
        else {
            return;
        };
        let watch = KeyWatch::new(name, credentials, feed, Arc::clone(&self.keys));
        let stopping = self.tasks.clone();
        self.tasks.spawn("keys by the API", async move {
            tokio::select! {
                () = watch.follow() => {}
                () = stopping.stopping() => {}
            }
        });
    }

    /// Start hooks, then the side process; and whoever watches over them. SSH is served meanwhile.
    fn start_up(&self, config: &Config) {
        let uid = config.user.uid.as_raw();
        let log = |directory: &Path| directory.join("hooks.log");
        let hooks = Hooks {
            directories: config.hooks.clone(),
            home: config.user.home.clone(),
            limit: config.hook_timeout,
            logs: vec![
                log(&config.user.home.join(home::STATE)),
                log(&runtime_dir::path(uid)),
            ],
        };
        let (side, tasks) = (self.side.clone(), self.tasks.clone());
        let (condition, reaper) = (
            self.workspace.condition.clone(),
            self.workspace.reaper.clone(),
        );
        self.tasks.spawn("start-up", async move {
            hooks
                .run(condition.clone(), reaper.clone(), tasks.clone())
                .await;
            if !tasks.is_draining() {
                side.run(&condition.environment(), &reaper).await;
            }
        });
        let condition = self.workspace.condition.clone();
        let watch = Arc::clone(&self.life);
        let watch = watch.watch_memory(Memory::default(), condition, self.tasks.clone());
        self.tasks.spawn("memory", watch);
    }

    /// What `podssh status` asks. Without it the workspace is served all the same.
    fn answer_control(&self, config: &Config, sockets: &Sockets, server: &Arc<Server>) {
        let uid = config.user.uid.as_raw();
        match control::Control::bind(config.control.as_deref(), uid) {
            Err(lack) => tracing::warn!("{lack}"),
            Ok(control) => {
                let told = control::Told {
                    server: Arc::clone(server),
                    condition: self.workspace.condition.clone(),
                    side: self.side.clone(),
                    tasks: self.tasks.clone(),
                    listen: sockets.ssh.iter().map(|bound| bound.address).collect(),
                    user: config.user.clone(),
                };
                let serve = control.serve(told, self.tasks.clone());
                self.tasks.spawn("control", serve);
            }
        }
    }

    /// Begin accepting, then say so.
    fn listen(
        &self,
        config: &Config,
        sockets: Sockets,
        server: &Arc<Server>,
        workers: &Arc<Workers>,
    ) -> Result<(), Failed> {
        let listen: Vec<_> = sockets.ssh.iter().map(|bound| bound.address).collect();
        let admin = sockets.admin.as_ref().map(|bound| bound.address);
        for bound in sockets.ssh {
            tracing::info!(listen = %bound.address, "accepting SSH connections");
            self.tasks.spawn(
                "accept",
                bound.serve(Arc::clone(server), Arc::clone(workers)),
            );
        }
        if let Some(bound) = sockets.admin {
            tracing::info!(admin = %bound.address, "answering /livez, /readyz, /metrics and /activity");
            let (metrics, tasks) = (Arc::clone(&self.metrics), self.tasks.clone());
            let reaper = self.workspace.reaper.clone();
            self.tasks.spawn(
                "admin",
                admin::serve(bound.into_listener(), metrics, reaper, tasks),
            );
        }
        let Some(path) = &config.ready_file else {
            return Ok(());
        };
        ready::write(path, &listen, admin).map_err(|error| {
            let message = format!("cannot write {} (--ready-file): {error}", path.display());
            Failed::new(exit_code::NO_INPUT, message)
        })
    }

    /// Two stages: drain until everybody has left or the grace time is nearly over, then end what
    /// is left.
    async fn stop(
        &self,
        told: Told,
        signals: &mut Signals,
        server: &Server,
        grace: Duration,
    ) -> u8 {
        let (reason, signal, mut code) = why(told);
        tracing::info!(reason, grace = grace.as_secs(), "draining");
        self.tasks.drain(&reason);
        self.life
            .record(|run| run.stopping = Some(reason.clone()))
            .await;
        let leaving = async {
            let its = self.side.stop(signal).await;
            code = if code == 0 { its } else { code };
            server.idle().await;
        };
        let patience = grace.saturating_sub(ENDING).max(grace / 2);
        let forced = tokio::select! {
            () = leaving => false,
            () = tokio::time::sleep(patience) => true,
            () = signals.again() => true,
        };
        self.tasks.stop(&reason);
        let ending = async { tokio::join!(self.side.end(), self.tasks.wait()) };
        let clean = tokio::time::timeout(FINAL, ending).await.is_ok();
        leftovers::end().await;
        self.life.record(|run| run.end(code)).await;
        self.plumbing.stop(&reason);
        tracing::info!(forced, clean, code, "stopped");
        code
    }
}

/// The reason in words, the signal for the side process, and the exit code so far.
fn why(told: Told) -> (String, Signal, u8) {
    match told {
        Told::Signal(signal) => (signal.as_str().to_owned(), signal, 0),
        Told::SideProcess(code) => (
            format!("its main program ended with {code}"),
            Signal::SIGTERM,
            code,
        ),
        Told::NoSideProcess(reason) => {
            tracing::error!("{reason}");
            let said = "its main program cannot be started".to_owned();
            (said, Signal::SIGTERM, exit_code::CONFIG)
        }
    }
}
