//! How the gateway finds a workspace: one file a flavour of `manifests/gateway`.
//!
//! None of them touches a listener: a gateway's listener that changes drops every tunnel through it.

pub(super) mod envoy;
mod envoy_gateway;
mod istio;

use kube::core::DynamicObject;

use super::name::Namespace;
use super::workspace::Workspace;

/// The flavours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// No route object: somebody else's gateway, or none.
    #[default]
    None,
    /// Istio with the static EnvoyFilter of `manifests/gateway/istio`: no object a workspace either.
    Istio,
    /// Istio where Lua is not allowed: one EnvoyFilter a workspace, in the gateway's namespace.
    IstioPerWorkspace,
    /// Envoy Gateway: one HTTPRoute a workspace, in its own namespace.
    EnvoyGateway,
    /// Plain Envoy: one entry of the gateway's list of workspaces.
    Envoy,
}

impl Gateway {
    /// Every flavour, by the name it is asked for with.
    pub const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("istio", Self::Istio),
        ("istio-per-workspace", Self::IstioPerWorkspace),
        ("envoy-gateway", Self::EnvoyGateway),
        ("envoy", Self::Envoy),
    ];

    /// The namespace of the gateways of `manifests/gateway`.
    pub fn namespace() -> Namespace {
        Namespace::standard("ssh-gateway")
    }

    /// Whether this flavour routes to namespaces called `ws-*` only.
    pub fn wants_prefix(self) -> bool {
        matches!(self, Self::Istio | Self::Envoy)
    }
}

/// The route objects of a workspace. The flavours that have one need the workspace's namespace.
pub(super) fn objects(workspace: &Workspace) -> Result<Vec<DynamicObject>, String> {
    let object = match workspace.gateway {
        Gateway::None | Gateway::Istio => return Ok(Vec::new()),
        Gateway::IstioPerWorkspace => istio::envoy_filter,
        Gateway::EnvoyGateway => envoy_gateway::http_route,
        Gateway::Envoy => envoy::workspaces,
    };
    let (Some(host), Some(namespace)) = (workspace.host(), &workspace.namespace) else {
        return Err("a route names the workspace's namespace; give --namespace".to_owned());
    };
    Ok(vec![object(workspace, namespace, &host)])
}
