//! The tools that `scripts/install test` puts below the cache directory, and YAML by means of one.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::process::{PATIENCE, run};

/// A tool of ours: what the environment variable names, else its usual place below the cache
/// directory. A missing one fails the test and says how to get it.
#[track_caller]
pub(crate) fn tool(variable: &str, usual: &str) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let path = set(variable).unwrap_or_else(|| {
        let home = || set("HOME").expect("HOME is set").join(".cache");
        let cache = || set("XDG_CACHE_HOME").unwrap_or_else(home).join("podssh");
        set("PODSSH_CACHE").unwrap_or_else(cache).join(usual)
    });
    assert!(
        path.exists(),
        "{} is missing: run scripts/install test",
        path.display()
    );
    path
}

/// The Envoy that the demo runs too.
#[track_caller]
pub(crate) fn envoy() -> PathBuf {
    tool("PODSSH_ENVOY", "bin/envoy")
}

/// A Python that has asyncssh, paramiko and a YAML reader.
#[track_caller]
pub(crate) fn python() -> PathBuf {
    tool("PODSSH_PYTHON", "venv/bin/python")
}

/// The documents of a YAML text.
#[track_caller]
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    let script =
        "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let output = run(
        Command::new(python()).args(["-c", script]),
        text.as_bytes(),
        PATIENCE,
    );
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("Python writes JSON")
}
