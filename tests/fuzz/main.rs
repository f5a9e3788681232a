//! Fuzzing: each target of src/fuzz.rs under libFuzzer for a few seconds, and whole connections.
//!
//! The fuzzer is built with the stable compiler (tests/fuzz/rustc). PODSSH_FUZZ_SECONDS is the time of
//! one target; `make fuzz` gives it minutes. A committed corpus goes first; a crash is kept in
//! target/fuzz/ and belongs into the corpus once it is cured.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../it/proc.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod proc;

mod connection;
mod targets;
