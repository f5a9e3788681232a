//! What `podssh down` removes, in the order in which it can go: nobody is routed to what is on its way out.

use super::apply::named;
use super::objects::Object;
use super::stateful_set::HOME;
use super::workspace::Workspace;

/// Kinds that live where the gateway is, or belong to it.
const ROUTES: [&str; 2] = ["EnvoyFilter", "HTTPRoute"];

impl Workspace {
    /// The objects to delete. `everything`: the home volume and both Secrets too.
    pub fn removals(&self, everything: bool) -> Vec<Object> {
        let name = self.name.as_ref();
        let watch_keys = self.name.with("watch-keys");
        let rbac = "rbac.authorization.k8s.io";
        let mut filter = named(
            "networking.istio.io",
            "v1alpha3",
            "EnvoyFilter",
            &self.route_name(),
        );
        filter.0.metadata.namespace = Some(self.gateway_namespace.to_string());
        let mut all = vec![
            named("gateway.networking.k8s.io", "v1", "HTTPRoute", name),
            filter,
            named("apps", "v1", "StatefulSet", name),
            named("policy", "v1", "PodDisruptionBudget", name),
            named("networking.k8s.io", "v1", "NetworkPolicy", name),
            named("", "v1", "Service", &self.name.with("headless")),
            named("", "v1", "Service", name),
            named(rbac, "v1", "RoleBinding", &watch_keys),
            named(rbac, "v1", "Role", &watch_keys),
            named("", "v1", "ServiceAccount", name),
        ];
        if everything {
            all.push(named("", "v1", "Secret", &self.keys_secret()));
            all.push(named("", "v1", "Secret", &self.host_keys_secret()));
            let claim = format!("{HOME}-{}", self.name.with("0"));
            all.push(named("", "v1", "PersistentVolumeClaim", &claim));
        }
        all
    }

    /// The name of its EnvoyFilter, unique in the gateway's namespace.
    pub(super) fn route_name(&self) -> String {
        let namespace = self.namespace.as_ref().map_or("", AsRef::as_ref);
        format!("ssh-{}.{namespace}", self.name)
    }
}

impl Object {
    /// Whether it routes to a workspace.
    pub fn is_route(&self) -> bool {
        ROUTES.contains(&self.kind())
    }
}
