//! Every object of a workspace, in the order in which it must come to be.

use kube::core::{DynamicObject, ResourceExt};
use serde::Serialize;

use super::workspace::Workspace;
use super::{
    access, disruption_budget, network_policy, route, secrets, service, service_account,
    stateful_set,
};

/// One object, whatever its kind: typed where it was made, data from here on.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Object(pub(super) DynamicObject);

impl Object {
    fn of(object: &impl Serialize) -> Result<Self, String> {
        let value = serde_json::to_value(object);
        let object = value.and_then(serde_json::from_value);
        object.map(Self).map_err(|error| error.to_string())
    }

    /// Its kind, `Service` and the like.
    pub fn kind(&self) -> &str {
        self.0.types.as_ref().map_or("", |types| &types.kind)
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.0.name_any()
    }
}

/// What each needs comes before it: an account and its right before the pod that uses them, the Secret
/// and the policy before there is anything to reach; the route last, when there is something to route to.
pub fn objects(workspace: &Workspace) -> Result<Vec<Object>, String> {
    let mut objects = vec![Object::of(&service_account::service_account(workspace))?];
    if workspace.watch_keys {
        objects.push(Object::of(&access::role(workspace))?);
        objects.push(Object::of(&access::binding(workspace))?);
    }
    objects.push(Object::of(&secrets::authorized_keys(workspace))?);
    objects.push(Object::of(&service::routed(workspace))?);
    objects.push(Object::of(&service::headless(workspace))?);
    objects.push(Object::of(&network_policy::network_policy(workspace))?);
    objects.push(Object::of(&disruption_budget::disruption_budget(
        workspace,
    ))?);
    objects.push(Object::of(&stateful_set::stateful_set(workspace))?);
    for object in route::objects(workspace)? {
        objects.push(Object(object));
    }
    Ok(objects)
}

/// The objects as one YAML text.
pub fn render(workspace: &Workspace) -> Result<String, String> {
    Ok(super::yaml::documents(&objects(workspace)?))
}
