//! Istio's control plane on this machine: istiod's own program, which follows a real API server, and the
//! shipped gateway as the proxy of a pod.
//!
//! The proxy is a stock Envoy. So what needs the filters of Istio's own build is off (metadata exchange, ALPN,
//! automatic mTLS, statistics); nothing of that is in the way of a CONNECT. No agent stands between the two:
//! what it would tell of the pod, the test tells.

use std::fs;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, PATIENCE};
use crate::endpoint::machine;
use crate::envoy::{Envoy, replace};
use crate::harness::http::get;
use crate::harness::process::{Background, eventually};
use crate::harness::tools::yaml;
use crate::server::{built, free_port};

/// The namespace of the gateway.
const GATEWAY: &str = "ssh-gateway";

/// A control plane with Istio, and the objects of `manifests/gateway/istio` in it.
pub(crate) struct Istio {
    pub(crate) plane: ControlPlane,
    /// Where the gateway's proxy is to listen: what the Service's port 80 leads to.
    port: u16,
    /// Where istiod answers proxies.
    discovery: String,
    _process: Background,
}

impl Istio {
    /// With the flavour of a kustomization below `manifests/gateway`.
    #[track_caller]
    pub(crate) fn start(kustomization: &str) -> Self {
        let plane = ControlPlane::start();
        plane.must(&["create", "namespace", "istio-system"]);
        plane.install_kinds(&built("gateways").join("istio-crds.yaml"));
        let port = free_port();
        apply_gateway(&plane, kustomization, port);
        let discovery = format!("127.0.0.1:{}", free_port());
        let process = istiod(&plane, &discovery);
        Self {
            plane,
            port,
            discovery,
            _process: process,
        }
    }

    /// The Envoy of the gateway's pod, once it listens.
    #[track_caller]
    pub(crate) fn envoy(&self) -> Envoy {
        Envoy::following(&self.bootstrap(), &self.listener())
    }

    /// What istiod calls the gateway's listener.
    pub(crate) fn listener(&self) -> String {
        format!("0.0.0.0_{}", self.port)
    }

    /// What istiod calls its route table.
    pub(crate) fn table(&self) -> String {
        format!("http.{}", self.port)
    }

    /// What the pod's agent would start its Envoy with, without what is the agent's own.
    fn bootstrap(&self) -> Value {
        let (host, port) = self.discovery.rsplit_once(':').expect("HOST:PORT");
        let port: u16 = port.parse().expect("a port");
        let follow =
            json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        json!({
            "node": {
                "id": format!("router~{}~{GATEWAY}-0.{GATEWAY}~{GATEWAY}.svc.cluster.local", machine()),
                "cluster": format!("{GATEWAY}.{GATEWAY}"),
                "metadata": metadata(&self.plane),
            },
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC", "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]
                },
                "lds_config": follow, "cds_config": follow
            },
            "static_resources": {"clusters": [{
                "name": "xds-grpc", "type": "STATIC", "connect_timeout": "5s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}
                }},
                "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{
                    "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}
                }]}]}
            }]}
        })
    }
}

/// Puts the shipped objects there, and the gateway's pod as it would run. One thing differs: port 80 of this
/// machine is not ours, so the Service's port 80 leads to another of the pod's, as Istio's own gateways do it.
#[track_caller]
fn apply_gateway(plane: &ControlPlane, kustomization: &str, port: u16) {
    let objects = plane.must(&["kustomize", &format!("manifests/gateway/{kustomization}")]);
    let objects = replace(&objects, "targetPort: 80", &format!("targetPort: {port}"));
    plane.apply(&objects);
    let deployment = plane.get(GATEWAY, "deployment", GATEWAY);
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(format!("{GATEWAY}-0"));
    pod["metadata"]["namespace"] = json!(GATEWAY);
    plane.apply(&pod.to_string());
    let status = json!({"status": {
        "phase": "Running", "podIP": machine(), "podIPs": [{"ip": machine()}],
        "conditions": [{"type": "Ready", "status": "True"}]
    }});
    let pod = format!("{GATEWAY}-0");
    let patch = [
        "patch",
        "pod",
        &pod,
        "-n",
        GATEWAY,
        "--subresource=status",
        "--type=merge",
        "-p",
    ];
    plane.must(&[&patch[..], &[&status.to_string()]].concat());
}

/// What the agent tells of the pod: labels, and `proxyMetadata` of its annotation.
#[track_caller]
fn metadata(plane: &ControlPlane) -> Value {
    let pod = plane.get(GATEWAY, "pod", &format!("{GATEWAY}-0"));
    let annotation = pod["metadata"]["annotations"]["proxy.istio.io/config"].as_str();
    let config = yaml(annotation.expect("the annotation")).remove(0);
    let mut metadata = json!({
        "NAMESPACE": GATEWAY, "LABELS": pod["metadata"]["labels"], "CLUSTER_ID": "Kubernetes",
        "SERVICE_ACCOUNT": pod["spec"]["serviceAccountName"], "PROXY_CONFIG": config,
    });
    let variables = config["proxyMetadata"].as_object().expect("proxyMetadata");
    for (name, value) in variables {
        if let Some(name) = name.strip_prefix("ISTIO_META_") {
            metadata[name] = value.clone();
        }
    }
    metadata
}

#[track_caller]
fn istiod(plane: &ControlPlane, discovery: &str) -> Background {
    let mesh = plane.path("mesh");
    // Automatic mTLS, and the statistics, want Istio's own Envoy.
    fs::write(&mesh, "enableAutoMtls: false\ndefaultProviders: {}\n").expect("a mesh");
    let http = format!("127.0.0.1:{}", free_port());
    let kubeconfig = plane.kubeconfig.to_str().expect("UTF-8");
    let arguments = [
        "discovery".to_owned(),
        format!("--kubeconfig={kubeconfig}"),
        format!("--meshConfig={mesh}"),
        format!("--grpcAddr={discovery}"),
        format!("--httpAddr={http}"),
        "--httpsAddr=".to_owned(),
        "--secureGRPCAddr=".to_owned(),
        "--monitoringAddr=".to_owned(),
        "--ctrlz_port=0".to_owned(),
    ];
    let environment = [
        ("POD_NAMESPACE", "istio-system"),
        ("ENABLE_CA_SERVER", "false"),
        ("ENABLE_LEADER_ELECTION", "false"),
        ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
        ("PILOT_CERT_PROVIDER", "none"),
        ("PILOT_ENABLE_ALPN_FILTER", "false"),
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ("XDS_AUTH", "false"),
    ];
    let program = built("gateways").join("pilot-discovery");
    let mut process = plane.start_beside(&program, &arguments, &environment);
    eventually("istiod is ready", PATIENCE, || {
        assert!(process.is_running(), "{}", plane.log("pilot-discovery"));
        (get(&http, "/ready").0 == 200).then_some(())
    });
    process
}
