//! Workspaces as Kubernetes objects, and what is done with them in a cluster. The only folder that names
//! the Kubernetes libraries.
//!
//! ```text
//! Workspace          every choice, checked        name, people, workspace
//! objects(&it)       typed objects, in order      one file a kind; pod -> container, volumes; route/
//! render(&it)        YAML                          yaml
//! Connection         a cluster, as kubectl has it  apply, roster, identity, shared, wait (stage), listing
//! Trouble            one sentence                  what went wrong, and what to do
//! KeyWatch           the daemon's only use of it   one Secret, followed
//! ```
//!
//! Why each field is as it is stands at the line that sets it, and nowhere else. `manifests/` is what this
//! renders, committed; tests/manifests fails when they differ.

mod access;
mod apply;
mod connection;
mod container;
mod diff;
mod disruption_budget;
mod identity;
mod key_watch;
mod listing;
mod name;
mod network_policy;
mod objects;
mod pauses;
mod people;
mod pod;
mod removal;
mod roster;
mod route;
mod secrets;
mod service;
mod service_account;
mod shared;
mod stage;
mod stateful_set;
mod trouble;
mod volumes;
mod wait;
mod workspace;
mod yaml;

pub use apply::{Applied, Change, How};
pub use connection::{Connection, Place};
pub use diff::diff;
pub use key_watch::KeyWatch;
pub use listing::Listed;
pub use name::{Name, Namespace};
pub use objects::{Object, objects, render};
pub use people::{People, check_name};
pub use roster::Edit;
pub use route::Gateway;
pub use shared::Listing;
pub use stage::{Doing, Stage};
pub use trouble::Trouble;
pub use wait::Ready;
pub use workspace::{APP, Security, Workspace};
pub use yaml::to_yaml;
