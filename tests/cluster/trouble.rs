//! What goes wrong in a cluster is said in one sentence, with the object, the reason and the next step; and
//! running the same command again converges.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::commands::{add_node, node, volume};
use crate::control_plane::{ControlPlane, whole};
use crate::harness::process::eventually;

/// A namespace and its administrator.
#[track_caller]
fn place(namespace: &str) -> (&'static ControlPlane, Cli) {
    let plane = whole();
    plane.must(&["create", "namespace", namespace]);
    (plane, Cli::of(plane))
}

/// `up` that has time to apply everything, and none to wait.
fn up<'a>(namespace: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["up", "a", "-n", namespace, "--timeout", "1s"];
    arguments.extend(flags);
    arguments
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in: {sentence}");
    }
}

#[test]
fn names_and_keys_are_checked_before_anything_is_sent() {
    let plane = whole();
    let cli = Cli::of(plane);
    let bad = cli.home().join("bad.pub");
    fs::write(&bad, "ssh-ed25519 AAAA nonsense\n").expect("a file");
    let bad = bad.to_str().expect("UTF-8");
    for (arguments, part) in [
        (&["up", "Svc_A"][..], "\"Svc_A\""),
        (&["render", "a", "--namespace", "x.y"], "\"x.y\""),
        (&["up", "a", "--key", bad], "the key of bad does not parse"),
        (&["render", "a", "--key", "/nowhere.pub"], "/nowhere.pub"),
        (&["render", "a", "--storage", "20GB"], "--storage"),
        (&["render", "a", "--gateway", "nginx"], "none, istio"),
        (
            &["render", "a", "--gateway", "envoy-gateway"],
            "--namespace",
        ),
        (&["up", "a", "--dry-run", "maybe"], "--dry-run"),
        (&["keys", "remove", "a", "../x"], "cannot name a person"),
    ] {
        let (sentence, code) = cli.fails(arguments);
        says(&sentence, &[part]);
        assert_eq!(code, 64, "{sentence}");
    }
}

#[test]
fn a_field_that_somebody_else_set_is_named_with_its_owner() {
    let (plane, cli) = place("ws-conflict");
    cli.fails(&up("ws-conflict", &[]));
    let stop = r#"{"spec": {"replicas": 0}}"#;
    plane.must(&[
        "patch",
        "statefulset",
        "a",
        "-n",
        "ws-conflict",
        "--type=merge",
        "-p",
        stop,
    ]);
    let (sentence, code) = cli.fails(&up("ws-conflict", &[]));
    says(
        &sentence,
        &[
            "StatefulSet a",
            ".spec.replicas is set by kubectl",
            "--force-conflicts",
        ],
    );
    assert_eq!(code, 69);
    cli.fails(&up("ws-conflict", &["--force-conflicts"]));
    let set = plane.get("ws-conflict", "statefulset", "a");
    assert_eq!(set["spec"]["replicas"], 1);
}

#[test]
fn dry_runs_and_diff_change_nothing_and_say_what_would() {
    let (plane, cli) = place("ws-dry");
    for flags in [
        &["--dry-run", "client"][..],
        &["--dry-run", "server"],
        &["--diff"],
    ] {
        let said = cli.must(&up("ws-dry", flags));
        says(&said, &["StatefulSet a", "Secret a-authorized-keys"]);
        let there = plane.must(&[
            "get",
            "statefulsets,secrets,services",
            "-n",
            "ws-dry",
            "-o",
            "name",
        ]);
        assert_eq!(there, "", "{flags:?}");
    }
    cli.fails(&up("ws-dry", &[]));
    assert_eq!(cli.must(&up("ws-dry", &["--diff"])), "", "nothing differs");
    let lines = cli.must(&up("ws-dry", &["--diff", "--memory", "8Gi"]));
    says(
        &lines,
        &[
            "StatefulSet a: spec.template.spec.containers[0].resources.limits.memory: \"4Gi\" -> \"8Gi\"",
        ],
    );
    assert_eq!(lines.lines().count(), 2, "{lines}");
    // The server's own check is asked too.
    let (sentence, code) = cli.fails(&up("ws-dry", &["--dry-run", "server", "--storage", "30Gi"]));
    says(
        &sentence,
        &[
            "apply StatefulSet a",
            "spec.volumeClaimTemplates",
            "immutable",
        ],
    );
    assert_eq!(code, 78);
}

#[test]
fn a_missing_namespace_right_kind_or_context_is_said() {
    let (plane, cli) = place("ws-missing");
    let (sentence, code) = cli.fails(&up("ws-nowhere", &[]));
    says(
        &sentence,
        &["\"ws-nowhere\" not found", "kubectl create namespace"],
    );
    assert_eq!(code, 69);

    let (sentence, code) = cli.fails(&up("ws-missing", &["--gateway", "envoy-gateway"]));
    says(
        &sentence,
        &[
            "apply HTTPRoute a",
            "does not know this kind",
            "Envoy Gateway",
        ],
    );
    assert_eq!(code, 69);

    let (sentence, code) = cli.fails(&["list", "--context", "production"]);
    says(&sentence, &["no context \"production\"", "it has: test"]);
    assert_eq!(code, 78);

    let kubeconfig = PathBuf::from(plane.path("bob"));
    fs::write(&kubeconfig, plane.kubeconfig_for("bob-token")).expect("a kubeconfig");
    let (sentence, code) = Cli::with(&kubeconfig).fails(&up("ws-missing", &[]));
    says(
        &sentence,
        &["User \"bob\" cannot", "ask whoever administers the cluster"],
    );
    assert_eq!(code, 77);

    let stranger = PathBuf::from(plane.path("stranger"));
    fs::write(&stranger, plane.kubeconfig_for("no-such-token")).expect("a kubeconfig");
    let (sentence, code) = Cli::with(&stranger).fails(&["list"]);
    says(&sentence, &["credentials", "log in to the cluster again"]);
    assert_eq!(code, 77);

    let (sentence, code) = Cli::with("/nowhere/kubeconfig".as_ref()).fails(&["list"]);
    says(&sentence, &["/nowhere/kubeconfig", "--kubeconfig"]);
    assert_eq!(code, 78);
}

#[test]
fn an_api_server_that_is_away_is_named() {
    let plane = whole();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = format!("https://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let kubeconfig = PathBuf::from(plane.path("away"));
    let text = fs::read_to_string(&plane.kubeconfig).expect("a kubeconfig");
    fs::write(&kubeconfig, text.replace(&plane.server, &away)).expect("a kubeconfig");
    let (sentence, code) = Cli::with(&kubeconfig).fails(&["up", "a"]);
    says(
        &sentence,
        &[&away, "cannot be reached", "refused", "check the context"],
    );
    assert_eq!(code, 69);
}

#[test]
fn a_quota_is_said_where_it_strikes_and_a_second_run_goes_on_from_there() {
    let (plane, cli) = place("ws-quota");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "ws-quota"},
        "spec": {"hard": {"services": "1"}}
    });
    plane.apply(&quota.to_string());
    plane.wait_for("ws-quota", "resourcequota", "small", |quota| {
        quota["status"]["hard"]["services"].as_str().map(drop)
    });
    let (sentence, code) = cli.fails(&up("ws-quota", &[]));
    says(
        &sentence,
        &[
            "apply Service a",
            "exceeded quota: small",
            "ask for more quota",
        ],
    );
    assert_eq!(code, 69);
    let halfway = plane.must(&[
        "get",
        "secrets,services,statefulsets",
        "-n",
        "ws-quota",
        "-o",
        "name",
    ]);
    assert!(
        halfway.contains("service/a") && !halfway.contains("statefulset"),
        "{halfway}"
    );
    plane.must(&["delete", "resourcequota", "small", "-n", "ws-quota"]);
    cli.fails(&up("ws-quota", &[]));
    plane.get("ws-quota", "statefulset", "a");
    let people = cli.must(&["keys", "list", "a", "-n", "ws-quota"]);
    assert_eq!(people.lines().count(), 1, "{people}");
}

#[test]
fn a_workspace_that_does_not_get_ready_says_why_in_the_clusters_words() {
    let (plane, cli) = place("ws-stuck");
    let again = up("ws-stuck", &["--gpus", "1"]);
    let stuck = |parts: &[&str]| {
        let (sentence, code) = cli.fails(&again);
        says(&sentence, &["workspace a is not ready after 1s"]);
        says(&sentence, parts);
        assert_eq!(code, 69);
    };
    node(plane);
    cli.fails(&again);
    // No volume for its claim.
    plane.wait_for_event("ws-stuck", "FailedBinding");
    scheduler_says(plane, "PersistentVolumeClaim");
    stuck(&[
        "finding a node",
        "no persistent volumes available",
        "--storage-class",
    ]);
    // No node with a GPU.
    volume(plane, "ws-stuck", "a");
    scheduler_says(plane, "nvidia.com/gpu");
    stuck(&["finding a node", "Insufficient nvidia.com/gpu", "--gpus"]);
    // A node that has one, and is not kwok's: on it the test plays the kubelet.
    let size = json!({"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "9", "nvidia.com/gpu": "1"});
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu"},
        "status": {"capacity": size, "allocatable": size}
    });
    // Tainted, as such nodes are: no other test's pod may land there.
    let taint = json!([{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]);
    add_node(plane, &node, &taint);
    plane.wait_for("ws-stuck", "pod", "a-0", |pod| {
        pod["spec"]["nodeName"].as_str().map(drop)
    });
    container_state(
        plane,
        &json!({"waiting": {
            "reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"
        }}),
        &json!({}),
        "False",
    );
    stuck(&[
        "pulling the image",
        "Back-off pulling image: not found",
        "--image",
    ]);
    container_state(
        plane,
        &json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
        &json!({"terminated": {"exitCode": 78, "message": "--user: nobody is called x", "reason": "Error"}}),
        "False",
    );
    stuck(&[
        "starting",
        "CrashLoopBackOff",
        "ended with 78: --user: nobody is called x",
        "kubectl logs",
    ]);
    container_state(plane, &json!({"running": {}}), &json!({}), "True");
    let said = cli.must(&again);
    says(&said, &["workspace a is ready", "--gateway-url"]);
}

#[track_caller]
fn scheduler_says(plane: &ControlPlane, part: &str) {
    plane.wait_for("ws-stuck", "pod", "a-0", |pod| {
        let conditions = pod["status"]["conditions"].as_array()?;
        let scheduled = conditions
            .iter()
            .find(|condition| condition["type"] == "PodScheduled")?;
        scheduled["message"].as_str()?.contains(part).then_some(())
    });
}

#[track_caller]
fn container_state(plane: &ControlPlane, state: &Value, last: &Value, ready: &str) {
    let patch = json!({"status": {
        "phase": if ready == "True" { "Running" } else { "Pending" },
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": [{
            "name": "workspace", "image": "x", "imageID": "", "ready": ready == "True", "restartCount": 0,
            "state": state, "lastState": last
        }]
    }});
    plane.must(&[
        "patch",
        "pod",
        "a-0",
        "-n",
        "ws-stuck",
        "--subresource=status",
        "-p",
        &patch.to_string(),
    ]);
}

#[test]
fn two_people_who_add_keys_at_once_both_get_in() {
    let (_, cli) = place("ws-two");
    cli.fails(&up("ws-two", &[]));
    let names: Vec<String> = (0..6).map(|number| format!("person{number}")).collect();
    let keys: Vec<String> = names.iter().map(|name| cli.key_of(name)).collect();
    let mut writers: Vec<_> = keys
        .iter()
        .map(|key| {
            cli.command(&["keys", "add", "a", key, "-n", "ws-two"])
                .spawn()
                .expect("podssh")
        })
        .collect();
    let mut done = 0;
    eventually(
        "every writer has ended",
        crate::control_plane::PATIENCE,
        || {
            writers.retain_mut(|writer| match writer.try_wait().expect("our child") {
                Some(status) => {
                    assert!(status.success());
                    done += 1;
                    false
                }
                None => true,
            });
            (done == names.len()).then_some(())
        },
    );
    let people = cli.must(&["keys", "list", "a", "-n", "ws-two"]);
    for name in &names {
        assert!(
            people.contains(name.as_str()),
            "{name} is missing:\n{people}"
        );
    }
}
