//! The manifests: they build, the API accepts every field, and what they say agrees with the image, the
//! daemon and the gateway.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod difference;
mod kustomize;

mod gateway;
mod rendered;
mod schema;
mod workspace;
