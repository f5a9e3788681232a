//! What podssh renders, a current API server takes, Pod Security admits, and the controllers make a pod of.

use std::process::Command;

use serde_json::Value;

use crate::control_plane::{ControlPlane, PATIENCE, whole};
use crate::harness::daemon::binary;
use crate::harness::process::run;

/// The flags of each overlay of `manifests/overlays`, and of none.
const FLAVOURS: [(&str, &[&str], &str); 6] = [
    ("base", &[], "restricted"),
    ("restricted", &["--security", "restricted"], "restricted"),
    ("sudo", &["--security", "sudo"], "baseline"),
    ("gpu", &["--gpus", "1"], "restricted"),
    (
        "inject",
        &[
            "--image",
            "ubuntu:24.04",
            "--inject",
            "podssh-workspace:0.1.0",
        ],
        "restricted",
    ),
    ("watch-keys", &["--watch-keys"], "restricted"),
];

#[track_caller]
fn rendered(namespace: &str, flags: &[&str]) -> String {
    let mut command = Command::new(binary());
    command
        .args(["render", "workspace", "--namespace", namespace])
        .args(flags);
    let output = run(&mut command, b"", PATIENCE);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Applies strictly, as one manager; no warning may come of it.
#[track_caller]
fn apply_strictly(plane: &ControlPlane, text: &str) -> String {
    let arguments = ["apply", "--server-side", "--validate=strict", "-f", "-"];
    let output = plane.kubectl_with(&arguments, text);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_flavour_is_applied_and_its_pod_admitted_at_its_pod_security_level() {
    let plane = whole();
    for (name, flags, level) in FLAVOURS {
        let namespace = format!("ws-flavour-{name}");
        plane.namespace(&namespace, level);
        let text = rendered(&namespace, flags);
        let applied = apply_strictly(plane, &text);
        assert!(
            applied.contains("statefulset.apps/workspace serverside-applied"),
            "{applied}"
        );
        // Twice is as once.
        apply_strictly(plane, &text);
        let pod = plane.wait_for(&namespace, "pod", "workspace-0", |pod| Some(pod.clone()));
        assert_eq!(pod["spec"]["serviceAccountName"], "workspace", "{name}");
        let mounts_token = token_mounted(&pod);
        assert_eq!(
            mounts_token,
            name == "watch-keys",
            "{name}: a token in the pod"
        );
        assert_eq!(pod["spec"]["enableServiceLinks"], false, "{name}");
    }
}

fn token_mounted(pod: &Value) -> bool {
    let text = pod["spec"].to_string();
    text.contains("serviceAccountToken") || text.contains("kube-api-access")
}

#[test]
fn pod_security_refuses_sudo_where_restricted_is_enforced_and_says_so() {
    let plane = whole();
    plane.namespace("ws-strict", "restricted");
    // The workload is stored, with a warning; its pod is refused.
    plane.apply(&rendered("ws-strict", &["--security", "sudo"]));
    let message = plane.wait_for_event("ws-strict", "FailedCreate");
    assert!(
        message.contains("violates PodSecurity \"restricted"),
        "{message}"
    );
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "ws-strict"},
        "spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "a"}]}}"#;
    let output = plane.kubectl_with(&["create", "-f", "-"], pod);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("violates PodSecurity"),
        "{stderr}"
    );
}

#[test]
fn the_example_and_each_gateways_core_objects_are_accepted() {
    let plane = whole();
    for name in ["example", "gateway/envoy"] {
        let path = format!("{}/manifests/{name}", env!("CARGO_MANIFEST_DIR"));
        let built = plane.must(&["kustomize", &path]);
        apply_strictly(plane, &built);
    }
    let service = plane.get("ws-demo", "service", "workspace");
    assert_eq!(service["spec"]["ports"][0]["appProtocol"], "tcp");
}
