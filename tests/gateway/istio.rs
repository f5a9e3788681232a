//! The Istio flavour, as far as it goes without Istio: the shipped `EnvoyFilter` patches applied to a
//! listener and a route table of the shape istiod makes, on a real Envoy.

use serde_json::{Value, json};

use crate::envoy::WORKSPACE;
use crate::flavours::{Flavour, Gateway};
use crate::harness::daemon::Daemon;
use crate::harness::http::request;
use crate::harness::tools::yaml;

const STATIC: &str = include_str!("../../manifests/gateway/istio/envoy-filter.yaml");
const PER_WORKSPACE: &str =
    include_str!("../../manifests/gateway/istio/per-workspace/envoy-filter.yaml");

/// The name of the route table of the gateway's port 80.
pub(crate) const TABLE: &str = "http.80";

/// What the patches of the one static filter make of istiod's connection manager, and of its route table.
pub(crate) fn by_static_filter() -> (Value, Value) {
    let filter = yaml(STATIC).remove(0);
    patched(&[filter])
}

/// The same with a filter per workspace, each the shipped one with another name.
pub(crate) fn by_filter_per_workspace(workspaces: &[&str]) -> (Value, Value) {
    let filter = |name: &&str| {
        let text = PER_WORKSPACE.replace(WORKSPACE, name);
        let text = text.replace("ssh-workspace-ws-demo", &name.replace('.', "-"));
        yaml(&text).remove(0)
    };
    patched(&workspaces.iter().map(filter).collect::<Vec<_>>())
}

/// Istio's gateway: websocket upgrades, HTTP/1.0 by `ISTIO_META_HTTP10`, no idle time-out, a route table
/// that ignores ports and has a virtual host of somebody else's.
fn patched(filters: &[Value]) -> (Value, Value) {
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "http_protocol_options": {"accept_http_10": true},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        }]
    });
    let mut table = json!({
        "name": TABLE,
        "ignore_port_in_host_matching": true,
        "validate_clusters": false,
        "virtual_hosts": [{
            "name": "web.example:80", "domains": ["web.example"],
            "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]
        }]
    });
    let patches = filters
        .iter()
        .filter_map(|filter| filter["spec"]["configPatches"].as_array());
    for patch in patches.flatten() {
        let value = &patch["patch"]["value"];
        match patch["applyTo"].as_str().expect("applyTo") {
            "NETWORK_FILTER" => merge(&mut manager, &value["typed_config"]),
            "HTTP_FILTER" => insert(&mut manager["http_filters"], 0, value),
            "VIRTUAL_HOST" => insert(&mut table["virtual_hosts"], 1, value),
            other => panic!("a patch of {other}: is it part of the listener?"),
        }
    }
    (manager, table)
}

/// Protobuf's merge: scalars replaced, messages merged, lists appended.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (into, from) => *into = from.clone(),
    }
}

fn insert(list: &mut Value, at: usize, value: &Value) {
    list.as_array_mut()
        .expect("a list")
        .insert(at, value.clone());
}

#[test]
fn other_hosts_of_the_port_are_as_before() {
    let daemon = Daemon::start(|_| ());
    for flavour in [Flavour::IstioStatic, Flavour::IstioPerWorkspace] {
        let gateway = Gateway::before(flavour, &daemon);
        let head = "GET / HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n";
        let web = request(&gateway.envoy.gateway, head);
        assert_eq!(web.map(|(status, _)| status), Some(204), "{flavour:?}");
    }
}

#[test]
fn a_client_cannot_name_the_cluster_itself() {
    let daemon = Daemon::start(|_| ());
    let gateway = Gateway::before(Flavour::IstioStatic, &daemon);
    let head = format!(
        "CONNECT other.default.svc.cluster.local:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         x-ws-cluster: outbound|80||{WORKSPACE}\r\n\r\n"
    );
    let answer = request(&gateway.envoy.gateway, &head);
    assert_eq!(answer.map(|(status, _)| status), Some(403));
}
