//! podssh against a real control plane: what it renders is accepted and works, its rights are as small as it
//! says, its commands do what they promise and say what is wrong.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod cli;
mod control_plane;
#[path = "../gateway/envoy.rs"]
#[allow(dead_code, reason = "tests/gateway uses the rest")]
mod envoy;

mod accepted;
mod commands;
mod key_watch;
mod rights;
mod routes;
mod trouble;
