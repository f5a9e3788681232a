//! The containers: the workspace's, and the one that brings podssh into an image without it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, Probe, ResourceRequirements,
    SecurityContext, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{ADMIN_PORT, SSH_PORT};
use super::volumes;
use super::workspace::{Security, Workspace};

/// The resource and the taint of NVIDIA's device plug-in.
pub(super) const GPU: &str = "nvidia.com/gpu";

/// The workspace's container. No `command`, unless podssh is injected: the image's entrypoint is the
/// daemon, its CMD the supervised side process.
pub(super) fn workspace(workspace: &Workspace) -> Container {
    let program = format!("{}/podssh", volumes::INJECTED);
    let injected = workspace.inject.is_some();
    Container {
        name: "workspace".into(),
        image: Some(workspace.image.clone()),
        command: injected.then(|| vec![program, "serve".into()]),
        env: Some(environment(workspace)),
        ports: Some(vec![port("ssh", SSH_PORT), port("admin", ADMIN_PORT)]),
        startup_probe: Some(startup()),
        readiness_probe: Some(readiness()),
        liveness_probe: Some(liveness()),
        resources: Some(resources(workspace)),
        security_context: Some(security_context(workspace)),
        volume_mounts: Some(volumes::mounts(workspace)),
        ..Container::default()
    }
}

/// Copies podssh out of its own image. Runs as the same user, under the same restrictions.
pub(super) fn installer(workspace: &Workspace) -> Option<Container> {
    let image = workspace.inject.clone()?;
    let small = BTreeMap::from([("memory".to_owned(), Quantity("64Mi".into()))]);
    Some(Container {
        name: "podssh".into(),
        image: Some(image),
        command: Some(
            ["/usr/local/bin/podssh", "install", volumes::INJECTED]
                .map(str::to_owned)
                .into(),
        ),
        resources: Some(ResourceRequirements {
            limits: Some(small.clone()),
            requests: Some(small),
            ..ResourceRequirements::default()
        }),
        security_context: Some(restricted()),
        volume_mounts: Some(vec![volumes::injected(false)]),
        ..Container::default()
    })
}

fn environment(workspace: &Workspace) -> Vec<EnvVar> {
    let variable = |name: &str, value: String| EnvVar {
        name: name.into(),
        value: Some(value),
        ..EnvVar::default()
    };
    let mut all = vec![variable(
        "PODSSH_GRACE",
        format!("{}s", workspace.grace.as_secs()),
    )];
    if workspace.watch_keys {
        all.push(variable("PODSSH_KEYS_FROM_SECRET", workspace.keys_secret()));
    }
    if workspace.inject.is_some() {
        // Such an image has no user of ours whose passwd entry says so.
        all.push(variable("PODSSH_HOME", volumes::HOME.into()));
    }
    all
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        // Part of the key of this list under server-side apply: always written.
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// Generous, five minutes: start hooks of the image may install things.
fn startup() -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("ssh".into()),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(2),
        failure_threshold: Some(150),
        ..Probe::default()
    }
}

/// Not ready while draining: the gateway then answers 503 instead of opening tunnels that will be cut.
fn readiness() -> Probe {
    Probe {
        http_get: Some(admin("/readyz")),
        period_seconds: Some(5),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// A stuck runtime only, for two minutes; a busy workspace must not be restarted.
fn liveness() -> Probe {
    Probe {
        http_get: Some(admin("/livez")),
        period_seconds: Some(20),
        timeout_seconds: Some(10),
        failure_threshold: Some(6),
        ..Probe::default()
    }
}

fn admin(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.into()),
        port: IntOrString::String("admin".into()),
        ..HTTPGetAction::default()
    }
}

/// Memory: request and limit are one, so no surprise when the node is full. No CPU limit, so no
/// throttling. Past its ephemeral storage a pod is evicted: room for tools that fill /tmp.
fn resources(workspace: &Workspace) -> ResourceRequirements {
    let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    let requests = [
        quantity("cpu", &workspace.cpu),
        quantity("memory", &workspace.memory),
        quantity("ephemeral-storage", "2Gi"),
    ];
    let mut limits = BTreeMap::from([
        quantity("memory", &workspace.memory),
        quantity("ephemeral-storage", "10Gi"),
    ]);
    if workspace.gpus > 0 {
        limits.extend([quantity(GPU, &workspace.gpus.to_string())]);
    }
    ResourceRequirements {
        requests: Some(requests.into()),
        limits: Some(limits),
        ..ResourceRequirements::default()
    }
}

fn security_context(workspace: &Workspace) -> SecurityContext {
    match workspace.security {
        Security::Standard | Security::Restricted => restricted(),
        // sudo is a program that gains privileges, needs the runtime's usual capabilities to do so, and
        // is for installing packages. Stated, since the API's default would not show in a review.
        Security::Sudo => SecurityContext {
            allow_privilege_escalation: Some(true),
            read_only_root_filesystem: Some(false),
            ..SecurityContext::default()
        },
    }
}

/// What Pod Security `restricted` asks of a container, and a root file system that nobody can change.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}
