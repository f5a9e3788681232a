//! The ServiceAccount. The user of a workspace shares the daemon's uid, so the daemon gets no right that
//! its user may not have: no API token at all.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::workspace::Workspace;

/// One a workspace, so that a right given to it (see `access.rs`) is given to nobody else.
pub(super) fn service_account(workspace: &Workspace) -> ServiceAccount {
    ServiceAccount {
        metadata: workspace.metadata(workspace.name.to_string()),
        // The pod says so too; either would do, and either may be edited.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
