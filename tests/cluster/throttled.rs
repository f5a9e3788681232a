//! An API server that has too much to do: its own 429, by a priority level without a single free seat.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::control_plane::{ControlPlane, PATIENCE};
use crate::harness::process::{Background, eventually};
use crate::harness::tools::tool;
use crate::key_watch::{login_becomes, prepare, revoke, serve_by, set_keys};
use crate::link::Link;
use crate::server::free_port;

/// A request that takes the API server long, and while it lasts none of the subjects is let in.
struct Busy {
    _request: Background,
    _webhook: Background,
}

/// A priority level without a seat, for the subjects and whoever holds it busy. It lets one request in, or it
/// would be of no use at all, and refuses those that come meanwhile.
#[track_caller]
fn narrow(plane: &ControlPlane, subject: &Value) {
    let level = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "busy"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}
        }}
    });
    let schema = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
        "metadata": {"name": "busy"},
        "spec": {
            "priorityLevelConfiguration": {"name": "busy"}, "matchingPrecedence": 2,
            "rules": [{
                "subjects": [subject, {"kind": "User", "user": {"name": "holder"}}],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                    "namespaces": ["*"], "clusterScope": true
                }]
            }]
        }
    });
    plane.apply(&level.to_string());
    plane.apply(&schema.to_string());
    eventually("the API server knows it", PATIENCE, || {
        let schema = plane.must(&["get", "flowschema", "busy", "-o", "json"]);
        schema.contains("\"type\": \"Dangling\"").then_some(())
    });
}

/// Has a request wait for an admission webhook that says nothing, for half a minute or until it is dropped.
#[track_caller]
fn busy(plane: &ControlPlane, namespace: &str, subject: &Value) -> Busy {
    narrow(plane, subject);
    let webhook = silent_webhook(plane, namespace);
    let role = [
        "create",
        "clusterrolebinding",
        "holder",
        "--clusterrole=cluster-admin",
    ];
    plane.must(&[&role[..], &["--user=holder"]].concat());
    let mut request = Command::new(tool("PODSSH_KUBECTL", "venv/bin/kubectl"));
    request.arg("--kubeconfig").arg(&plane.kubeconfig);
    request.args([
        "create",
        "configmap",
        "held",
        "--as=holder",
        "-n",
        namespace,
    ]);
    let request = request.stdout(Stdio::null()).stderr(Stdio::null());
    let request = Background::start(request.stdin(Stdio::null()));
    eventually("the API server is at it", PATIENCE, || {
        let said = fs::read_to_string(plane.path("openssl.log")).unwrap_or_default();
        said.contains("AdmissionReview").then_some(())
    });
    Busy {
        _request: request,
        _webhook: webhook,
    }
}

/// Is asked about new ConfigMaps, and does not answer.
#[track_caller]
fn silent_webhook(plane: &ControlPlane, namespace: &str) -> Background {
    let address = format!("127.0.0.1:{}", free_port());
    let log = fs::File::create(plane.path("openssl.log")).expect("a log");
    let mut webhook = Command::new("openssl");
    webhook.args(["s_server", "-quiet", "-accept", &address, "-cert"]);
    webhook.arg(plane.path("certificates/apiserver.crt"));
    webhook
        .arg("-key")
        .arg(plane.path("certificates/apiserver.key"));
    // It would end with its input.
    let webhook = Background::start(webhook.stdin(Stdio::piped()).stdout(log));
    let flat = ["config", "view", "--raw", "--flatten", "-o"];
    let authority = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let authority = plane.must(&[&flat[..], &[authority]].concat());
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.podssh.invalid", "sideEffects": "None", "timeoutSeconds": 30,
            "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "clientConfig": {"url": format!("https://{address}/"), "caBundle": authority},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"]
            }]
        }]
    });
    plane.apply(&configuration.to_string());
    webhook
}

/// How many requests it has refused so far.
#[track_caller]
fn refused(plane: &ControlPlane) -> u64 {
    let metrics = plane.must(&["get", "--raw", "/metrics"]);
    let counts = metrics.lines().filter(|line| {
        line.starts_with("apiserver_flowcontrol_rejected_requests_total{")
            && line.contains("flow_schema=\"busy\"")
    });
    counts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn an_api_server_with_too_much_to_do_is_asked_as_seldom_as_it_says_and_the_keys_stay() {
    let plane = ControlPlane::start();
    let namespace = "ws-busy";
    prepare(&plane, namespace);
    let link = Link::to(plane.server.trim_start_matches("https://"));
    let (daemon, key) = serve_by(&plane, namespace, &link.address);
    set_keys(&plane, namespace, &[("me", &key)]);
    login_becomes(&daemon, true);

    let account = json!({"name": "workspace", "namespace": namespace});
    let account = json!({"kind": "ServiceAccount", "serviceAccount": account});
    let busy = busy(&plane, namespace, &account);
    link.cut();
    eventually("the daemon says why it is blind", PATIENCE, || {
        daemon
            .log()
            .contains("cannot be watched: the API server has too much to do (429)")
            .then_some(())
    });
    let (since, before) = (Instant::now(), refused(&plane));
    revoke(&plane, namespace, "me");
    let asked = eventually("it asks again, and again", PATIENCE, || {
        let asked = refused(&plane) - before;
        (asked >= 3).then_some(asked)
    });
    // "Retry-After: 1" is the least that the API server says.
    let most = since.elapsed() + Duration::from_secs(1);
    assert!(Duration::from_secs(asked) <= most, "{asked} in {most:?}");
    assert!(
        daemon.ssh(["true"]).status.success(),
        "the last good keys stay in force"
    );
    let said = daemon.log().matches("too much to do").count();
    assert_eq!(said, 1, "said once: {}", daemon.log());

    drop(busy);
    login_becomes(&daemon, false);
}

#[test]
fn commands_ask_again_for_some_seconds_and_then_say_it() {
    let plane = ControlPlane::start();
    plane.must(&["create", "namespace", "ws-busy"]);
    let bob = json!({"kind": "User", "user": {"name": "bob"}});
    let _busy = busy(&plane, "ws-busy", &bob);
    let kubeconfig = PathBuf::from(plane.path("bob"));
    fs::write(&kubeconfig, plane.kubeconfig_for("bob-token")).expect("a kubeconfig");
    let (sentence, code) = Cli::with(&kubeconfig).fails(&["list", "-n", "ws-busy"]);
    assert_eq!(code, 69, "{sentence}");
    assert!(
        sentence.contains("the API server has too much to do; run the same command again"),
        "{sentence}"
    );
    assert!(refused(&plane) > 1, "it was asked once only");
}
