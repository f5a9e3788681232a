//! The bill of materials (scripts/sbom, `make sbom`) says what cargo builds, neither more nor less.

use std::process::Command;

use serde_json::Value;

use crate::harness::tools::python;
use crate::{read, root, said, tree};

fn bill() -> String {
    said(&mut Command::new(root().join("scripts/sbom")))
}

#[test]
fn the_bill_of_materials_lists_what_is_linked_with_the_checksums_of_the_lock_file() {
    let bill: Value = serde_json::from_str(&bill()).expect("JSON");
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let components = bill["components"].as_array().expect("components");
    let mut listed: Vec<_> = components
        .iter()
        .map(|one| format!("{} {}", text(one, "name"), text(one, "version")))
        .chain([format!("podssh {}", env!("CARGO_PKG_VERSION"))])
        .collect();
    listed.sort();
    assert_eq!(listed, tree("normal"));
    let lock = read("Cargo.lock");
    for one in components {
        let (name, version) = (text(one, "name"), text(one, "version"));
        if name == "russh" {
            let patches = one["pedigree"]["patches"].as_array().expect("our patches");
            assert!(patches.len() > 10, "{one}");
            continue;
        }
        let hash = text(&one["hashes"][0], "content");
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, rest) = lock
            .split_once(&entry)
            .unwrap_or_else(|| panic!("{entry} is not locked"));
        let entry = rest.split("\n\n").next().unwrap_or_default();
        assert!(
            hash.len() == 64 && entry.contains(&hash),
            "{name} {version}: {hash}"
        );
    }
}

#[test]
fn the_bill_of_materials_is_cyclonedx_and_the_same_each_time() {
    let (one, other) = (bill(), bill());
    assert!(one == other);
    let script = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(wrong) if wrong else 0)";
    let output = crate::harness::process::run(
        Command::new(python()).args(["-c", script]),
        one.as_bytes(),
        crate::harness::process::PATIENCE,
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
