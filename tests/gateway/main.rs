//! podssh behind a real Envoy that runs the very configuration the manifests ship.
//!
//! Needs Envoy, which `scripts/install test` puts below the cache directory; without it every test
//! here fails and says so.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod eg_shape;
mod elsewhere;
mod envoy;
mod istio_shape;
mod session;
mod tls;

mod auth;
mod clients;
mod connect;
mod flavours;
mod forwards;
mod istio;
mod routes;
mod terminals;
mod transfers;
