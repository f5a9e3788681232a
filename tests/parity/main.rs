//! The same table of cases against Debian's sshd and against podssh: output, status and order.
//!
//! A case says what is done and whether the outcomes are the same; a difference is written down with
//! what each server shows and why. `README.md` is the table in words, and a test keeps it true.
//! Needs `openssh-server`, `libnss-wrapper` and the Python environment of `scripts/install test`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test code; a panic is the report"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod case;
mod server;
mod wire;

mod endings;
mod environment;
mod execution;
mod forwarding;
mod keys;
mod requests;
mod terminal;
mod transport;

mod readme;
