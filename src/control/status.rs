//! What `podssh status` tells, put together when somebody asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::server::{Present, Server};
use crate::shutdown::Tasks;
use crate::user::User;
use crate::workspace::condition::{Condition, HookReport};
use crate::workspace::last_end::LastEnd;
use crate::workspace::side_process::{SideProcess, State};

/// How the workspace is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of podssh.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// `serving`, or `draining`
    pub state: String,
    /// Why it drains.
    pub reason: Option<String>,
    /// Start of the daemon, RFC 3339.
    pub started: String,
    /// Seconds since then.
    pub uptime: u64,
    /// Where SSH is answered.
    pub listen: Vec<String>,
    /// The workspace user.
    pub user: String,
    /// Its home.
    pub home: Home,
    /// The open connections.
    pub connections: Vec<Present>,
    /// The image's main program.
    pub side_process: Side,
    /// Start hooks in their order.
    pub hooks: Vec<HookReport>,
    /// How the run before this one ended.
    pub last_end: LastEnd,
    /// Processes killed for lack of memory since the start.
    pub memory_kills: u64,
}

/// The home and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Where it is.
    pub path: String,
    /// What is wrong with it, a sentence each.
    pub faults: Vec<String>,
}

/// The side process and where it is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its command in one line; empty where there is none.
    pub command: String,
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: State,
}

/// Those who know.
#[derive(Debug)]
pub struct Told {
    /// Who is connected.
    pub server: Arc<Server>,
    /// What happened.
    pub condition: Condition,
    /// The image's main program.
    pub side: SideProcess,
    /// Whether the daemon drains.
    pub tasks: Tasks,
    /// Where SSH is answered.
    pub listen: Vec<SocketAddr>,
    /// Who is served.
    pub user: User,
}

impl Told {
    /// As it is now.
    pub fn status(&self) -> Status {
        let draining = self.tasks.is_draining();
        let uptime = self.condition.uptime();
        let started = SystemTime::now().checked_sub(uptime);
        let started = started.unwrap_or(SystemTime::UNIX_EPOCH);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: if draining { "draining" } else { "serving" }.to_owned(),
            reason: draining.then(|| self.tasks.reason()),
            started: humantime::format_rfc3339_seconds(started).to_string(),
            uptime: uptime.as_secs(),
            listen: self.listen.iter().map(ToString::to_string).collect(),
            user: self.user.name.clone(),
            home: Home {
                path: self.user.home.display().to_string(),
                faults: self.condition.home_faults().to_vec(),
            },
            connections: self.server.present(),
            side_process: Side {
                command: self.side.command(),
                state: self.side.state(),
            },
            hooks: self.condition.hooks(),
            last_end: self.condition.last_end().clone(),
            memory_kills: self.condition.memory_kills(),
        }
    }
}
