//! Istio without Lua: one EnvoyFilter a workspace, which changes the route table only (RDS) and so closes no
//! session. Never patch the LISTENER or its route_config here, as widely published recipes do: that drops
//! every open tunnel each time a workspace comes or goes, and wipes the port's other routes.

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::cluster::name::Namespace;
use crate::cluster::workspace::Workspace;

/// A virtual host for the workspace's name, in the gateway's namespace.
pub(super) fn envoy_filter(
    workspace: &Workspace,
    namespace: &Namespace,
    host: &str,
) -> DynamicObject {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1alpha3", "EnvoyFilter");
    let kind = ApiResource::from_gvk_with_plural(&kind, "envoyfilters");
    let name = workspace.route_name();
    let virtual_host = json!({
        "name": name,
        // Without a port, and in no other route table: a second one with this name is refused whole.
        "domains": [host],
        "routes": [{
            "match": {"connect_matcher": {}},
            "route": {
                "cluster": format!("outbound|80||{host}"),
                "timeout": "0s",
                "idle_timeout": "0s",
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]
            }
        }]
    });
    let mut filter = DynamicObject::new(&name, &kind).within(workspace.gateway_namespace.as_ref());
    filter.metadata.labels = Some(workspace.labels());
    // The cluster is pushed even where gateways get only the clusters that routes name.
    filter.metadata.annotations = Some(
        [(
            "envoyfilter.istio.io/referenced-services".to_owned(),
            format!("{namespace}/{host}"),
        )]
        .into(),
    );
    filter.data = json!({"spec": {
        "workloadSelector": {"labels": {"istio": "ssh-gateway"}},
        "configPatches": [{
            "applyTo": "VIRTUAL_HOST",
            "match": {"context": "GATEWAY", "routeConfiguration": {"portNumber": 80}},
            "patch": {"operation": "ADD", "value": virtual_host}
        }]
    }});
    filter
}
