//! Peers that mean harm, and bad days: what is in the table of SECURITY.md, one test a line.
//!
//! Loads are bounded and stay on loopback. Figures are printed: `--nocapture` shows them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "test code; a panic is the report, and a figure is one too"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../it/master.rs"]
#[allow(dead_code, reason = "shared with the tests of stock clients")]
mod master;
#[path = "../it/proc.rs"]
#[allow(dead_code, reason = "shared with the tests of stock clients")]
mod proc;
#[path = "../it/python.rs"]
#[allow(dead_code, reason = "shared with the tests of stock clients")]
mod python;
#[path = "../it/said.rs"]
#[allow(dead_code, reason = "shared with the tests of stock clients")]
mod said;

mod gateway;
mod stranger;

mod after_login;
mod algorithms;
mod bad_days;
mod before_login;
mod costs;
mod floods;
mod guessing;
mod proxied;
