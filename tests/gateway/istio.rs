//! The Istio flavour, as far as it goes without Istio: the shipped `EnvoyFilter` patches applied to a
//! listener and a route table of the shape istiod makes, on a real Envoy.

use serde_json::{Value, json};

use crate::envoy::{Envoy, WORKSPACE};
use crate::harness::client::Client;
use crate::harness::daemon::Daemon;
use crate::harness::tools::yaml;
use crate::routes::status;

const STATIC: &str = include_str!("../../manifests/gateway/istio/envoy-filter.yaml");
const PER_WORKSPACE: &str =
    include_str!("../../manifests/gateway/istio/per-workspace/envoy-filter.yaml");

/// Istio's gateway: websocket upgrades, HTTP/1.0 by `ISTIO_META_HTTP10`, no idle time-out, a route table
/// that ignores ports and has a virtual host of somebody else's.
fn istiod(daemon: &Daemon, patches: &Value) -> String {
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80",
        "http_protocol_options": {"accept_http_10": true},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        }],
        "route_config": {
            "name": "http.80",
            "ignore_port_in_host_matching": true,
            "validate_clusters": false,
            "virtual_hosts": [{
                "name": "web.example:80", "domains": ["web.example"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]
            }]
        }
    });
    for patch in patches["spec"]["configPatches"]
        .as_array()
        .expect("configPatches")
    {
        let value = &patch["patch"]["value"];
        match patch["applyTo"].as_str().expect("applyTo") {
            "NETWORK_FILTER" => merge(&mut manager, &value["typed_config"]),
            "HTTP_FILTER" => insert(&mut manager["http_filters"], 0, value),
            "VIRTUAL_HOST" => insert(&mut manager["route_config"]["virtual_hosts"], 1, value),
            other => panic!("a patch of {other}: is it part of the listener?"),
        }
    }
    let (host, port) = daemon.address.rsplit_once(':').expect("HOST:PORT");
    let port: u16 = port.parse().expect("a port");
    let cluster = format!("outbound|80||{WORKSPACE}");
    let local = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    json!({
        "admin": {"address": local(0)},
        "static_resources": {
            "listeners": [{
                "name": "ssh_connect", "address": local(0),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager
                }]}]
            }],
            "clusters": [{
                "name": cluster, "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{
                    "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}
                }]}]}
            }]
        }
    })
    .to_string()
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

/// An Envoy as istiod would configure it from the shipped file, and a client going through it.
#[track_caller]
fn start(daemon: &Daemon, patches: &str) -> (Envoy, Client) {
    let patches = yaml(patches).remove(0);
    let envoy = Envoy::start(&[], |_| istiod(daemon, &patches), &[]);
    let client = envoy.client_by_nc(daemon);
    (envoy, client)
}

#[test]
fn the_static_filter_reaches_every_workspace_and_nothing_else() {
    let daemon = Daemon::start(|_| ());
    let (envoy, client) = start(&daemon, STATIC);
    assert_eq!(client.ssh(["exit 42"]).status.code(), Some(42));
    assert_eq!(status(&envoy, "another.ws-demo.svc.cluster.local:80"), 404);
    assert_eq!(
        status(&envoy, "workspace.default.svc.cluster.local:80"),
        403
    );
    assert_eq!(status(&envoy, &format!("{WORKSPACE}:22")), 403);
    assert_eq!(status(&envoy, "127.0.0.1:22"), 404);
    let head = "GET / HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n";
    let web = crate::harness::http::request(&envoy.gateway, head);
    assert_eq!(
        web.map(|(status, _)| status),
        Some(204),
        "other hosts of the port are as before"
    );
}

#[test]
fn a_client_cannot_name_the_cluster_itself() {
    let daemon = Daemon::start(|_| ());
    let (envoy, _) = start(&daemon, STATIC);
    let head = format!(
        "CONNECT other.default.svc.cluster.local:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         x-ws-cluster: outbound|80||{WORKSPACE}\r\n\r\n"
    );
    let answer = crate::harness::http::request(&envoy.gateway, &head);
    assert_eq!(answer.map(|(status, _)| status), Some(403));
}

#[test]
fn the_filter_per_workspace_reaches_its_workspace() {
    let daemon = Daemon::start(|_| ());
    let (envoy, client) = start(&daemon, PER_WORKSPACE);
    assert_eq!(client.ssh(["exit 42"]).status.code(), Some(42));
    assert_eq!(status(&envoy, "another.ws-demo.svc.cluster.local:80"), 404);
}
