//! Envoy Gateway: an HTTPRoute, which the Gateway's own policy turns into a CONNECT route.
//!
//! Whoever may write routes can claim another workspace's hostname, so in a cluster with more than one
//! owner it is the operator who writes them.

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::cluster::name::Namespace;
use crate::cluster::workspace::Workspace;

/// The route, in the workspace's namespace.
pub(super) fn http_route(
    workspace: &Workspace,
    namespace: &Namespace,
    host: &str,
) -> DynamicObject {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    let mut route = DynamicObject::new(workspace.name.as_ref(), &kind).within(namespace.as_ref());
    route.metadata.labels = Some(workspace.labels());
    route.data = json!({"spec": {
        "parentRefs": [{"name": "ssh", "namespace": workspace.gateway_namespace}],
        // The port of the CONNECT request is ignored when matching.
        "hostnames": [host],
        "rules": [{"backendRefs": [{"name": workspace.name, "port": 80}]}]
    }});
    route
}
