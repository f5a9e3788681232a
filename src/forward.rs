//! Forwarding (RFC 4254 section 7, OpenSSH's PROTOCOL for unix sockets): streams between the peer
//! and sockets in the workspace.
//!
//! What may be forwarded is decided by `config::Forwarding` and the key's options, before anything
//! is dialled or bound.

mod agent;
mod local;
mod remote;
mod splice;
mod x11;

pub use agent::{Agent, agent_socket};
pub use local::{Destination, Refused, dial};
pub use remote::{Listener, Origin, listen_tcp, listen_unix};
pub use splice::{Socket, splice};
pub use x11::X11;
