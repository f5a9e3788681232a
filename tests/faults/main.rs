//! Bad days: a network that delays, cuts and stalls, a daemon that is killed, a clock that jumps, peers that
//! leave at any point, many of them. Data arrive exact or the client is told; nothing is left behind.
//!
//! `make soak` runs the same tests longer: PODSSH_SOAK is set then.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../hostile/gateway.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod gateway;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../it/master.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod master;
#[path = "../it/proc.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod proc;
#[path = "../it/said.rs"]
#[allow(dead_code, reason = "the other test binary uses the rest")]
mod said;

mod proxy;

mod bulk;
mod chaos;
mod clock;
mod kill;
mod leaks;
mod visitor;

/// How much of something: the first in `make test`, the second in `make soak`.
fn much<T>(test: T, soak: T) -> T {
    if std::env::var_os("PODSSH_SOAK").is_some() {
        soak
    } else {
        test
    }
}
