//! `podssh doctor` against a folder of made faults: each is found alone, with its fix, and a healthy
//! workspace has none. tests/image runs the command in real containers.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

mod workspace;

mod home;
mod keys;
mod network;
mod node;
mod tools;
