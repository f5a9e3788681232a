//! From an accepted stream to authenticated channels: accept, limits, handshake, login, dispatch.
//!
//! With `channel`, the only part that names the SSH library.

mod accept;
mod algorithms;
mod auth;
mod callbacks;
mod connection;
mod forwards;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod handler;
mod identity;
mod limits;
mod roster;
mod stream;

use std::sync::Arc;

use crate::config::{Forwarding, Limits};
use crate::keys::{HostKeys, Keys};
use crate::metrics::Metrics;
use crate::session::Workspace;
use crate::user::Demoted;

pub use accept::{Bound, bind};
use limits::{Connections, Startups};
pub use roster::Present;
use roster::Roster;

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    ssh: Arc<russh::server::Config>,
    workspace: Arc<Workspace>,
    keys: Arc<Keys>,
    forwarding: Forwarding,
    limits: Limits,
    metrics: Arc<Metrics>,
    startups: Startups,
    connections: Connections,
    roster: Roster,
}

impl Server {
    /// Needs the proof that nothing is served as root.
    pub fn new(
        _proof: Demoted,
        workspace: Arc<Workspace>,
        host_keys: &HostKeys,
        keys: Arc<Keys>,
        forwarding: Forwarding,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            ssh: Arc::new(algorithms::config(host_keys, &limits)),
            workspace,
            keys,
            forwarding,
            limits,
            metrics,
            startups: Startups::new(limits.max_startups),
            connections: Connections::default(),
            roster: Roster::default(),
        })
    }

    /// The open connections.
    pub fn present(&self) -> Vec<Present> {
        self.roster.present()
    }

    /// Resolves when no connection is left.
    pub async fn idle(&self) {
        self.connections.none_left().await;
    }
}
