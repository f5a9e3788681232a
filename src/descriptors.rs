//! How many descriptors the process may have: as many as the system lets it, since all sessions are
//! in one process. Its children get the limit that it was started with, which old programs rely on.

use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than this many nobody needs, and some systems would allow a thousand million.
const MOST: u64 = 1 << 16;
/// Where the limit cannot be told.
const UNKNOWN: usize = 256;

/// The limit at start: soft and hard.
static GIVEN: OnceLock<(u64, u64)> = OnceLock::new();

/// Raise the soft limit as far as allowed. Without it things work, with fewer sessions.
pub fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard.min(MOST) && setrlimit(Resource::RLIMIT_NOFILE, hard.min(MOST), hard).is_ok() {
        // Nobody else sets it.
        let _ = GIVEN.set((soft, hard));
    }
}

/// Give a child the limit back. Async-signal-safe: for between fork and exec.
pub fn give_back() -> Result<(), Errno> {
    match GIVEN.get() {
        Some((soft, hard)) => setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard),
        None => Ok(()),
    }
}

/// How many there may be now.
pub fn allowed() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| usize::try_from(soft));
    limit.map_or(UNKNOWN, |soft| soft.unwrap_or(usize::MAX))
}
