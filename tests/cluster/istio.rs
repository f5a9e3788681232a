//! The Istio flavours through Istio's own control plane: what istiod makes of our objects carries ssh, changes
//! without closing a session, and is what tests/gateway runs.

use serde_json::Value;

use crate::envoy::Envoy;
use crate::istio_shape;
use crate::istiod::Istio;
use crate::workspaces::{Operator, come_change_and_go, holds, more};

const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// The connection manager and the route table that Envoy has got from istiod.
#[track_caller]
fn made(istio: &Istio, envoy: &Envoy) -> (Value, Value) {
    let listeners = envoy.runs("dynamic_listeners");
    let ours = |one: &&Value| one["name"] == istio.listener();
    let listener = &listeners.iter().find(ours).expect("the listener")["active_state"]["listener"];
    let chains = listener["filter_chains"].as_array().expect("chains");
    assert_eq!(chains.len(), 1, "{listener}");
    let filters = chains[0]["filters"].as_array().expect("filters");
    assert_eq!(filters.len(), 1, "{listener}");
    assert_eq!(filters[0]["name"], CONNECTION_MANAGER);
    let tables = envoy.runs("dynamic_route_configs");
    let mut tables = tables.iter().map(|one| &one["route_config"]);
    let table = tables.rfind(|one| one["name"] == istio.table());
    (
        filters[0]["typed_config"].clone(),
        table.expect("the table").clone(),
    )
}

/// Holds what istiod made to what tests/gateway runs: all of that is in it, and what is beyond it is known.
#[track_caller]
fn compare(istio: &Istio, envoy: &Envoy, (mut manager, mut table): (Value, Value)) {
    let (actual_manager, actual_table) = made(istio, envoy);
    // Names that follow the port, and a host of somebody else's there.
    manager["stat_prefix"] = actual_manager["stat_prefix"].clone();
    table["name"] = actual_table["name"].clone();
    let hosts = table["virtual_hosts"].as_array_mut();
    let hosts = hosts.expect("virtual_hosts");
    hosts.retain(|host| host["name"] != "web.example:80");
    holds(&actual_manager, &manager, "connection manager");
    holds(&actual_table, &table, "route table");
    let beyond = ["rds", "request_id_extension", "tracing"];
    assert_eq!(more(&actual_manager, &manager), beyond);
    assert_eq!(more(&actual_table, &table), ["@type"]);
}

#[test]
fn istiod_makes_of_the_static_filter_what_the_gateway_tests_run_and_no_change_closes_a_session() {
    let istio = Istio::start("istio");
    let envoy = istio.envoy();
    compare(&istio, &envoy, istio_shape::by_static_filter());
    come_change_and_go(&Operator::new(&istio.plane, "istio"), &envoy, 503);
}

#[test]
fn istiod_makes_of_a_filter_per_workspace_what_the_gateway_tests_run_and_no_change_closes_a_session()
 {
    let istio = Istio::start("istio-without-lua");
    let envoy = istio.envoy();
    compare(&istio, &envoy, istio_shape::by_filter_per_workspace(&[]));
    come_change_and_go(
        &Operator::new(&istio.plane, "istio-per-workspace"),
        &envoy,
        503,
    );
}
