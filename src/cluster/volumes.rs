//! What is mounted, and where: the home, Secrets, and the few places that may be written.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, EmptyDirVolumeSource,
    KeyToPath, ObjectFieldSelector, ProjectedVolumeSource, SecretVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::stateful_set;
use super::workspace::Workspace;

/// The image's home directory.
pub(super) const HOME: &str = "/home/jovyan";
/// Where podssh is put in an image that lacks it.
pub(super) const INJECTED: &str = "/opt/podssh";
/// Where a client in a pod looks for its token; the kubelet's own mount is turned off.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// With fsGroup the kubelet adds group read to anything narrower.
const SECRET_MODE: i32 = 0o440;
/// The kubelet renews a token when four fifths of this are over; it may not be shorter than 10 minutes.
const TOKEN_LIFE: i64 = 3600;

/// The pod's volumes; the home comes from the claim template.
pub(super) fn volumes(workspace: &Workspace) -> Vec<Volume> {
    let mut volumes = Vec::new();
    if workspace.watch_keys {
        volumes.push(token());
    } else {
        volumes.push(secret("authorized-keys", workspace.keys_secret()));
    }
    // Without this Secret the daemon makes its own keys once, in the home.
    volumes.push(secret("host-keys", workspace.host_keys_secret()));
    volumes.push(scratch("run", Some("Memory"), Some("16Mi")));
    volumes.push(scratch("tmp", None, None));
    // The default of 64 MiB breaks PyTorch's loaders; counts against the memory limit.
    volumes.push(scratch("shm", Some("Memory"), Some("1Gi")));
    if workspace.inject.is_some() {
        volumes.push(scratch("podssh", None, None));
    }
    volumes
}

/// Where the workspace's container sees them.
pub(super) fn mounts(workspace: &Workspace) -> Vec<VolumeMount> {
    let mut mounts = vec![mount(stateful_set::HOME, HOME, false)];
    // Never a subPath: such a mount is not updated.
    if workspace.watch_keys {
        mounts.push(mount("token", TOKEN, true));
    } else {
        mounts.push(mount(
            "authorized-keys",
            "/etc/podssh/authorized_keys",
            true,
        ));
    }
    mounts.push(mount("host-keys", "/etc/podssh/host_keys", true));
    mounts.push(mount("run", "/run/podssh", false));
    mounts.push(mount("tmp", "/tmp", false));
    mounts.push(mount("shm", "/dev/shm", false));
    if workspace.inject.is_some() {
        mounts.push(injected(true));
    }
    mounts
}

/// The directory that carries podssh from one container to the other.
pub(super) fn injected(read_only: bool) -> VolumeMount {
    mount("podssh", INJECTED, read_only)
}

/// A Secret that may be missing: that means no keys, not a pod that cannot start.
fn secret(name: &str, secret: String) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            default_mode: Some(SECRET_MODE),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn scratch(name: &str, medium: Option<&str>, limit: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(Into::into),
            size_limit: limit.map(|limit| Quantity(limit.into())),
        }),
        ..Volume::default()
    }
}

/// What the kubelet would mount by itself: a token, the API server's CA, the namespace.
fn token() -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            path: "token".into(),
            expiration_seconds: Some(TOKEN_LIFE),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".into(),
            items: Some(vec![KeyToPath {
                key: "ca.crt".into(),
                path: "ca.crt".into(),
                ..KeyToPath::default()
            }]),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".into(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.namespace".into(),
                    ..ObjectFieldSelector::default()
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: "token".into(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![token, authority, namespace]),
            default_mode: Some(SECRET_MODE),
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        // Left out where it would say what is so anyway.
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
