//! One SSH channel (RFC 4254 section 5) as its users see it: bytes in with credit on consumption,
//! bytes out within the peer's window, and what the peer asks of it meanwhile.
//!
//! The connection pushes into the [`Inbox`] and never waits for it, so a program that does not read
//! stalls its own channel only: the bytes it may be owed are bounded by the window, which opens
//! again only when [`Reader::consumed`] says so.
//! With `server/`, this is the only place that names the SSH library.

mod backlog;
pub mod flow;
mod inbox;
mod memory;
mod pace;
mod ssh;
mod writer;

pub use backlog::Backlog;
pub use inbox::{Control, Credit, Inbox, Reader, Request, Size};
pub use memory::{Output, Peer, pair};
pub use pace::Typing;
pub use ssh::{Channel, Table};
pub use writer::{Closed, Outcome, Writer};
