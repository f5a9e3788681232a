//! The two Services: what gateways route to, and what gives the pod its stable name.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::SSH_PORT;
use super::workspace::Workspace;

/// The port of the CONNECT authority, `NAME.NAMESPACE.svc.cluster.local:80`.
const ROUTED_PORT: i32 = 80;

/// What the gateway routes to. A ClusterIP Service: gateways treat a headless one differently, and then
/// the port is not mapped.
pub(super) fn routed(workspace: &Workspace) -> Service {
    Service {
        metadata: workspace.metadata(workspace.name.to_string()),
        spec: Some(ServiceSpec {
            selector: Some(workspace.selector()),
            ports: Some(vec![port(ROUTED_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The StatefulSet's own, which it must have. Nothing connects through it, so it may tell of pods that
/// are not ready.
pub(super) fn headless(workspace: &Workspace) -> Service {
    Service {
        metadata: workspace.metadata(workspace.name.with("headless")),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(workspace.selector()),
            ports: Some(vec![port(SSH_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(number: i32) -> ServicePort {
    ServicePort {
        // Name *and* appProtocol say TCP: in SSH the server speaks first, and a mesh that waits to sniff
        // the protocol stalls it.
        name: Some("tcp-ssh".into()),
        app_protocol: Some("tcp".into()),
        port: number,
        target_port: Some(IntOrString::String("ssh".into())),
        // Part of the key of this list under server-side apply: always written.
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}
