//! Building kustomizations and finding objects in what comes out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::process::{PATIENCE, run};
use crate::harness::tools::{tool, yaml};

/// Where the manifests are.
pub(crate) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

/// Every directory with a kustomization, by its path below `manifests/`; components, which are parts of
/// another, left out.
pub(crate) fn kustomizations() -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("a directory of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.ends_with("kustomization.yaml") && !is_component(&path) {
                let relative = directory
                    .strip_prefix(manifests())
                    .expect("below manifests/");
                found.push(relative.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&manifests(), &mut found);
    assert!(found.len() >= 7, "{found:?}");
    found
}

fn is_component(path: &Path) -> bool {
    let text = fs::read_to_string(path).expect("a kustomization");
    text.lines().any(|line| line == "kind: Component")
}

/// The objects of one kustomization; it must build without a warning.
#[track_caller]
pub(crate) fn build(name: &str) -> Vec<Value> {
    let mut command = Command::new(tool("PODSSH_KUBECTL", "venv/bin/kubectl"));
    let output = run(
        command.arg("kustomize").arg(manifests().join(name)),
        b"",
        PATIENCE,
    );
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{name}: {output:?}"
    );
    yaml(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The object of that kind and name.
#[track_caller]
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}
