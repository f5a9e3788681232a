//! The NetworkPolicy: SSH only from the gateway's pods, the admin port from monitoring. Kubelet probes come
//! from the node and pass. Egress stays open, for it is a development machine, unless held tighter.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{ADMIN_PORT, SSH_PORT};
use super::workspace::{Security, Workspace};

/// Where the cloud answers a node's questions about itself, with the node's credentials among the answers.
const METADATA: [(&str, &str); 2] = [("0.0.0.0/0", "169.254.0.0/16"), ("::/0", "fd00:ec2::/32")];

/// Who may reach the workspace, and under `restricted` what it may reach.
pub(super) fn network_policy(workspace: &Workspace) -> NetworkPolicy {
    let gateway = workspace.gateway_namespace.to_string();
    // Both in one peer: such a pod in such a namespace.
    let from_gateway = NetworkPolicyPeer {
        namespace_selector: Some(is_in("kubernetes.io/metadata.name", [gateway.clone()])),
        pod_selector: Some(is_in("app.kubernetes.io/component", ["ssh-gateway".into()])),
        ..NetworkPolicyPeer::default()
    };
    // Envoy Gateway keeps the pods of all Gateways beside itself, and labels them as it likes.
    let from_envoy_gateway = NetworkPolicyPeer {
        namespace_selector: Some(is_in(
            "kubernetes.io/metadata.name",
            ["envoy-gateway-system".into()],
        )),
        pod_selector: Some(is_in(
            "gateway.envoyproxy.io/owning-gateway-namespace",
            [gateway],
        )),
        ..NetworkPolicyPeer::default()
    };
    let from_monitoring = NetworkPolicyPeer {
        namespace_selector: Some(is_in("kubernetes.io/metadata.name", ["monitoring".into()])),
        ..NetworkPolicyPeer::default()
    };
    let restricted = workspace.security == Security::Restricted;
    let mut types = vec!["Ingress".to_owned()];
    types.extend(restricted.then(|| "Egress".to_owned()));
    NetworkPolicy {
        metadata: workspace.metadata(workspace.name.to_string()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(workspace.label_selector()),
            policy_types: Some(types),
            ingress: Some(vec![
                ingress(vec![from_gateway, from_envoy_gateway], SSH_PORT),
                ingress(vec![from_monitoring], ADMIN_PORT),
            ]),
            egress: restricted.then(egress),
        }),
    }
}

/// Names, and every address but the metadata service's.
fn egress() -> Vec<NetworkPolicyEgressRule> {
    let names = NetworkPolicyEgressRule {
        ports: Some(vec![port(53, "UDP"), port(53, "TCP")]),
        // Anywhere: node-local name servers have link-local addresses.
        to: None,
    };
    let blocks = METADATA.map(|(all, except)| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: all.into(),
            except: Some(vec![except.into()]),
        }),
        ..NetworkPolicyPeer::default()
    });
    let addresses = NetworkPolicyEgressRule {
        to: Some(blocks.into()),
        ports: None,
    };
    vec![names, addresses]
}

fn ingress(from: Vec<NetworkPolicyPeer>, number: i32) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![port(number, "TCP")]),
    }
}

fn port(number: i32, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.into()),
        ..NetworkPolicyPort::default()
    }
}

/// An expression, since kustomize's `includeSelectors` would add the workspace's own labels to a peer's
/// matchLabels.
fn is_in<const N: usize>(key: &str, values: [String; N]) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.into(),
            operator: "In".into(),
            values: Some(values.into()),
        }]),
        ..LabelSelector::default()
    }
}
