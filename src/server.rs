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
mod open;
mod penalties;
mod proxied;
mod roster;
mod startups;
mod stream;

use std::sync::Arc;

use crate::config::{Compat, Forwarding, Limits, Proxies};
use crate::descriptors;
use crate::keys::{HostKeys, Keys};
use crate::metrics::Metrics;
use crate::session::Workspace;
use crate::user::Demoted;

pub use accept::{Bound, bind};
use open::Connections;
use penalties::Penalties;
pub use roster::Present;
use roster::Roster;
use startups::Startups;

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    ssh: Arc<russh::server::Config>,
    workspace: Arc<Workspace>,
    keys: Arc<Keys>,
    forwarding: Forwarding,
    limits: Limits,
    metrics: Arc<Metrics>,
    proxies: Proxies,
    penalties: Penalties,
    startups: Startups,
    connections: Connections,
    roster: Roster,
}

/// How peers are met.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What may be forwarded.
    pub forwarding: Forwarding,
    /// Limits of a connection.
    pub limits: Limits,
    /// Whose word is believed on where a connection comes from.
    pub proxies: Proxies,
    /// Algorithms.
    pub compat: Compat,
}

impl Server {
    /// Needs the proof that nothing is served as root.
    pub fn new(
        _proof: Demoted,
        workspace: Arc<Workspace>,
        host_keys: &HostKeys,
        keys: Arc<Keys>,
        metrics: Arc<Metrics>,
        rules: Rules,
    ) -> Arc<Self> {
        let (limits, descriptors) = (rules.limits, descriptors::allowed());
        Arc::new(Self {
            ssh: Arc::new(algorithms::config(host_keys, &limits, rules.compat)),
            workspace,
            keys,
            forwarding: rules.forwarding,
            limits,
            metrics,
            proxies: rules.proxies,
            penalties: Penalties::default(),
            startups: Startups::new(limits.max_startups, descriptors),
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
