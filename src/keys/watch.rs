//! Follows the key sources and publishes each change as a new [`KeySet`]. The only place that names
//! the file-watching library.
//!
//! The kubelet changes a Secret mount by renaming a new `..data` link over the old one, so it is
//! the directory that is watched, never a file; a poll is the net below (overlay and network file
//! systems lose events). Reading happens on the blocking pool: a home on NFS may hang.

use std::collections::HashMap;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};

use super::error::KeyError;
use super::feed::Feed;
use super::key_set::{KeySet, Sources};

/// The kubelet's swap is five events in well under a millisecond; read once, after the last.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How stale a change may get where the file system tells nobody.
const POLL: Duration = Duration::from_secs(30);
/// The same when not even a watch could be set (inotify limits).
const POLL_UNWATCHED: Duration = Duration::from_secs(1);

/// The current key set, and whoever wants to hear of the next one.
#[derive(Debug)]
pub struct Keys {
    sources: Sources,
    current: watch::Sender<Arc<KeySet>>,
    errors: Mutex<Vec<KeyError>>,
    wake: Arc<Notify>,
}

impl Keys {
    /// Read the sources for the first time.
    pub fn start(sources: Sources) -> Arc<Self> {
        let (set, errors) = KeySet::load(&sources, None);
        report(&set, &errors, &[]);
        let (current, _) = watch::channel(Arc::new(set));
        let wake = Arc::new(Notify::new());
        Arc::new(Self {
            sources,
            current,
            errors: Mutex::new(errors),
            wake,
        })
    }

    /// The key set in force.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.borrow())
    }

    /// The source that is told, if there is one.
    pub fn feed(&self) -> Option<Arc<Feed>> {
        self.sources.feed.clone()
    }

    /// Hear of every key set that differs from the one before.
    pub fn subscribe(&self) -> watch::Receiver<Arc<KeySet>> {
        self.current.subscribe()
    }

    /// What is wrong with the sources now.
    pub fn errors(&self) -> Vec<KeyError> {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Have [`follow`](Self::follow) read everything again, as on SIGHUP.
    pub fn reload(&self) {
        self.wake.notify_one();
    }

    /// Follow the sources until `stop` is ready. The caller spawns this.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut watches = Watches::new(&self.sources, &self.wake);
        let mut stop = std::pin::pin!(stop);
        loop {
            // Watch first, then read: a change in between is an event, not a loss.
            let complete = watches.renew(&self.sources);
            let keys = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || keys.read())
                .await
                .is_err()
            {
                tracing::error!("reading the keys failed; the last key set stays in force");
            }
            let poll = if complete { POLL } else { POLL_UNWATCHED };
            tokio::select! {
                () = &mut stop => return,
                () = self.wake.notified() => tokio::time::sleep(DEBOUNCE).await,
                () = tokio::time::sleep(poll) => {}
            }
        }
    }

    fn read(&self) {
        let (set, errors) = KeySet::load(&self.sources, Some(&self.current()));
        let mut known = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = !set.says_the_same_as(&self.current());
        if changed || errors != *known {
            report(&set, &errors, &known);
        }
        *known = errors;
        drop(known);
        if changed {
            self.current.send_replace(Arc::new(set));
        }
    }
}

/// One line for the set, and one for each problem not yet reported.
fn report(set: &KeySet, errors: &[KeyError], known: &[KeyError]) {
    tracing::info!(
        generation = set.generation(),
        keys = set.len(),
        stale_sources = set.stale_sources(),
        problems = errors.len(),
        "key set read"
    );
    for error in errors.iter().filter(|error| !known.contains(error)) {
        tracing::warn!(kind = error.kind.as_label(), "{error}");
    }
}

/// The directories being watched; a directory that was replaced is another one of the same name.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    set: HashMap<PathBuf, (u64, u64)>,
}

impl Watches {
    fn new(sources: &Sources, wake: &Arc<Notify>) -> Self {
        let (paths, wake) = (targets(sources), Arc::clone(wake));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be a queue overflow: something was missed, so look.
            if event.map_or(true, |event| matters(&event, &paths)) {
                wake.notify_one();
            }
        });
        let watcher = watcher.map_err(|error| {
            tracing::warn!("cannot watch the key sources, polling every second instead: {error}");
        });
        Self {
            watcher: watcher.ok(),
            set: HashMap::new(),
        }
    }

    /// Watch what exists now; whether every source is watched.
    fn renew(&mut self, sources: &Sources) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let wanted: Vec<PathBuf> = targets(sources)
            .iter()
            .flat_map(|path| places(path))
            // Strict modes ask about the home itself too.
            .chain(sources.home_path().map(|_| sources.home.clone()))
            .collect();
        self.set.retain(|path, identity| {
            let keep = wanted.contains(path) && identify(path) == Some(*identity);
            if !keep {
                let _ = watcher.unwatch(path);
            }
            keep
        });
        let mut complete = true;
        for path in wanted {
            if self.set.contains_key(&path) {
                continue;
            }
            let Some(identity) = identify(&path) else {
                continue;
            };
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.set.insert(path, identity)),
                Err(error) => {
                    tracing::debug!(path = %path.display(), "cannot watch: {error}");
                    complete = false;
                }
            }
        }
        complete
    }
}

/// Every source, as named and where its links lead.
fn targets(sources: &Sources) -> Vec<PathBuf> {
    let mut paths = sources.paths();
    let real: Vec<PathBuf> = paths
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    paths.extend(real);
    paths
}

/// The directories whose events tell of `path`: itself, and its closest existing parent.
fn places(path: &Path) -> Vec<PathBuf> {
    let itself = path.is_dir().then(|| path.to_owned());
    let parent = path
        .ancestors()
        .skip(1)
        .find(|parent| parent.is_dir())
        .map(Path::to_owned);
    itself.into_iter().chain(parent).collect()
}

fn identify(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path)
        .ok()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether an event is about a source. Our own reading must not wake us, nor the rest of the home.
fn matters(event: &Event, sources: &[PathBuf]) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    if matches!(event.kind, EventKind::Access(_)) && event.kind != written {
        return false;
    }
    let about = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name == "..data")
            || sources
                .iter()
                .any(|source| path.starts_with(source) || source.starts_with(path))
    };
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(about)
}

#[cfg(test)]
mod tests;
