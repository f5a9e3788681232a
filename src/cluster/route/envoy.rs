//! Plain Envoy: one entry in the list of clusters that the gateway's pods follow.
//!
//! The list is one file, in one ConfigMap, of all workspaces: rendered, it holds this one alone, and `podssh
//! up` puts the entry among the others (`shared.rs`).

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster::name::Namespace;
use crate::cluster::workspace::Workspace;
use crate::cluster::yaml;

/// The ConfigMap that the gateway of `manifests/gateway/envoy` mounts.
pub(crate) const CONFIG_MAP: &str = "ssh-gateway-workspaces";
/// The file in it.
pub(crate) const FILE: &str = "cds.yaml";

/// The list with this workspace in it, in the gateway's namespace.
pub(super) fn workspaces(workspace: &Workspace, _: &Namespace, host: &str) -> DynamicObject {
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("", "v1", "ConfigMap"),
        "configmaps",
    );
    let mut map =
        DynamicObject::new(CONFIG_MAP, &kind).within(workspace.gateway_namespace.as_ref());
    let list = json!({"resources": [entry(host)]});
    map.data = json!({"data": {FILE: yaml::to_yaml(&list)}});
    map
}

/// The cluster entry of one workspace, named exactly as clients ask for it.
pub(crate) fn entry(host: &str) -> Value {
    let name = format!("{host}:80");
    json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        // Finds out about a workspace whose node went.
        "upstream_connection_options": {"tcp_keepalive": {
            "keepalive_probes": 3, "keepalive_time": 60, "keepalive_interval": 20
        }},
        "circuit_breakers": {"thresholds": [{"max_connections": 256, "max_pending_requests": 16}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": host, "port_value": 80
            }}}}]}]
        }
    })
}
