//! The home on a volume: empty at first, kept for ever after. Gives it the files of the image's
//! skeletons, each once, so that an old home gets what a newer image adds and nothing that its user
//! changed or deleted comes back. Whatever fails is a fault to tell, never a reason not to serve.

mod ledger;
mod seed;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use self::ledger::Ledger;

/// What we keep ourselves, below the home.
pub const STATE: &str = ".local/state/podssh";
const LEDGER: &str = "seeded";
const LOCK: &str = "lock";
/// How long another daemon on the same volume may be at it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the home was found and what was done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Files it was given, relative to it.
    pub seeded: Vec<PathBuf>,
    /// What is wrong, one sentence each, with what to do.
    pub faults: Vec<String>,
}

/// Make what is missing of our own directory, and give `home` what it was never given of
/// `skeletons`, of which the first wins.
pub fn prepare(home: &Path, skeletons: &[PathBuf]) -> Prepared {
    let mut prepared = Prepared::default();
    if let Err(fault) = fill(home, skeletons, &mut prepared) {
        prepared.faults.push(fault);
    }
    prepared
}

fn fill(home: &Path, skeletons: &[PathBuf], prepared: &mut Prepared) -> Result<(), String> {
    let state = home.join(STATE);
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&state);
    made.map_err(|error| unwritable(home, &error))?;
    let _lock = lock(&state.join(LOCK)).map_err(|error| unwritable(home, &error))?;
    let mut ledger = Ledger::load(&state.join(LEDGER))?;
    seed::seed(home, skeletons, &mut ledger, prepared);
    ledger.save().map_err(|error| unwritable(home, &error))
}

fn unwritable(home: &Path, error: &io::Error) -> String {
    let path = home.display();
    if !home.is_dir() {
        return format!("{path}: the home directory is missing; mount its volume or give --home");
    }
    let id = nix::unistd::geteuid();
    let fix = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => "delete something, or make its volume larger",
        Some(Errno::EROFS) => "mount its volume without readOnly",
        _ => "set the pod's fsGroup, or give the volume's top directory to this user",
    };
    format!("{path}: cannot be written by uid {id}: {error}; {fix}")
}

/// One daemon at a time. A file system that cannot lock has to do without.
fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    let deadline = Instant::now() + PATIENCE;
    let mut file = file;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = back,
            Err((_, Errno::EWOULDBLOCK)) => {
                let text = "another podssh is filling it and does not end";
                return Err(io::Error::other(text));
            }
            Err(_) => return Ok(None),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests;
