//! The Secret that says who may log in: one data key a person, so that two keys can be revoked apart,
//! each in authorized_keys format.
//!
//! The Secret with the host keys is made once by `podssh up` (`identity.rs`) and never rendered: printing
//! private keys is no rendering's business, and without it the daemon makes its own, in the home.

use k8s_openapi::api::core::v1::Secret;

use super::workspace::Workspace;

/// Who may log in.
pub(super) fn authorized_keys(workspace: &Workspace) -> Secret {
    Secret {
        metadata: workspace.metadata(workspace.keys_secret()),
        type_: Some("Opaque".into()),
        // Readable in a review, unlike `data`; the API server stores it there.
        string_data: Some(workspace.people.data()),
        ..Secret::default()
    }
}
