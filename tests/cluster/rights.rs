//! What a workspace may ask of the API: nothing, or with `--watch-keys` one Secret.

use crate::cli::Cli;
use crate::control_plane::{ControlPlane, whole};

#[track_caller]
fn setup(plane: &ControlPlane, namespace: &str, flags: &[&str]) {
    plane.must(&["create", "namespace", namespace]);
    let cli = Cli::of(plane);
    let mut arguments = vec!["render", "workspace", "--namespace", namespace];
    arguments.extend(flags);
    let text = cli.must(&arguments);
    plane.apply(&text);
    plane.apply(&format!(
        r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "workspace-host-keys", "namespace": "{namespace}"}}}}"#
    ));
}

/// Whether the workspace's account gets `path` below its namespace: by a real request, impersonated.
#[track_caller]
fn gets(plane: &ControlPlane, namespace: &str, path: &str) -> bool {
    let user = format!("--as=system:serviceaccount:{namespace}:workspace");
    let path = format!("/api/v1/namespaces/{namespace}/{path}");
    let output = plane.kubectl(&["get", "--raw", &path, &user]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || stderr.contains("Forbidden"),
        "{stderr}"
    );
    output.status.success()
}

#[track_caller]
fn may(plane: &ControlPlane, namespace: &str, verb: &str, what: &str) -> bool {
    let user = format!("--as=system:serviceaccount:{namespace}:workspace");
    plane
        .kubectl(&["auth", "can-i", verb, what, "-n", namespace, &user])
        .status
        .success()
}

#[test]
fn the_account_of_a_watching_workspace_reads_its_own_keys_secret_and_nothing_else() {
    let plane = whole();
    let namespace = "ws-rights";
    setup(plane, namespace, &["--watch-keys"]);
    let watch = "secrets?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D";
    assert!(gets(plane, namespace, "secrets/workspace-authorized-keys"));
    assert!(gets(
        plane,
        namespace,
        &format!("{watch}workspace-authorized-keys")
    ));
    for path in [
        "secrets",
        "secrets/workspace-host-keys",
        "secrets?watch=1&timeoutSeconds=1",
        &format!("{watch}workspace-host-keys"),
        "pods",
        "pods/workspace-0",
        "configmaps",
    ] {
        assert!(!gets(plane, namespace, path), "{path}");
    }
    for (verb, what) in [
        ("update", "secrets/workspace-authorized-keys"),
        ("patch", "secrets/workspace-authorized-keys"),
        ("delete", "secrets/workspace-authorized-keys"),
        ("patch", "pods/workspace-0"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("patch", "statefulsets.apps/workspace"),
    ] {
        assert!(!may(plane, namespace, verb, what), "{verb} {what}");
    }
}

#[test]
fn the_account_of_any_other_workspace_reads_nothing() {
    let plane = whole();
    let namespace = "ws-no-rights";
    setup(plane, namespace, &[]);
    for path in [
        "secrets/workspace-authorized-keys",
        "secrets",
        "pods",
        "services",
    ] {
        assert!(!gets(plane, namespace, path), "{path}");
    }
}
