//! The behaviour `patches/russh` adds to russh: each patch names the tests here that fail without it.
//! They drive russh alone, so that a patch can be offered upstream together with its test.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::expect_used, reason = "a test may panic")]
#![expect(clippy::indexing_slicing, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests/patches has no Tasks to spawn through"
)]

mod harness;
mod library_client;

mod before_authentication;
mod closing;
mod flow_control;
mod host_bound;
mod keepalive;
mod post_quantum;
mod receive;
mod rejection;
mod rekey;
mod requests;
mod security_key;
mod strings;
