//! SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions, on one channel.
//!
//! `input` cuts bytes into packets, `request` makes them values, `engine` carries them out in the
//! order they came, `output` holds the replies, `serve` moves all of it between the channel and the
//! engine, which runs aside (`workers`) since its calls may block. Requests that are there already
//! go to the engine together; while their replies are sent, the next ones are carried out.
//! Memory is bounded by the channel's window and three batches of replies; no task is spawned, no
//! directory changed, no descriptor inherited.

use std::io;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit};

use crate::workers::Lost;

mod attributes;
mod codec;
mod copy;
mod engine;
mod extensions;
mod files;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod handles;
mod home;
mod input;
mod listing;
mod longname;
mod names;
mod output;
mod request;
mod serve;
mod status;
mod tree;
mod writes;
mod zone;

pub use serve::serve;

/// How a session is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Start directory: relative paths begin here and REALPATH `.` is it. The root directory where
    /// it cannot be opened.
    pub home: PathBuf,
}

/// Handles a session may have open: half of what the process may, since other sessions share it,
/// and a directory takes two descriptors.
fn handle_limit() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((256, 256));
    usize::try_from(soft / 2)
        .unwrap_or(MAX_HANDLES)
        .clamp(16, MAX_HANDLES)
}

/// Handles of one session whatever the process may open.
const MAX_HANDLES: usize = 4096;

/// Why a session ended before the client's end of file. The caller reports exit status 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The channel closed while answers were outstanding.
    #[error("the channel closed during the session")]
    Closed,
    /// The first packet was not INIT.
    #[error("the first packet is not INIT")]
    NotInitialised,
    /// A packet too short for the id of its request.
    #[error("a packet too short to have an id")]
    NoId,
    /// A packet of no bytes, which has no kind.
    #[error("an empty packet")]
    Empty,
    /// A packet of more bytes than any request needs.
    #[error("a packet of {0} bytes, more than the limit of 262144")]
    Oversized(u32),
    /// Neither the home nor the root directory could be opened.
    #[error("the start directory cannot be opened")]
    Home(#[source] io::Error),
    /// A defect of ours; ends this session only.
    #[error("the session's worker failed")]
    Worker(#[from] Lost),
}
