//! The StatefulSet, not a Deployment: at most one pod on the home volume, of a name that stays. `replicas`
//! 0 or 1 is the on/off switch; the volume stays either way.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod;
use super::workspace::Workspace;

/// The volume claim's name; the claim itself is `home-NAME-0`.
pub(super) const HOME: &str = "home";

/// The workspace itself.
pub(super) fn stateful_set(workspace: &Workspace) -> StatefulSet {
    StatefulSet {
        metadata: workspace.metadata(workspace.name.to_string()),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(workspace.name.with("headless")),
            // An edit of the template must not end anybody's session: the new pod comes when the old is
            // deleted.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                ..StatefulSetUpdateStrategy::default()
            }),
            // The default, written down: the home outlives everything but an explicit deletion.
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some("Retain".into()),
                    when_scaled: Some("Retain".into()),
                },
            ),
            selector: workspace.label_selector(),
            template: pod::template(workspace),
            volume_claim_templates: Some(vec![home(workspace)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// The home volume.
fn home(workspace: &Workspace) -> PersistentVolumeClaim {
    let storage = Quantity(workspace.storage.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(HOME.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            // One node's: what every storage class can do, and all that one pod needs.
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: workspace.storage_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), storage)])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
