//! `podssh up`, `list`, `keys` and `down`, from nothing to an ssh session through a real Envoy and back.
//!
//! kwok plays the kubelet: it makes the pod ready. The container's part is played by a podssh of this
//! machine with the very Secrets that `up` made; Envoy's list of workspaces is the one that `up` wrote,
//! with that podssh's address.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::control_plane::{ControlPlane, PATIENCE, whole};
use crate::envoy::Envoy;
use crate::harness::daemon::{Daemon, user, write_secret};
use crate::harness::process::{eventually, run};

const README: &str = include_str!("../../README.md");

/// A node that kwok keeps alive, big enough for a few workspaces.
pub(crate) fn node(plane: &ControlPlane) {
    let size = json!({"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"});
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "fake", "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": "fake"}
        },
        "status": {"capacity": size, "allocatable": size}
    });
    add_node(plane, &node, &Value::Null);
}

/// A node that pods may land on: a new one is tainted until a controller, which does not run here, has
/// seen it ready.
pub(crate) fn add_node(plane: &ControlPlane, node: &Value, taints: &Value) {
    plane.apply(&node.to_string());
    let name = node["metadata"]["name"].as_str().expect("a name");
    let patch = json!({"spec": {"taints": taints}}).to_string();
    plane.must(&["patch", "node", name, "--type=merge", "-p", &patch]);
}

/// A volume for one workspace's home.
pub(crate) fn volume(plane: &ControlPlane, namespace: &str, workspace: &str) {
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": format!("{namespace}-{workspace}")},
        "spec": {
            "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"}, "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": format!("home-{workspace}-0")}
        }
    });
    plane.apply(&volume.to_string());
}

/// What a Secret holds, as the kubelet would mount it.
#[track_caller]
fn secret(plane: &ControlPlane, namespace: &str, name: &str) -> BTreeMap<String, Vec<u8>> {
    let object = plane.wait_for(namespace, "secret", name, |secret| Some(secret.clone()));
    let data = object["data"].as_object().expect("data").clone();
    let decode = |text: &Value| {
        let mut base64 = Command::new("base64");
        let text = text.as_str().expect("text");
        run(base64.arg("-d"), text.as_bytes(), PATIENCE).stdout
    };
    data.iter()
        .map(|(name, text)| (name.clone(), decode(text)))
        .collect()
}

/// The workspace's program, with its Secrets mounted.
#[track_caller]
fn container(plane: &ControlPlane, namespace: &str, workspace: &str) -> Daemon {
    let host_keys = secret(plane, namespace, &format!("{workspace}-host-keys"));
    let people = secret(plane, namespace, &format!("{workspace}-authorized-keys"));
    Daemon::start(|setup| {
        let people: Vec<_> = people
            .iter()
            .map(|(name, keys)| (name.as_str(), keys.as_slice()))
            .collect();
        write_secret(&setup.authorized_keys(), &people);
        let directory = setup.home().with_file_name("run").join("host_keys");
        fs::create_dir(&directory).expect("a directory");
        for (name, key) in &host_keys {
            let path = directory.join(name);
            fs::write(&path, key).expect("a key");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(path, mode).expect("chmod");
        }
    })
}

/// The gateway's list as it is in the cluster, with the workspace's address where DNS would give it.
#[track_caller]
fn follow_list(plane: &ControlPlane, envoy: &Envoy, host: &str, address: &str) {
    let map = plane.get("ssh-gateway", "configmap", "ssh-gateway-workspaces");
    let text = map["data"]["cds.yaml"].as_str().expect("a list");
    let mut list = crate::harness::tools::yaml(text).remove(0);
    let (ip, port) = address.rsplit_once(':').expect("HOST:PORT");
    let port: u16 = port.parse().expect("a port");
    let entries = list["resources"].as_array_mut().expect("resources");
    entries.retain(|entry| entry["name"] == format!("{host}:80"));
    assert_eq!(entries.len(), 1, "{text}");
    let path = "/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
    *list["resources"].pointer_mut(path).expect("an address") =
        json!({"address": ip, "port_value": port});
    let xds = envoy.xds();
    fs::write(xds.join("new"), list.to_string()).expect("a file");
    fs::rename(xds.join("new"), xds.join("cds.yaml")).expect("cds.yaml");
}

/// The commands of README's deploy section: a gateway, a namespace, a workspace, a session.
#[track_caller]
fn deploy_section() -> [String; 4] {
    let section = README.split_once("## Deploy").expect("a section").1;
    let block = section.split("```").nth(1).expect("a block of commands");
    let lines: Vec<_> = block.trim().lines().map(str::to_owned).collect();
    lines.try_into().expect("four commands")
}

/// A command line without the program's name.
#[track_caller]
fn words<'a>(line: &'a str, program: &str) -> Vec<&'a str> {
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some(program), "{line}");
    words.collect()
}

#[test]
fn from_nothing_to_an_ssh_session_through_envoy_and_back() {
    let plane = whole();
    let (namespace, name) = ("ws-alice", "svc-a");
    let host = format!("{name}.{namespace}.svc.cluster.local");
    let envoy = Envoy::start(&[], str::to_owned, &[]);
    let gateway = format!("http://{}", envoy.gateway);
    let cli = Cli::of(plane);
    node(plane);
    volume(plane, namespace, name);
    let [install, create, up, connect] = deploy_section();
    plane.must(&words(&install, "kubectl"));
    plane.must(&words(&create, "kubectl"));
    let up = up.replace("http://gw.example.com", &gateway) + " --timeout 170s";
    let up = words(&up, "podssh");
    let mut first = cli.command(&up);
    let first = first
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let first = first.expect("podssh up");
    let daemon = container(plane, namespace, name);
    eventually("the gateway lists the workspace", PATIENCE, || {
        let map = plane.get("ssh-gateway", "configmap", "ssh-gateway-workspaces");
        map["data"]["cds.yaml"]
            .as_str()?
            .contains(&host)
            .then_some(())
    });
    follow_list(plane, &envoy, &host, &daemon.address);
    let output = first.wait_with_output().expect("podssh up ends");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("StatefulSet svc-a created"), "{out}");
    assert!(
        out.contains("workspace svc-a is ready: SSH-2.0-podssh"),
        "{out}"
    );
    assert!(
        err.contains("workspace svc-a: "),
        "it tells how far it is: {err}"
    );

    // ssh with what `up` wrote: the key of the user, the host key pinned.
    let config = cli
        .home()
        .join(format!(".ssh/podssh/{name}.{namespace}.conf"));
    assert_eq!(words(&connect, "ssh"), [name]);
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(&config)
        .arg("-i")
        .arg(cli.home().join(".ssh/id_ed25519"));
    ssh.args([
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-l",
        user(),
        name,
        "echo inside",
    ]);
    let output = run(&mut ssh, b"", PATIENCE);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "inside\n",
        "{output:?}"
    );

    let again = cli.must(&up);
    let changed: Vec<_> = again
        .lines()
        .filter(|line| line.ends_with("created") || line.ends_with("configured"))
        .collect();
    assert!(
        changed.is_empty(),
        "the second run changes nothing: {changed:?}"
    );
    let list = cli.must(&["list", "-n", namespace]);
    assert!(
        list.contains("svc-a") && list.contains("ready") && list.contains(&host),
        "{list}"
    );
    let block = cli.must(&[
        "ssh-config",
        name,
        "-n",
        namespace,
        "--gateway-url",
        &gateway,
    ]);
    let written = fs::read_to_string(&config).expect("the installed block");
    assert!(block.contains(written.trim_end()), "{block}\n{written}");
    assert!(
        block.contains(" ssh-ed25519 AAAA"),
        "the host key is shown: {block}"
    );
    keys_come_and_go(plane, &cli, namespace, name);
    down_keeps_what_would_be_lost(plane, &cli, namespace, name);
}

fn keys_come_and_go(plane: &ControlPlane, cli: &Cli, namespace: &str, name: &str) {
    let revision = || {
        let pod = plane.get(namespace, "pod", &format!("{name}-0"));
        pod["metadata"]["annotations"]["podssh/keys-revision"]
            .as_str()
            .map(str::to_owned)
    };
    let before = revision();
    let said = cli.must(&["keys", "add", name, &cli.key_of("bob"), "-n", namespace]);
    assert!(said.contains("bob may log in"), "{said}");
    let after = revision();
    assert!(
        after.is_some() && after != before,
        "the kubelet is made to look"
    );
    let people = cli.must(&["keys", "list", name, "-n", namespace]);
    let names: Vec<_> = people
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["bob", "me"]);
    assert!(people.contains("ssh-ed25519 SHA256:"), "{people}");
    cli.must(&["keys", "remove", name, "bob", "-n", namespace]);
    assert!(revision() != after);
    assert!(
        !cli.must(&["keys", "list", name, "-n", namespace])
            .contains("bob")
    );
    let (sentence, _) = cli.fails(&["keys", "remove", name, "bob", "-n", namespace]);
    assert!(
        sentence.contains("no key of bob") && sentence.contains("me"),
        "{sentence}"
    );
}

fn down_keeps_what_would_be_lost(plane: &ControlPlane, cli: &Cli, namespace: &str, name: &str) {
    let said = cli.must(&["down", name, "-n", namespace]);
    assert!(said.contains("stay"), "{said}");
    let map = plane.get("ssh-gateway", "configmap", "ssh-gateway-workspaces");
    assert!(
        !map["data"]["cds.yaml"]
            .as_str()
            .expect("a list")
            .contains(namespace)
    );
    let left = |kinds: &str| plane.must(&["get", kinds, "-n", namespace, "-o", "name"]);
    let kinds = "statefulsets,services,networkpolicies,poddisruptionbudgets,pods";
    eventually("the workspace is gone", PATIENCE, || {
        left(kinds).is_empty().then_some(())
    });
    let kept = left("secrets,persistentvolumeclaims");
    assert_eq!(kept.lines().count(), 3, "{kept}");
    assert!(
        !cli.home()
            .join(format!(".ssh/podssh/{name}.{namespace}.conf"))
            .exists()
    );
    cli.must(&["down", name, "-n", namespace, "--delete-volume"]);
    eventually("everything is gone", PATIENCE, || {
        left("secrets,persistentvolumeclaims")
            .is_empty()
            .then_some(())
    });
    let (sentence, code) = cli.fails(&["down", name, "-n", namespace]);
    assert!(
        sentence.contains("no workspace svc-a") && code == 69,
        "{sentence}"
    );
}
