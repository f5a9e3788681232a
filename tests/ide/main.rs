//! What IDEs and other tools do over SSH: the real clients where packages have them, replays of their
//! wire behaviour where they do not.
//!
//! Needs what `scripts/install test` installs; the small clients of `clients/` are built by `build.sh`
//! below the cache directory at first use. A missing tool fails its test and says so.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

#[path = "../gateway/envoy.rs"]
#[allow(dead_code, reason = "the tests of the gateway use the rest")]
mod envoy;
mod support;

mod ansible;
mod libraries;
mod tramp;
mod transfers;
mod vscode;
mod vscode_server;
mod zed;
