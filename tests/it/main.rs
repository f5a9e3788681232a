//! podssh as stock clients see it, and as no client should: sessions, transfers, forwards, keys, the
//! command line, the end, and what comes over a raw wire.
//!
//! `cargo test --test it WORD` runs one module. Nothing is skipped: a client that is missing fails
//! its test, which names it (`scripts/install test` gets them all).
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod bare;
mod master;
mod proc;
mod python;
mod said;
mod terminal;

mod activity;
mod algorithms;
mod background;
mod cli;
mod env;
mod exec;
mod forward;
mod forward_policy;
mod home;
mod hooks;
mod key_options;
mod keys;
mod load;
mod pty;
mod rc;
mod rekey;
mod remote_home;
mod shell;
mod shutdown;
mod sshfs;
mod status;
mod tidy;
mod transfer;
mod transfer_others;
mod wire;
mod wire_channels;
mod workspace;
mod x11;
