//! The image as people run it: built from the Dockerfile, started with every hardening a cluster adds,
//! driven by stock clients; and a child image as people build it.
//!
//! Needs a container engine and the release binary: `scripts/test image`, or `make build` and
//! `cargo test --release --test image`. Without them every test fails and says so.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod container;
mod engine;

#[path = "../it/terminal.rs"]
#[expect(dead_code, reason = "nobody changes the size of a window here")]
mod terminal;

mod child;
mod contents;
mod doctor;
mod first_process;
mod flavours;
mod generations;
mod hardening;
mod hooks;
mod inject;
mod workspace;
