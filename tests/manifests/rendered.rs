//! `manifests/base` and `manifests/overlays` are what `podssh render` gives, committed.
//!
//! An overlay is written as the difference between two renderings, and must build to the second one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use podssh::cluster::{self, Gateway, Name, Namespace, Object, Security, Workspace};
use serde_json::{Value, json};

use crate::difference::difference;
use crate::harness::daemon;
use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::yaml;
use crate::kustomize::{build, manifests};

const HEADER: &str = "# Written by podssh, not by hand: see src/cluster for why each field is as it is, and\n\
                      # tests/manifests/rendered.rs for how to write it again.\n";

/// Set to write the files instead of comparing them.
const WRITE: &str = "PODSSH_WRITE_MANIFESTS";

fn base() -> Workspace {
    Workspace::new(Name::parse("workspace").expect("a name"))
}

/// The overlays, and what they are for.
fn overlays() -> [(&'static str, &'static str, Workspace); 5] {
    let base = base();
    [
        (
            "restricted",
            "No way to the node's metadata service, on top of the base's Pod Security `restricted`.",
            Workspace {
                security: Security::Restricted,
                ..base.clone()
            },
        ),
        (
            "sudo",
            "sudo works in the pod, whose root is nobody on the node. Needs a namespace at Pod Security\n\
             # `baseline`, and nodes with user namespaces (Kubernetes 1.33 or newer, kernel 6.3 or newer).",
            Workspace {
                security: Security::Sudo,
                ..base.clone()
            },
        ),
        (
            "gpu",
            "One NVIDIA GPU, on nodes with NVIDIA's device plug-in.",
            Workspace {
                gpus: 1,
                ..base.clone()
            },
        ),
        (
            "inject",
            "podssh in an image that lacks it: put your own image's name in `images`.",
            Workspace {
                inject: Some(base.image.clone()),
                image: "ubuntu:24.04".to_owned(),
                ..base.clone()
            },
        ),
        (
            "watch-keys",
            "Keys by a watch on the API: a key that leaves ends its sessions at once. Whoever can log in can\n\
             # then read that Secret, as the daemon can.",
            Workspace {
                watch_keys: true,
                ..base
            },
        ),
    ]
}

fn objects(workspace: &Workspace) -> Vec<Value> {
    let objects = cluster::objects(workspace).expect("a workspace that renders");
    let value = |object: &Object| serde_json::to_value(object).expect("JSON");
    objects.iter().map(value).collect()
}

/// The file an object is kept in: its kind in lower case with hyphens.
fn file(object: &Value) -> String {
    let kind = object["kind"].as_str().expect("a kind");
    if kind == "Secret" {
        return "authorized-keys.yaml".to_owned();
    }
    let mut name = String::new();
    for letter in kind.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    format!("{name}.yaml")
}

/// Every file below `manifests/` that is written here, with its text.
fn files() -> BTreeMap<PathBuf, String> {
    let base = base();
    let mut files = BTreeMap::new();
    for object in objects(&base) {
        let text = cluster::to_yaml(&object);
        let path = PathBuf::from("base").join(file(&object));
        let before = files.get(&path).map(|text: &String| format!("{text}---\n"));
        files.insert(path, before.unwrap_or_else(|| HEADER.to_owned()) + &text);
    }
    let originals = objects(&base);
    for (name, purpose, workspace) in overlays() {
        let (mut resources, mut patches) = (vec![json!("../../base")], Vec::new());
        for object in objects(&workspace) {
            let same = |other: &&Value| {
                other["kind"] == object["kind"] && other["metadata"] == object["metadata"]
            };
            let (file, text) = match originals.iter().find(same) {
                Some(original) if *original == object => continue,
                Some(original) => {
                    let file = file(&object);
                    patches.push(json!({"path": file}));
                    (file, cluster::to_yaml(&difference(original, &object)))
                }
                None => {
                    let file = file(&object);
                    resources.push(json!(file));
                    (file, cluster::to_yaml(&object))
                }
            };
            files.insert(
                PathBuf::from("overlays").join(name).join(file),
                HEADER.to_owned() + &text,
            );
        }
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "patches": patches,
            "resources": resources,
        });
        let text = format!(
            "{HEADER}#\n# {purpose}\n{}",
            cluster::to_yaml(&kustomization)
        );
        files.insert(
            PathBuf::from("overlays")
                .join(name)
                .join("kustomization.yaml"),
            text,
        );
    }
    files
}

#[test]
fn the_committed_files_are_what_the_renderer_writes() {
    let root = manifests();
    let mut differing = Vec::new();
    for (path, text) in files() {
        let path = root.join(path);
        if std::env::var_os(WRITE).is_some() {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(&path, text).expect("a file");
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            differing.push(path);
        }
    }
    assert!(
        differing.is_empty(),
        "podssh renders other objects than these files hold: {differing:?}\n\
         If it should, write them again: {WRITE}=1 cargo test --test manifests committed_files"
    );
}

#[test]
fn each_overlay_builds_to_the_rendering_with_its_flags() {
    for (name, _, workspace) in overlays() {
        let mut built = build(&format!("overlays/{name}"));
        let mut rendered = objects(&workspace);
        for objects in [&mut built, &mut rendered] {
            objects.iter_mut().for_each(sort_lists);
            objects
                .sort_by_key(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]));
        }
        assert_eq!(built, rendered, "{name}");
    }
}

/// The order of a list that is keyed by name is kustomize's affair.
fn sort_lists(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort_lists);
            if items.iter().all(|item| item.get("name").is_some()) {
                items.sort_by_key(|item| format!("{}{}", item["name"], item["mountPath"]));
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(sort_lists),
        _ => {}
    }
}

#[test]
fn the_program_prints_what_the_library_renders_and_other_readers_read_the_same() {
    let mut command = Command::new(daemon::binary());
    command.args([
        "render",
        "workspace",
        "--namespace",
        "ws-demo",
        "--gateway",
        "envoy-gateway",
    ]);
    let output = run(&mut command, b"", PATIENCE);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let workspace = Workspace {
        namespace: Some(Namespace::parse("ws-demo").expect("a namespace")),
        gateway: Gateway::EnvoyGateway,
        ..base()
    };
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(yaml(&text), objects(&workspace));
}

#[test]
fn the_routes_are_those_of_the_gateways_manifests() {
    let workspace = |gateway| Workspace {
        namespace: Some(Namespace::parse("ws-demo").expect("a namespace")),
        gateway,
        ..base()
    };
    let route = |gateway| objects(&workspace(gateway)).pop().expect("a route");
    for (gateway, directory) in [
        (Gateway::IstioPerWorkspace, "gateway/istio/per-workspace"),
        (Gateway::EnvoyGateway, "gateway/envoy-gateway/per-workspace"),
    ] {
        let mut built = build(directory);
        let (committed, mut rendered) = (built.remove(0), route(gateway));
        // The object's own name and labels do not route.
        let mut committed_spec = committed["spec"].clone();
        for spec in [&mut committed_spec, &mut rendered["spec"]] {
            if let Some(value) = spec.pointer_mut("/configPatches/0/patch/value/name") {
                *value = json!("any");
            }
        }
        assert_eq!(committed_spec, rendered["spec"], "{directory}");
    }
    let list = fs::read_to_string(manifests().join("gateway/envoy/cds.yaml")).expect("cds.yaml");
    let rendered = route(Gateway::Envoy);
    let rendered = rendered["data"]["cds.yaml"].as_str().expect("text");
    assert_eq!(yaml(&list), yaml(rendered));
}
