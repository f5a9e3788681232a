//! The Envoy Gateway flavour through its own controller: what it makes of our objects carries ssh, changes
//! without closing a session, and is what tests/gateway runs.

use serde_json::Value;

use crate::control_plane::PATIENCE;
use crate::eg_shape::{eg_manager, eg_table};
use crate::envoy::{Envoy, WORKSPACE, replace};
use crate::envoy_gateway::EnvoyGateway;
use crate::harness::process::eventually;
use crate::workspaces::{Operator, come_change_and_go, holds, more};

/// What it calls the listener of our Gateway, and the route table.
const NAME: &str = "ssh-gateway/ssh/http";

#[track_caller]
fn route_table(envoy: &Envoy) -> Value {
    let tables = envoy.runs("dynamic_route_configs");
    let mut tables = tables.iter().map(|one| &one["route_config"]);
    let table = tables.rfind(|one| one["name"] == NAME);
    table.expect("the route table").clone()
}

#[test]
fn the_controller_makes_of_our_objects_what_the_gateway_tests_run() {
    let gateway = EnvoyGateway::start(str::to_owned);
    let operator = Operator::new(&gateway.plane, "envoy-gateway");
    operator.has("workspace", None);
    let envoy = gateway.envoy();
    let listeners = envoy.runs("dynamic_listeners");
    let ours = listeners
        .iter()
        .find(|one| one["name"] == NAME)
        .expect("the listener");
    let chain = &ours["active_state"]["listener"]["default_filter_chain"];
    let actual = &chain["filters"][0]["typed_config"];
    let mut manager = eg_manager();
    manager["stat_prefix"] = actual["stat_prefix"].clone();
    holds(actual, &manager, "connection manager");
    assert_eq!(more(actual, &manager), ["access_log", "rds"]);

    let table = eventually("a route of the workspace", PATIENCE, || {
        let table = route_table(&envoy);
        (table["virtual_hosts"].as_array()?.len() == 2).then_some(table)
    });
    let mut known = eg_table(&[WORKSPACE], |_| {
        "httproute/ws-demo/workspace/rule/0".to_owned()
    });
    let hosts = known["virtual_hosts"].as_array_mut();
    hosts
        .expect("virtual_hosts")
        .sort_by_key(|host| host["name"].to_string());
    // A stopped workspace's too: were there an answer of Envoy Gateway's own in its place, it would be 403.
    holds(&table, &known, "route table");
    assert_eq!(more(&table, &known), ["@type"]);
    let service = gateway.plane.get("ws-demo", "service", "workspace");
    let address = service["spec"]["clusterIP"].as_str().expect("clusterIP");
    let clusters = envoy.endpoints();
    let place = format!("httproute/ws-demo/workspace/rule/0::{address}:80::");
    assert!(clusters.contains(&place), "{clusters}");
}

#[test]
fn the_gateways_pods_are_those_that_workspaces_let_in_and_end_after_their_sessions() {
    let gateway = EnvoyGateway::start(str::to_owned);
    let deployment = gateway.deployment();
    assert_eq!(deployment["metadata"]["namespace"], "envoy-gateway-system");
    let pod = &deployment["spec"]["template"];
    let owner = "gateway.envoyproxy.io/owning-gateway-namespace";
    assert_eq!(pod["metadata"]["labels"][owner], "ssh-gateway");
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
    assert!(grace.expect("seconds") > 12 * 3600, "{pod}");
    let text = pod["spec"]["containers"].to_string();
    assert!(text.contains("\"--drain-time-s\",\"43200\""), "{text}");
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"],
        "false"
    );
}

/// By pods' addresses, since nobody here leads a Service's anywhere. It also shows why the shipped objects do
/// otherwise: a stopped workspace is 403 so, as if it were none of the client's affair.
#[test]
fn no_change_of_workspaces_closes_a_session() {
    let gateway = EnvoyGateway::start(|objects| {
        replace(objects, "routingType: Service", "routingType: Endpoint")
    });
    let operator = Operator::new(&gateway.plane, "envoy-gateway");
    let envoy = gateway.envoy();
    come_change_and_go(&operator, &envoy, 403);
}
