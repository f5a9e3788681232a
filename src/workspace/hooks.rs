//! Start hooks: the image's and its child images', docker-stacks', then the user's own, one after
//! the other. SSH is served meanwhile, so a hook that hangs locks nobody out; each has a time limit.
//! `*.sh` is sourced, as docker-stacks does, and what it exports reaches later hooks, the side
//! process and sessions; functions and shell options do not. Everything runs as the workspace user.

mod find;
mod output;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use tokio::net::unix::pipe::Receiver;

use self::find::{Hook, Way};
use self::output::{Log, Output, read_exports};
use super::condition::{Condition, HookReport, Outcome, Variables};
use super::reaper::{Ended, Reaper, Started};
use super::spawn::{Standard, spawn};
use crate::shutdown::Tasks;

/// The user's own hook, below the home.
pub const ON_START: &str = ".config/podssh/on-start";
/// What a hook has to end by itself once it was told to.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long a hook that has ended may be silent while something it started holds its output.
const SILENCE: Duration = Duration::from_millis(500);
/// How much of a failed hook's output goes into the log.
const LOGGED: usize = 2000;
/// Sources `$0` with its output on standard error, then hands over what it exports.
const SOURCE: &str =
    r#"exec 3>&1 1>&2; . "$0" 3>&-; status=$?; cat /proc/self/environ >&3; exit "$status""#;

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// Directories of hooks, in this order.
    pub directories: Vec<PathBuf>,
    /// The user's home: where hooks run, and where the last one is.
    pub home: PathBuf,
    /// How long each may take.
    pub limit: Duration,
    /// Where their output is kept, the first that can be written.
    pub logs: Vec<PathBuf>,
}

impl Hooks {
    /// Run them all, reporting to `condition`; ends early when the daemon drains.
    pub async fn run(self, condition: Condition, reaper: Reaper, tasks: Tasks) {
        let hooks = find::find(&self.directories, &self.home.join(ON_START));
        let reports = hooks.iter().map(|hook| HookReport::new(&hook.path));
        condition.expect_hooks(reports.collect());
        let mut log = Log::default();
        if !hooks.is_empty() {
            log = Log::create(&self.logs).await;
        }
        for (index, hook) in hooks.iter().enumerate() {
            if tasks.is_draining() {
                break;
            }
            condition.report_hook(index, Outcome::Running, Duration::ZERO);
            let (started, mut output) = (Instant::now(), Output::default());
            let run = self.one(hook, &condition, &reaper, &tasks, &mut output);
            let outcome = run.await;
            let took = started.elapsed();
            tell(hook, &outcome, took, &output);
            log.add(&hook.path, &outcome, took, &output).await;
            condition.report_hook(index, outcome, took);
        }
        condition.settle();
    }

    async fn one(
        &self,
        hook: &Hook,
        condition: &Condition,
        reaper: &Reaper,
        tasks: &Tasks,
        output: &mut Output,
    ) -> Outcome {
        let words: Vec<OsString> = match &hook.way {
            Way::Not(reason) => return Outcome::NotRun(reason.clone()),
            Way::Source => vec![
                shell().into(),
                "-c".into(),
                SOURCE.into(),
                (&hook.path).into(),
            ],
            Way::Execute => vec![(&hook.path).into()],
        };
        let sourced = matches!(hook.way, Way::Source);
        let (started, streams) = match self.spawn(words, sourced, condition, reaper) {
            Ok(spawned) => spawned,
            Err(error) => return Outcome::NotRun(explained(&error)),
        };
        let mut exported = Vec::new();
        let outcome = {
            let mut reading = pin!(async {
                tokio::join!(output.read(&streams.said), async {
                    if let Some(exports) = &streams.exports {
                        exported = read_exports(exports).await;
                    }
                });
            });
            let mut ending = pin!(end(started, self.limit, tasks));
            tokio::select! {
                outcome = &mut ending => {
                    // What it leaves running may hold the pipe for ever.
                    let _ = tokio::time::timeout(SILENCE, &mut reading).await;
                    outcome
                }
                () = &mut reading => ending.await,
            }
        };
        output::discard(streams.said, tasks);
        if !exported.is_empty() {
            condition.set_environment(exported);
        }
        outcome
    }

    fn spawn(
        &self,
        words: Vec<OsString>,
        sourced: bool,
        condition: &Condition,
        reaper: &Reaper,
    ) -> io::Result<(Started, Streams)> {
        let (said, stderr) = io::pipe()?;
        let (mut exports, mut stdout) = (None, stderr.try_clone()?);
        if sourced {
            let ours;
            (ours, stdout) = io::pipe()?;
            exports = Some(Receiver::from_owned_fd(ours.into())?);
        }
        let home = Path::new(if self.home.is_dir() {
            self.home.as_os_str()
        } else {
            "/".as_ref()
        });
        let program = PathBuf::from(words.first().cloned().unwrap_or_default());
        let variables = Variables::clone(&condition.environment());
        let nothing = File::open("/dev/null")?;
        let started = reaper.start(|| {
            let streams = Standard::Each([nothing.as_fd(), stdout.as_fd(), stderr.as_fd()]);
            spawn(&program, words, variables, home, streams)
        })?;
        let said = Receiver::from_owned_fd(said.into())?;
        Ok((started, Streams { said, exports }))
    }
}

/// Our ends of a hook's pipes.
struct Streams {
    said: Receiver,
    exports: Option<Receiver>,
}

/// For hooks that are sourced.
fn shell() -> &'static str {
    let mut shells = ["/bin/bash", "/bin/sh"].into_iter();
    shells
        .find(|shell| Path::new(shell).exists())
        .unwrap_or("/bin/sh")
}

/// Wait for its end, at most as long as it may take; then its whole group is ended.
async fn end(mut started: Started, limit: Duration, tasks: &Tasks) -> Outcome {
    let late = tokio::select! {
        ended = &mut started.ended => return outcome(&ended),
        () = tokio::time::sleep(limit) => Outcome::TimedOut,
        () = tasks.draining() => Outcome::NotRun("stopped with the workspace".to_owned()),
    };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // It may have ended just now.
        let _ = killpg(started.pid, signal);
        if tokio::time::timeout(LAST_WORDS, &mut started.ended)
            .await
            .is_ok()
        {
            break;
        }
    }
    // What its own end has left of the group.
    let _ = killpg(started.pid, Signal::SIGKILL);
    late
}

fn outcome<E>(ended: &Result<Ended, E>) -> Outcome {
    match ended {
        Ok(Ended::Exited(0)) => Outcome::Succeeded,
        Ok(Ended::Exited(code)) => Outcome::Failed(*code),
        Ok(Ended::Killed { signal, .. }) => Outcome::Killed(*signal),
        // The reaper goes away only with the whole daemon.
        Err(_) => Outcome::NotRun("stopped with the workspace".to_owned()),
    }
}

fn explained(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOEXEC) => "has no #! line: begin it with #!/bin/sh".to_owned(),
        Some(Errno::ENOENT) => "the program on its #! line is missing".to_owned(),
        _ => format!("cannot be run: {error}"),
    }
}

fn tell(hook: &Hook, outcome: &Outcome, took: Duration, output: &Output) {
    let (path, seconds) = (hook.path.display(), took.as_secs_f64());
    if *outcome == Outcome::Succeeded {
        tracing::info!(hook = %path, seconds, "start hook succeeded");
    } else {
        let output = output.end(LOGGED);
        tracing::warn!(hook = %path, seconds, %outcome, output, "start hook failed");
    }
}
