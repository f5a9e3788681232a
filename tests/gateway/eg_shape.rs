//! What Envoy Gateway makes of our Gateway, without its controller. tests/cluster holds this to what that makes.

use serde_json::{Value, json};

use crate::harness::tools::yaml;

const EG_REFUSALS: &str = include_str!("../../manifests/gateway/envoy-gateway/refusals.yaml");

/// The name of its listener and of its route table.
pub(crate) const EG_TABLE: &str = "ssh-gateway/ssh/http";

/// The connection manager that Envoy Gateway 1.9.1 makes of our Gateway and ClientTrafficPolicy: all
/// but the access log.
pub(crate) fn eg_manager() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http_protocol_options": {"accept_http_10": true},
        "http2_protocol_options": {
            "initial_connection_window_size": 1_048_576, "initial_stream_window_size": 65536, "max_concurrent_streams": 100
        },
        "stream_idle_timeout": "0s",
        "merge_slashes": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": true
            }
        }]
    })
}

/// Its route table, with what our BackendTrafficPolicy makes of one HTTPRoute a workspace.
pub(crate) fn eg_table(workspaces: &[&str], cluster: impl Fn(&str) -> String) -> Value {
    let host = |name: &&str| {
        json!({
            "name": format!("{EG_TABLE}/{}", name.replace('.', "_")),
            "domains": [name],
            "routes": [{
                "match": {"connect_matcher": {}},
                "route": {
                    "cluster": cluster(name),
                    "idle_timeout": "0s",
                    "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]
                }
            }]
        })
    };
    let refusals = yaml(EG_REFUSALS).remove(0);
    let pattern = &refusals["spec"]["rules"][0]["matches"][0]["headers"][0];
    let mut hosts: Vec<_> = workspaces.iter().map(host).collect();
    hosts.push(json!({
        "name": format!("{EG_TABLE}/*_svc_cluster_local"),
        "domains": refusals["spec"]["hostnames"],
        "routes": [{
            "match": {"connect_matcher": {}, "headers": [{
                "name": pattern["name"], "string_match": {"safe_regex": {"regex": pattern["value"]}}
            }]},
            "direct_response": {"status": 403}
        }]
    }));
    json!({"name": EG_TABLE, "ignore_port_in_host_matching": true, "virtual_hosts": hosts})
}
