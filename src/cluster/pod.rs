//! The pod's template: identity, privileges, life cycle. What its container is told and mounts is in
//! `container.rs` and `volumes.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::container;
use super::volumes;
use super::workspace::{Security, Workspace};

/// Where the daemon listens: above 1024, so no capability is needed anywhere.
pub(super) const SSH_PORT: i32 = 2222;
/// Where probes, metrics and cullers ask.
pub(super) const ADMIN_PORT: i32 = 9090;
/// The image's user and group; docker-stacks' own, so that their children's files fit.
const USER: i64 = 1000;
const GROUP: i64 = 100;
/// What the cluster waits beyond the daemon's grace: sessions end by the daemon's hand, not by SIGKILL.
const MARGIN: Duration = Duration::from_secs(60);

/// The template.
pub(super) fn template(workspace: &Workspace) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(workspace.labels()),
            annotations: Some(annotations()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(workspace)),
    }
}

fn annotations() -> BTreeMap<String, String> {
    let annotations = [
        // Somebody may be working: autoscalers must not move the pod to tidy up nodes.
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
        // A sidecar's own listener changes would cut SSH tunnels.
        ("sidecar.istio.io/inject", "false"),
    ];
    annotations
        .map(|(key, value)| (key.into(), value.into()))
        .into()
}

fn spec(workspace: &Workspace) -> PodSpec {
    let grace = (workspace.grace + MARGIN).as_secs();
    PodSpec {
        service_account_name: Some(workspace.name.to_string()),
        // In watch mode too: there a token is mounted by name, see volumes.rs.
        automount_service_account_token: Some(false),
        // Else every Service of the namespace shows up in the user's environment.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(i64::try_from(grace).unwrap_or(i64::MAX)),
        // Root by sudo is then root in the pod and nobody on the node.
        host_users: (workspace.security == Security::Sudo).then_some(false),
        security_context: Some(security_context()),
        init_containers: container::installer(workspace).map(|installer| vec![installer]),
        containers: vec![container::workspace(workspace)],
        volumes: Some(volumes::volumes(workspace)),
        // GPU nodes are tainted so that nothing else lands on them.
        tolerations: (workspace.gpus > 0).then(|| {
            vec![Toleration {
                key: Some(container::GPU.into()),
                operator: Some("Exists".into()),
                effect: Some("NoSchedule".into()),
                ..Toleration::default()
            }]
        }),
        ..PodSpec::default()
    }
}

fn security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(GROUP),
        // Makes the home writable and the Secrets readable.
        fs_group: Some(GROUP),
        // Not a recursive chown at each start.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}
