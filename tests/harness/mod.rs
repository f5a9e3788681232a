//! What every test binary shares: a running `podssh serve` and the OpenSSH client to drive it with.
//!
//! Use it as `#[path = "../harness/mod.rs"] mod harness;`. Nothing here knows what is being tested:
//! a helper that only one test binary needs lives in that binary.
#![allow(
    dead_code,
    reason = "each test binary uses its own part of the harness"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod tools;
