//! What this machine's own kernel need not have: a home on NFS, control groups of version 2. Each test runs
//! in a kernel of its own, Debian's user-mode Linux, which is a program.
//!
//! `scripts/install test` gets it, and what serves NFS. Where it cannot be had, every test fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod contained;
mod guest;

#[path = "../it/remote_home.rs"]
mod remote_home;
#[path = "../it/said.rs"]
mod said;
#[path = "../it/terminal.rs"]
#[expect(dead_code, reason = "nobody changes the size of a window here")]
mod terminal;
#[path = "../it/workspace.rs"]
mod workspace;

mod memory;
mod nfs;
mod processes;
