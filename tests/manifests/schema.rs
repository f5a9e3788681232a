//! Every field of every core object exists, in each of the last five Kubernetes versions.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::gateway::{COMPONENTS, with_component};
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::tool;
use crate::kustomize::{build, kustomizations};

const VERSIONS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

/// Objects whose schema is not Kubernetes' own; tests/gateway runs what they configure.
const FOREIGN: [&str; 4] = [
    "networking.istio.io/v1",
    "networking.istio.io/v1alpha3",
    "gateway.networking.k8s.io/v1",
    "gateway.envoyproxy.io/v1alpha1",
];

fn validate(objects: &[Value], version: &str) -> Output {
    let directory = tempfile::tempdir().expect("a temp dir");
    let file = directory.path().join("objects.yaml");
    let documents: Vec<_> = objects.iter().map(Value::to_string).collect(); // JSON is YAML
    fs::write(&file, documents.join("\n---\n")).expect("a file");
    let mut command = Command::new(tool(
        "PODSSH_KUBERNETES_VALIDATE",
        "venv/bin/kubernetes-validate",
    ));
    run(
        command.args(["--strict", "-k", version]).arg(file),
        b"",
        PATIENCE,
    )
}

#[test]
fn every_kustomization_builds_and_every_core_object_is_valid() {
    let mut core = Vec::new();
    for name in kustomizations() {
        let foreign = |object: &Value| {
            FOREIGN
                .iter()
                .any(|version| object["apiVersion"] == *version)
        };
        core.extend(build(&name).into_iter().filter(|object| !foreign(object)));
    }
    core.extend(COMPONENTS.into_iter().flat_map(with_component));
    assert!(core.len() > 20, "only {} objects", core.len());
    for version in VERSIONS {
        let output = validate(&core, version);
        assert!(
            output.status.success(),
            "{version}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_misspelt_field_would_be_found() {
    let mut objects = build("base");
    let service = objects
        .iter_mut()
        .find(|object| object["kind"] == "Service")
        .expect("a Service");
    service["spec"]["ports"][0]["appProtokol"] = json!("tcp");
    assert!(!validate(&objects, VERSIONS[4]).status.success());
}
