//! Who may log in and who we are, over the wire with stock clients: `ssh`, `ssh-keygen -s` and `-k`,
//! and OpenSSH's sshd for comparison. What stands where is in `tests/keys/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code; a panic is the report"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod agent;
#[path = "../keys/bench.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of decisions, which need more of it"
)]
mod bench;
mod live;
mod pod;
mod running;

mod certificates;
mod following;
mod hardware;
mod host_keys;
mod logins;
mod mounts;
mod parity;
mod restricted;
mod revocation;
mod rotation;
