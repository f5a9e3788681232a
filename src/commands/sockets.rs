//! The listeners of `podssh serve`.

use std::net::SocketAddr;

use super::Failed;
use crate::config::Config;
use crate::exit_code;
use crate::server::{self, Bound};

/// Every listener, bound and silent.
pub(super) struct Sockets {
    pub ssh: Vec<Bound>,
    pub admin: Option<Bound>,
}

impl Sockets {
    pub(super) fn bind(config: &Config) -> Result<Self, Failed> {
        let bind = |flag: &str, address: SocketAddr| {
            server::bind(address).map_err(|error| {
                let message = format!(
                    "cannot listen on {address} ({flag}): {error}; give another address, or stop what has it"
                );
                Failed::new(exit_code::UNAVAILABLE, message)
            })
        };
        let ssh = config
            .listen
            .iter()
            .map(|address| bind("--listen", *address));
        let ssh = ssh.collect::<Result<_, _>>()?;
        let admin = config
            .admin_listen
            .map(|address| bind("--admin-listen", address))
            .transpose()?;
        Ok(Self { ssh, admin })
    }
}
