//! The PodDisruptionBudget: blocks every voluntary eviction while the workspace runs, which is its purpose.
//! An administrator who must drain the node scales the StatefulSet to 0 first.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::workspace::Workspace;

/// Nobody's session ends for a node to be tidied up.
pub(super) fn disruption_budget(workspace: &Workspace) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: workspace.metadata(workspace.name.to_string()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(0)),
            // A crashed workspace must not hold up a drain: nobody is in it.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            selector: Some(workspace.label_selector()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
