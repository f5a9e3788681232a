//! The workspace's own objects.

use serde_json::{Value, json};

use crate::kustomize::{build, object};

const DOCKERFILE: &str = include_str!("../../Dockerfile");

fn workspace() -> Vec<Value> {
    build("example")
}

fn pod(objects: &[Value]) -> Value {
    object(objects, "StatefulSet", "workspace")["spec"]["template"].clone()
}

/// `60s` and the like, as the daemon's flags take them.
fn seconds(text: &str) -> i64 {
    text.strip_suffix('s')
        .and_then(|number| number.parse().ok())
        .expect("a number of seconds")
}

#[test]
fn port_80_of_the_service_reaches_the_daemons_port_and_is_declared_tcp() {
    let objects = workspace();
    let ports = &object(&objects, "Service", "workspace")["spec"]["ports"];
    let expected = json!([{
        "name": "tcp-ssh", "port": 80, "targetPort": "ssh", "protocol": "TCP", "appProtocol": "tcp"
    }]);
    assert_eq!(*ports, expected);
    let container = &pod(&objects)["spec"]["containers"][0];
    let ports = container["ports"].as_array().expect("ports");
    let number = |name: &str| {
        let port = ports
            .iter()
            .find(|port| port["name"] == name)
            .expect("a named port");
        port["containerPort"].as_u64().expect("a number")
    };
    assert_eq!((number("ssh"), number("admin")), (2222, 9090));
    assert!(DOCKERFILE.contains("EXPOSE 2222 9090"));
    let ingress = &object(&objects, "NetworkPolicy", "workspace")["spec"]["ingress"];
    assert_eq!(
        (
            &ingress[0]["ports"][0]["port"],
            &ingress[1]["ports"][0]["port"]
        ),
        (&json!(2222), &json!(9090))
    );
}

#[test]
fn every_selector_finds_the_pod_and_every_reference_its_object() {
    let objects = workspace();
    let pod = pod(&objects);
    let labels = pod["metadata"]["labels"].as_object().expect("labels");
    let selectors = [
        &object(&objects, "StatefulSet", "workspace")["spec"]["selector"]["matchLabels"],
        &object(&objects, "Service", "workspace")["spec"]["selector"],
        &object(&objects, "Service", "workspace-headless")["spec"]["selector"],
        &object(&objects, "PodDisruptionBudget", "workspace")["spec"]["selector"]["matchLabels"],
        &object(&objects, "NetworkPolicy", "workspace")["spec"]["podSelector"]["matchLabels"],
    ];
    for selector in selectors {
        let selector = selector.as_object().expect("a selector");
        assert!(!selector.is_empty());
        assert!(
            selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value)),
            "{selector:?}"
        );
    }
    let statefulset = &object(&objects, "StatefulSet", "workspace")["spec"];
    object(
        &objects,
        "Service",
        statefulset["serviceName"].as_str().expect("a name"),
    );
    object(
        &objects,
        "ServiceAccount",
        pod["spec"]["serviceAccountName"].as_str().expect("a name"),
    );
    object(&objects, "Secret", "workspace-authorized-keys");
    assert!(objects.iter().all(|object| {
        object["kind"] == "Namespace" || object["metadata"]["namespace"] == "ws-demo"
    }));
}

#[test]
fn the_daemon_ends_sessions_before_the_cluster_kills_it() {
    let pod = pod(&workspace());
    let env = pod["spec"]["containers"][0]["env"].as_array().expect("env");
    let grace = env
        .iter()
        .find(|variable| variable["name"] == "PODSSH_GRACE")
        .expect("PODSSH_GRACE");
    let grace = seconds(grace["value"].as_str().expect("a duration"));
    let kill = pod["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .expect("a number");
    assert!(
        kill >= grace + 30,
        "killed after {kill} s, drains for {grace} s"
    );
}

#[test]
fn the_pod_has_no_token_and_no_privilege() {
    let objects = workspace();
    assert_eq!(
        object(&objects, "ServiceAccount", "workspace")["automountServiceAccountToken"],
        false
    );
    let spec = &pod(&objects)["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["enableServiceLinks"], false);
    let expected = json!({
        "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}
    });
    assert_eq!(spec["securityContext"], expected);
    assert!(DOCKERFILE.contains("\nUSER 1000:100\n"));
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}
    });
    assert_eq!(spec["containers"][0]["securityContext"], expected);
    let container = spec["containers"][0].as_object().expect("a container");
    assert!(
        !container.contains_key("command") && !container.contains_key("args"),
        "the image's own"
    );
}

#[test]
fn sessions_survive_template_edits_and_volumes_survive_everything() {
    let objects = workspace();
    let spec = &object(&objects, "StatefulSet", "workspace")["spec"];
    assert_eq!(spec["updateStrategy"]["type"], "OnDelete");
    let retain = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    assert_eq!(spec["persistentVolumeClaimRetentionPolicy"], retain);
}

#[test]
fn what_the_daemon_writes_is_a_volume_and_keys_follow_their_secret() {
    let spec = pod(&workspace())["spec"].clone();
    let mounts = spec["containers"][0]["volumeMounts"]
        .as_array()
        .expect("mounts");
    let mount = |path: &str| mounts.iter().find(|mount| mount["mountPath"] == path);
    for path in ["/home/jovyan", "/tmp", "/run/podssh", "/dev/shm"] {
        assert!(
            mount(path).is_some_and(|mount| mount.get("readOnly").is_none()),
            "{path}"
        );
    }
    for path in ["/etc/podssh/authorized_keys", "/etc/podssh/host_keys"] {
        let mount = mount(path).unwrap_or_else(|| panic!("no mount at {path}"));
        assert_eq!(mount["readOnly"], true);
        assert!(
            mount.get("subPath").is_none(),
            "a subPath mount is never updated"
        );
        let volumes = spec["volumes"].as_array().expect("volumes");
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .expect("it");
        assert_eq!(volume["secret"]["optional"], true);
        assert_eq!(volume["secret"]["defaultMode"], 0o440);
    }
}

#[test]
fn the_base_lets_nobody_in_until_a_key_is_put_there() {
    let objects = build("base");
    let data = &object(&objects, "Secret", "workspace-authorized-keys")["stringData"];
    let data = data.as_object().expect("data");
    let lines = data
        .values()
        .flat_map(|value| value.as_str().expect("text").lines());
    assert!(lines.clone().count() > 0);
    assert!(lines.into_iter().all(|line| line.starts_with('#')));
}
