//! What a workspace that watches its keys by the API may do there: read that one Secret, and nothing else.
//!
//! The user shares the daemon's uid, so the user has this right too: everybody who can log in can read
//! who else can. The Secret holds public keys only; host keys are in another.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::workspace::Workspace;

/// The role and its binding.
pub(super) fn role(workspace: &Workspace) -> Role {
    Role {
        metadata: workspace.metadata(workspace.name.with("watch-keys")),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".into()]),
            // A watch of all with a field selector for this name counts as a watch of this name.
            resource_names: Some(vec![workspace.keys_secret()]),
            verbs: ["get", "list", "watch"].map(str::to_owned).into(),
            ..PolicyRule::default()
        }]),
    }
}

/// Gives it to the workspace's own account.
pub(super) fn binding(workspace: &Workspace) -> RoleBinding {
    let role = workspace.name.with("watch-keys");
    RoleBinding {
        metadata: workspace.metadata(role.clone()),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: role,
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: workspace.name.to_string(),
            namespace: workspace.namespace.as_ref().map(ToString::to_string),
            ..Subject::default()
        }]),
    }
}
