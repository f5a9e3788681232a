//! The daemon while it runs: what it starts, what it listens on, and how it stops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::serve::broken;
use super::sockets::Sockets;
use super::{Failed, ready};
use crate::cluster::KeyWatch;
use crate::config::Config;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::server::Server;
use crate::session::Workspace;
use crate::shutdown::Tasks;
use crate::workers::Workers;
use crate::workspace::condition::Condition;
use crate::workspace::hooks::Hooks;
use crate::workspace::life::Life;
use crate::workspace::memory::Memory;
use crate::workspace::reaper::Reaper;
use crate::workspace::side_process::SideProcess;
use crate::workspace::signals::{Signals, Told};
use crate::workspace::{home, leftovers};
use crate::{admin, control, exit_code, runtime_dir};

/// What is kept of the grace time for ending what has not left by itself.
const ENDING: Duration = Duration::from_secs(10);
/// What the last tasks may take of that.
const FINAL: Duration = Duration::from_secs(6);

/// What lives as long as the daemon.
pub(super) struct Daemon {
    tasks: Tasks,
    /// Tasks that outlive the others: a session's end is told by the reaper.
    plumbing: Tasks,
    pub(super) keys: Arc<Keys>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) workspace: Arc<Workspace>,
    side: SideProcess,
    life: Arc<Life>,
}

impl Daemon {
    pub(super) fn new(config: &Config, condition: Condition, keys: Arc<Keys>) -> Self {
        let tasks = Tasks::default();
        let workspace = Workspace {
            user: config.user.clone(),
            condition,
            rules: config.environment.clone(),
            motd: config.motd.clone(),
            reaper: Reaper::default(),
            tasks: tasks.clone(),
        };
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

    /// Serve until told to stop; the exit code.
    pub(super) async fn serve(
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
