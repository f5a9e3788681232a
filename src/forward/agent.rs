//! Agent forwarding: a socket of the connection's own, and one path that stays the same.
//!
//! An editor's server keeps the environment of the first connection that started it, so each
//! session is given the stable path: a link to the socket of the connection that asked last.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::remote::{Listener, listen_unix};
use crate::runtime_dir;

/// The sockets of all connections that forward an agent now, the last to ask at the end.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A forwarded agent: listens while it lives.
#[derive(Debug)]
pub struct Agent {
    /// Where programs of the workspace connect.
    pub listener: Listener,
    link: PathBuf,
    target: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let mut live = live();
        live.retain(|target| *target != self.target);
        // Another connection may have taken the link over since. If not, one that asked before gets
        // it back: its programs must not lose their agent because somebody else came and went.
        if std::fs::read_link(&self.link).is_ok_and(|target| target == self.target) {
            let moved = live.last().map(|target| point(&self.link, target));
            if !matches!(moved, Some(Ok(()))) {
                let _ = std::fs::remove_file(&self.link);
            }
        }
    }
}

/// The stable path: `SSH_AUTH_SOCK` of every session of `uid` that forwards an agent.
pub fn agent_socket(uid: u32) -> PathBuf {
    runtime_dir::path(uid).join("agent.sock")
}

impl Agent {
    /// Bind a socket for one connection and point the stable path at it.
    pub fn bind(uid: u32) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let directory = runtime_dir::prepare(uid)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let target = directory.join(format!("agent.{}.{number}", std::process::id()));
        // Whatever bears our number was left by one before us that was killed: as process 1 of a
        // container, each has had the same.
        let _ = std::fs::remove_file(&target);
        let listener = listen_unix(&target)?;
        let link = agent_socket(uid);
        let mut live = live();
        point(&link, &target)?;
        live.push(target.clone());
        Ok(Self {
            listener,
            link,
            target,
        })
    }
}

/// Make `link` lead to `target`, whatever it led to, without a moment in between. Whoever calls this
/// holds [`LIVE`].
fn point(link: &Path, target: &Path) -> io::Result<()> {
    let fresh = target.with_extension("link");
    let _ = std::fs::remove_file(&fresh); // as above
    symlink(target, &fresh)?;
    std::fs::rename(fresh, link)
}
