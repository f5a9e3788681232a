//! podssh against a real control plane: what it renders is accepted and works, its rights are as small as it
//! says, its commands do what they promise and say what is wrong.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod cli;
mod control_plane;
mod link;
mod server;

#[path = "../gateway/eg_shape.rs"]
#[allow(dead_code, reason = "tests/gateway uses the rest")]
mod eg_shape;
#[path = "../gateway/envoy.rs"]
#[allow(dead_code, reason = "tests/gateway uses the rest")]
mod envoy;
#[path = "../gateway/istio_shape.rs"]
#[allow(dead_code, reason = "tests/gateway uses the rest")]
mod istio_shape;
#[path = "../gateway/session.rs"]
#[allow(dead_code, reason = "tests/gateway uses the rest")]
mod session;

mod endpoint;
mod envoy_gateway;
mod followed;
mod istiod;
mod workspaces;

mod accepted;
mod commands;
mod envoy_gateway_routes;
mod istio;
mod key_watch;
mod rights;
mod routes;
mod throttled;
mod trouble;
