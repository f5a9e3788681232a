//! Envoy Gateway's controller on this machine, following a real API server, and the shipped Gateway as it makes
//! it: its own bootstrap, taken from the Deployment it writes, on a real Envoy that follows it.
//!
//! Ports and certificates have fixed places in the controller, so it runs in a network and a root of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::control_plane::{ControlPlane, PATIENCE};
use crate::envoy::{Envoy, replace};
use crate::harness::process::{Background, eventually, run};
use crate::harness::tools::yaml;
use crate::link::Link;
use crate::server::{built, free_port, start};

/// Where the controller and the pods of its gateways live.
const SYSTEM: &str = "envoy-gateway-system";

const CONFIGURATION: &str = "\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
provider: {type: Kubernetes, kubernetes: {leaderElection: {disable: true}}}
";

/// A control plane with Envoy Gateway, and the objects of `manifests/gateway/envoy-gateway` in it.
pub(crate) struct EnvoyGateway {
    pub(crate) plane: ControlPlane,
    directory: TempDir,
    _process: Background,
    _way_out: Link,
}

impl EnvoyGateway {
    /// Up to where the Gateway and its policies are accepted, its objects changed by `change`.
    #[track_caller]
    pub(crate) fn start(change: impl FnOnce(&str) -> String) -> Self {
        let plane = ControlPlane::start();
        plane.must(&["create", "namespace", SYSTEM]);
        let crds = built("gateways").join("envoy-gateway-crds.yaml");
        plane.install_kinds(&crds);
        let directory = tempfile::tempdir().expect("a temp dir");
        certificates(&plane, directory.path());
        let (way_out, process) = controller(&plane, directory.path());
        let gateway = Self {
            plane,
            directory,
            _process: process,
            _way_out: way_out,
        };
        gateway.apply(change);
        gateway
    }

    /// The shipped objects. One thing differs: port 80 of this machine is not ours.
    #[track_caller]
    fn apply(&self, change: impl FnOnce(&str) -> String) {
        let objects = self
            .plane
            .must(&["kustomize", "manifests/gateway/envoy-gateway"]);
        let port = format!("port: {}\n", free_port());
        let objects = change(&replace(&objects, "port: 80\n", &port));
        self.plane.apply(&objects);
        for (kind, name) in [
            ("clienttrafficpolicy", "ssh"),
            ("backendtrafficpolicy", "ssh"),
        ] {
            self.plane.wait_for("ssh-gateway", kind, name, |policy| {
                accepted(&policy["status"]["ancestors"][0])
            });
        }
        self.plane
            .wait_for("ssh-gateway", "gateway", "ssh", |gateway| {
                accepted(&gateway["status"])
            });
    }

    /// The Deployment it has written for the Gateway.
    #[track_caller]
    pub(crate) fn deployment(&self) -> Value {
        eventually("a Deployment of the Gateway", PATIENCE, || {
            let of = "gateway.envoyproxy.io/owning-gateway-name=ssh";
            let text =
                self.plane
                    .must(&["get", "deployments", "-n", SYSTEM, "-l", of, "-o", "json"]);
            let list: Value = serde_json::from_str(&text).expect("JSON");
            list["items"].get(0).cloned()
        })
    }

    /// An Envoy started as that Deployment starts its own, once it listens.
    #[track_caller]
    pub(crate) fn envoy(&self) -> Envoy {
        let deployment = self.deployment();
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
        let envoy = containers
            .expect("containers")
            .iter()
            .find(|one| one["name"] == "envoy");
        let arguments = envoy.expect("a container envoy")["args"]
            .as_array()
            .expect("args");
        let after = |flag: &str| {
            let at = arguments.iter().position(|one| one == flag);
            let value = at.and_then(|at| arguments.get(at + 1)?.as_str());
            value.unwrap_or_else(|| panic!("no {flag} in {arguments:?}"))
        };
        let mut bootstrap = yaml(after("--config-yaml")).remove(0);
        self.settle(&mut bootstrap);
        bootstrap["node"]["id"] = json!("ssh-0");
        bootstrap["node"]["cluster"] = json!(after("--service-cluster"));
        Envoy::following(&bootstrap, "ssh-gateway/ssh/http")
    }

    /// Has a bootstrap listen on free ports, find its certificates here and the controller by its socket.
    fn settle(&self, bootstrap: &mut Value) {
        bootstrap["admin"]["address"]["socket_address"]["port_value"] = json!(0);
        bootstrap["static_resources"]["listeners"] = json!([]); // its statistics' port is fixed
        // The proxies know each other by zone; here is one, and nobody to tell it so.
        bootstrap["cluster_manager"] = json!({});
        for (file, content) in self.discovery_files() {
            fs::write(self.directory.path().join(file), content).expect("a file");
        }
        let here = self.directory.path().to_str().expect("UTF-8");
        let text = bootstrap.to_string().replace("/sds/", &format!("{here}/"));
        *bootstrap = serde_json::from_str(&text).expect("JSON");
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
        let clusters = clusters.expect("clusters");
        clusters.retain(|one| one["type"] != "EDS");
        let cluster = clusters
            .iter_mut()
            .find(|one| one["name"] == "xds_cluster")
            .expect("xds_cluster");
        cluster["type"] = json!("STATIC");
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
            json!({"pipe": {"path": format!("{here}/xds")}});
    }

    /// What the pod mounts at /sds, with the certificates where they are here.
    fn discovery_files(&self) -> Vec<(String, String)> {
        let text = self
            .plane
            .must(&["get", "configmaps", "-n", SYSTEM, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let maps = list["items"].as_array().expect("items").iter();
        let files = maps.filter_map(|map| map["data"].as_object()).flatten();
        let files = files.filter(|(name, _)| name.starts_with("xds-"));
        let certificates = self.directory.path().join("envoy/");
        let certificates = certificates.to_str().expect("UTF-8");
        let here = |content: &Value| {
            content
                .as_str()
                .expect("text")
                .replace("/certs/", certificates)
        };
        files
            .map(|(name, content)| (name.clone(), here(content)))
            .collect()
    }
}

fn accepted(status: &Value) -> Option<()> {
    let conditions = status["conditions"].as_array()?;
    let holds =
        |condition: &Value| condition["type"] == "Accepted" && condition["status"] == "True";
    conditions.iter().any(holds).then_some(())
}

/// Has the program make its certificates as its installation does, and puts them where they are looked for.
#[track_caller]
fn certificates(plane: &ControlPlane, directory: &Path) {
    let mut certgen = Command::new(built("gateways").join("envoy-gateway"));
    certgen.args(["certgen", "--disable-topology-injector"]);
    let output = run(certgen.env("KUBECONFIG", &plane.kubeconfig), b"", PATIENCE);
    assert!(output.status.success(), "{output:?}");
    for (secret, target) in [("envoy-gateway", "root/certs"), ("envoy", "envoy")] {
        let target = directory.join(target);
        fs::create_dir_all(&target).expect("a directory");
        for file in ["ca.crt", "tls.crt", "tls.key"] {
            let template = format!("go-template={{{{index .data \"{file}\" | base64decode}}}}");
            let content = plane.must(&["get", "secret", secret, "-n", SYSTEM, "-o", &template]);
            fs::write(target.join(file), content).expect(file);
        }
    }
}

#[track_caller]
fn controller(plane: &ControlPlane, directory: &Path) -> (Link, Background) {
    let root = directory.join("root");
    for name in ["tmp", "dev"] {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
    let program = built("gateways").join("envoy-gateway");
    fs::copy(program, root.join("envoy-gateway")).expect("a copy of the program");
    fs::write(root.join("configuration.yaml"), CONFIGURATION).expect("a configuration");
    let kubeconfig = plane.must(&["config", "view", "--raw", "--flatten"]);
    fs::write(root.join("kubeconfig"), kubeconfig).expect("a kubeconfig");
    let api = plane.server.trim_start_matches("https://");
    let way_out = Link::from_socket(&directory.join("api"), api);
    let (_, port) = api.rsplit_once(':').expect("HOST:PORT");
    let apart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/apart.sh");
    let arguments = [
        directory.to_str().expect("UTF-8"),
        port,
        "/envoy-gateway",
        "server",
        "--config-path",
        "/configuration.yaml",
    ];
    let environment = [("KUBECONFIG", "/kubeconfig"), ("HOME", "/tmp")];
    let process = start(
        directory,
        &apart,
        &arguments.map(str::to_owned),
        &environment,
    );
    (way_out, process)
}
