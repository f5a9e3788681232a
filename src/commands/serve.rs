//! `podssh serve`: the start-up story, in order.
//!
//! Everything before the runtime is single-threaded, so that giving up root needs no thought about
//! other threads; the listeners are bound before it and nothing is accepted until after it.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use super::{Failed, ready, report};
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::keys::{self, HostKeyPlaces, HostKeys, KeyErrorKind, Keys, Sources};
use crate::metrics::Metrics;
use crate::server::{self, Bound, Server, Workers};
use crate::session::Workspace;
use crate::shutdown::Tasks;
use crate::workspace::reaper::Reaper;
use crate::workspace::side_process::SideProcess;
use crate::workspace::signals::{Signals, Told};
use crate::{admin, allocator, exit_code, logging};

/// What the last tasks may take after the grace time.
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
    let (format, level) = config::log_settings(&args).map_err(wrong)?;
    logging::start(format, level);
    let check = args.check;
    let config = Config::parse(args, |name| std::env::var_os(name)).map_err(wrong)?;
    if check {
        return checked(&config);
    }
    let inherited = std::env::vars_os().collect();
    let sockets = Sockets::bind(&config)?;
    let proof = config.user.demote();
    let proof = proof.map_err(|error| Failed::new(exit_code::NO_PERMISSION, error))?;
    for repair in keys::repair_modes(&config.user.home, config.user.uid.as_raw()) {
        let (path, from, to) = (repair.path.display(), repair.from, repair.to);
        tracing::info!(%path, from = format!("{from:o}"), to = format!("{to:o}"), "mode repaired");
    }
    let host_keys = load_host_keys(&config)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(broken)?;
    let workers = Arc::new(Workers::start().map_err(broken)?);
    let daemon = Daemon::new(&config, inherited);
    let server = Server::new(
        proof,
        Arc::clone(&daemon.workspace),
        &host_keys,
        Arc::clone(&daemon.keys),
        config.forwarding.clone(),
        config.limits,
        Arc::clone(&daemon.metrics),
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
    }
}

/// Every listener, bound and silent.
struct Sockets {
    ssh: Vec<Bound>,
    admin: Option<Bound>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, Failed> {
        let bind = |flag: &str, address: SocketAddr| {
            server::bind(address).map_err(|error| {
                let message = format!(
                    "cannot listen on {address} ({flag}): {error}; give another address, or stop what has it"
                );
                Failed::new(exit_code::UNAVAILABLE, message)
            })
        };
        let ssh = config
            .listen
            .iter()
            .map(|address| bind("--listen", *address));
        let ssh = ssh.collect::<Result<_, _>>()?;
        let admin = config
            .admin_listen
            .map(|address| bind("--admin-listen", address))
            .transpose()?;
        Ok(Self { ssh, admin })
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
}

impl Daemon {
    fn new(config: &Config, inherited: Vec<(OsString, OsString)>) -> Self {
        let tasks = Tasks::default();
        let workspace = Workspace {
            user: config.user.clone(),
            inherited,
            rules: config.environment.clone(),
            motd: config.motd.clone(),
            reaper: Reaper::default(),
            tasks: tasks.clone(),
        };
        let keys = Keys::start(sources(config));
        Self {
            tasks,
            plumbing: Tasks::default(),
            metrics: Arc::new(Metrics::of(Arc::clone(&keys))),
            keys,
            workspace: Arc::new(workspace),
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
        self.listen(config, sockets, server, workers)?;
        let mut side =
            SideProcess::start(&config.command, &self.workspace.reaper).map_err(wrong)?;
        let told = signals.until_told(side.as_mut(), &self.keys).await;
        let code = self
            .stop(told, side.as_mut(), &mut signals, server, config.grace)
            .await;
        Ok(code)
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
            tracing::info!(admin = %bound.address, "answering /livez, /readyz and /metrics");
            let (metrics, tasks) = (Arc::clone(&self.metrics), self.tasks.clone());
            self.tasks
                .spawn("admin", admin::serve(bound.into_listener(), metrics, tasks));
        }
        let Some(path) = &config.ready_file else {
            return Ok(());
        };
        ready::write(path, &listen, admin).map_err(|error| {
            let message = format!("cannot write {} (--ready-file): {error}", path.display());
            Failed::new(exit_code::NO_INPUT, message)
        })
    }

    /// Two stages: drain until everybody has left or the grace time is over, then end what is left.
    async fn stop(
        &self,
        told: Told,
        side: Option<&mut SideProcess>,
        signals: &mut Signals,
        server: &Server,
        grace: Duration,
    ) -> u8 {
        let (reason, mut code) = match told {
            Told::Signal(name) => (name.to_owned(), 0),
            Told::SideProcess(code) => (format!("its main program ended with {code}"), code),
        };
        tracing::info!(reason, grace = grace.as_secs(), "draining");
        self.tasks.drain(&reason);
        let leaving = async {
            if let Some(side) = side {
                code = side.stop().await;
            }
            server.idle().await;
        };
        let forced = tokio::select! {
            () = leaving => false,
            () = tokio::time::sleep(grace) => true,
            () = signals.again() => true,
        };
        self.tasks.stop(&reason);
        let clean = tokio::time::timeout(FINAL, self.tasks.wait()).await.is_ok();
        self.plumbing.stop(&reason);
        tracing::info!(forced, clean, code, "stopped");
        code
    }
}
