//! What istiod makes of the gateway, without istiod: the shipped `EnvoyFilter` patches applied to a listener and
//! a route table of its shape. tests/cluster holds this to what istiod itself makes.

use serde_json::{Value, json};

use crate::envoy::WORKSPACE;
use crate::harness::tools::yaml;

const STATIC: &str = include_str!("../../manifests/gateway/istio/envoy-filter.yaml");
const PER_WORKSPACE: &str =
    include_str!("../../manifests/gateway/istio/per-workspace/envoy-filter.yaml");
const REFUSALS: &str = include_str!("../../manifests/gateway/istio-without-lua/refusals.yaml");

/// The name of the route table of the gateway's port 80.
pub(crate) const TABLE: &str = "http.80";

/// What the patches of the one static filter make of istiod's connection manager, and of its route table.
pub(crate) fn by_static_filter() -> (Value, Value) {
    let filter = yaml(STATIC).remove(0);
    patched(&[filter])
}

/// The same without Lua: a filter per workspace, each the shipped one with another name, and the refusals.
pub(crate) fn by_filter_per_workspace(workspaces: &[&str]) -> (Value, Value) {
    let filter = |name: &&str| {
        let text = PER_WORKSPACE.replace(WORKSPACE, name);
        let text = text.replace("ssh-workspace-ws-demo", &name.replace('.', "-"));
        yaml(&text).remove(0)
    };
    let mut filters: Vec<_> = workspaces.iter().map(filter).collect();
    filters.push(yaml(REFUSALS).remove(0));
    patched(&filters)
}

/// The connection manager that istiod makes of our Gateway: all but tracing, and the filters that its own Envoy
/// alone has.
fn manager() -> Value {
    let filter = |name: &str, kind: &str| {
        let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
        json!({"name": format!("envoy.filters.http.{name}"), "typed_config": {"@type": kind}})
    };
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "server_name": "istio-envoy",
        "use_remote_address": true,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
        "proxy_100_continue": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "http_protocol_options": {"accept_http_10": true},
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            filter("grpc_stats", "grpc_stats.v3.FilterConfig"),
            filter("fault", "fault.v3.HTTPFault"),
            filter("cors", "cors.v3.Cors"),
            filter("router", "router.v3.Router"),
        ]
    })
}

/// Its route table, with a virtual host of somebody else's.
fn table() -> Value {
    json!({
        "name": TABLE,
        "ignore_port_in_host_matching": true,
        "validate_clusters": false,
        "max_direct_response_body_size_bytes": 1_048_576,
        "virtual_hosts": [
            {"name": "blackhole:80", "domains": ["*"]},
            {
                "name": "web.example:80", "domains": ["web.example"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]
            }
        ]
    })
}

fn patched(filters: &[Value]) -> (Value, Value) {
    let (mut manager, mut table) = (manager(), table());
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
