//! The gateway's objects: one configuration, valid for Envoy, that fits the workspace's objects.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::{envoy, yaml};
use crate::kustomize::{build, manifests, object};

#[test]
fn the_mounted_envoy_configuration_is_the_file_that_demo_and_tests_run() {
    let objects = build("gateway/envoy");
    let deployment = object(&objects, "Deployment", "ssh-gateway");
    let volumes = deployment["spec"]["template"]["spec"]["volumes"]
        .as_array()
        .expect("volumes");
    for (volume, file) in [("bootstrap", "envoy.yaml"), ("workspaces", "cds.yaml")] {
        let volume = volumes
            .iter()
            .find(|found| found["name"] == volume)
            .expect("the volume");
        let map = volume["configMap"]["name"].as_str().expect("a name");
        let mounted = object(&objects, "ConfigMap", map)["data"][file]
            .as_str()
            .expect("text");
        let source = fs::read_to_string(manifests().join("gateway/envoy").join(file));
        assert_eq!(mounted, source.expect("the file"), "{file}");
    }
}

#[test]
fn envoy_accepts_the_configuration_as_the_deployment_mounts_it() {
    let objects = build("gateway/envoy");
    let deployment = object(&objects, "Deployment", "ssh-gateway");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let xds = container["volumeMounts"].as_array().expect("mounts").iter();
    let xds = xds
        .clone()
        .find(|mount| mount["name"] == "workspaces")
        .expect("the workspaces' mount");
    let xds = xds["mountPath"].as_str().expect("a path");

    let directory = tempfile::tempdir().expect("a temp dir");
    let here = directory.path().to_str().expect("UTF-8");
    let source = manifests().join("gateway/envoy");
    let bootstrap = fs::read_to_string(source.join("envoy.yaml")).expect("envoy.yaml");
    assert!(
        bootstrap.contains(xds),
        "Envoy reads the workspaces where they are mounted"
    );
    let file = directory.path().join("envoy.yaml");
    fs::write(&file, bootstrap.replace(xds, here)).expect("envoy.yaml");
    fs::copy(source.join("cds.yaml"), directory.path().join("cds.yaml")).expect("cds.yaml");
    let mut command = Command::new(envoy());
    let output = run(
        command.args(["--mode", "validate", "-c"]).arg(file),
        b"",
        PATIENCE,
    );
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("eprecated"), "{log}");
}

#[test]
fn the_gateways_first_workspace_is_the_example() {
    let objects = build("example");
    let service = object(&objects, "Service", "workspace");
    let host = format!(
        "workspace.{}.svc.cluster.local",
        service["metadata"]["namespace"]
            .as_str()
            .expect("a namespace")
    );
    let cds = fs::read_to_string(manifests().join("gateway/envoy/cds.yaml")).expect("cds.yaml");
    let cluster = &yaml(&cds)[0]["resources"][0];
    assert_eq!(cluster["name"], format!("{host}:80"));
    let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    assert_eq!(
        endpoint["address"]["socket_address"],
        json!({"address": host, "port_value": 80})
    );

    let route = build("gateway/envoy-gateway/per-workspace");
    let route = object(&route, "HTTPRoute", "workspace");
    assert_eq!(route["spec"]["hostnames"], json!([host]));
    assert_eq!(
        route["spec"]["rules"][0]["backendRefs"],
        json!([{"name": "workspace", "port": 80}])
    );
}

#[test]
fn workspaces_let_the_pods_of_every_gateway_in() {
    let objects = build("base");
    let rule = &object(&objects, "NetworkPolicy", "workspace")["spec"]["ingress"][0];
    let lets_in = |peer: usize, key: &str| {
        let only = json!([{"key": key, "operator": "In", "values": ["ssh-gateway"]}]);
        assert_eq!(rule["from"][peer]["podSelector"]["matchExpressions"], only);
    };
    lets_in(0, "app.kubernetes.io/component");
    for flavour in ["gateway/envoy", "gateway/istio"] {
        let objects = build(flavour);
        let gateway = object(&objects, "Deployment", "ssh-gateway");
        let labels = &gateway["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            labels["app.kubernetes.io/component"], "ssh-gateway",
            "{flavour}"
        );
        assert_eq!(gateway["metadata"]["namespace"], "ssh-gateway", "{flavour}");
    }
    // Envoy Gateway labels its pods by itself, and could not select them with other labels than its own: see
    // tests/cluster, where it runs.
    lets_in(1, "gateway.envoyproxy.io/owning-gateway-namespace");
    let objects = build("gateway/envoy-gateway");
    assert_eq!(
        object(&objects, "Gateway", "ssh")["metadata"]["namespace"],
        "ssh-gateway"
    );
    let proxy = object(&objects, "EnvoyProxy", "ssh");
    let pod = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["pod"];
    assert!(pod["labels"].is_null(), "{pod}");
}

#[test]
fn the_gateways_pods_end_after_their_wait_and_not_by_force() {
    let objects = build("gateway/envoy");
    let spec = &object(&objects, "Deployment", "ssh-gateway")["spec"]["template"]["spec"];
    let wait = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64();
    let kill = spec["terminationGracePeriodSeconds"].as_i64();
    assert!(kill.expect("a number") > wait.expect("a number"));
}

/// Those of manifests/gateway/auth.
pub(crate) const COMPONENTS: [&str; 4] = ["tls", "mtls", "jwt", "ext-authz"];

/// The plain Envoy gateway with one of the components of manifests/gateway/auth beside it.
#[track_caller]
pub(crate) fn with_component(name: &str) -> Vec<serde_json::Value> {
    let directory = tempfile::tempdir().expect("a temp dir");
    // kustomize takes no absolute path for a directory.
    let up = "../".repeat(directory.path().components().count() - 1);
    let gateway = format!(
        "{}{}/gateway",
        up.trim_end_matches('/'),
        manifests().display()
    );
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
         resources: [{gateway}/envoy]\ncomponents: [{gateway}/auth/{name}]\n"
    );
    fs::write(directory.path().join("kustomization.yaml"), text).expect("kustomization.yaml");
    build(directory.path().to_str().expect("UTF-8"))
}

#[test]
fn components_merge_the_listener_that_the_tests_run_and_mount_what_it_reads() {
    for name in COMPONENTS {
        let objects = with_component(name);
        let deployment = object(&objects, "Deployment", "ssh-gateway");
        let spec = &deployment["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let args = container["args"].as_array().expect("args");
        let last = &args[args.len() - 2..];
        assert_eq!(
            last,
            [json!("--config-yaml"), json!("$(FURTHER_LISTENER)")],
            "{name}"
        );
        let source = &container["env"][0]["valueFrom"]["configMapKeyRef"];
        let map = source["name"].as_str().expect("a name");
        let listener = object(&objects, "ConfigMap", map)["data"]["listener.yaml"].clone();
        let listener = listener.as_str().expect("text").to_owned();
        let file = manifests()
            .join("gateway/auth")
            .join(name)
            .join("listener.yaml");
        assert_eq!(
            listener,
            fs::read_to_string(file).expect("the file"),
            "{name}"
        );

        let ports = container["ports"].as_array().expect("ports").iter();
        let ports: Vec<_> = ports
            .map(|port| (&port["name"], &port["containerPort"]))
            .collect();
        assert!(
            ports.contains(&(&json!("connect-tls"), &json!(8443))),
            "{name}: {ports:?}"
        );
        assert!(listener.contains("port_value: 8443"), "{name}");
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        let mounts: Vec<_> = mounts
            .filter_map(|mount| mount["mountPath"].as_str())
            .collect();
        let secrets = spec["volumes"].as_array().expect("volumes").iter();
        let secrets = secrets
            .clone()
            .find(|volume| volume["name"] == "secrets")
            .expect("secrets");
        let map = secrets["configMap"]["name"].as_str().expect("a name");
        let secrets = &object(&objects, "ConfigMap", map)["data"];
        let texts = [
            &listener,
            secrets["server.yaml"].as_str().expect("text"),
            secrets["clients.yaml"].as_str().expect("text"),
        ];
        for path in texts.concat().split("/etc/envoy-").skip(1) {
            let directory = path.split(['/', '}', '\n', ' ']).next().unwrap_or_default();
            let directory = format!("/etc/envoy-{directory}");
            assert!(
                mounts.contains(&directory.as_str()),
                "{name}: {directory} is not mounted"
            );
        }
    }
}

#[test]
fn who_asks_for_credentials_has_no_second_door_without() {
    for (name, expected) in [
        ("tls", vec![80, 443]),
        ("mtls", vec![443]),
        ("jwt", vec![443]),
        ("ext-authz", vec![443]),
    ] {
        let objects = with_component(name);
        let service = object(&objects, "Service", "ssh-gateway");
        let ports = service["spec"]["ports"].as_array().expect("ports").iter();
        let ports: Vec<_> = ports.filter_map(|port| port["port"].as_i64()).collect();
        assert_eq!(ports, expected, "{name}");
    }
}
