//! What podssh is made of and what is promised about it: dependencies, licenses, the bill of materials,
//! and a test behind each line of SECURITY.md.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed, and says why where the test runner shows it"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod dependencies;
mod materials;
mod promises;

use std::path::Path;
use std::process::Command;

use harness::process::{PATIENCE, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a command says, from the top of the repository.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = run(command.current_dir(root()), b"", PATIENCE * 3);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}

/// `name version` of every crate in the Linux binary, and with `edges` of `normal,build` in its build.
fn tree(edges: &str) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree", "--locked", "--edges", edges, "--prefix", "none", "--format", "{p}",
    ]);
    cargo.args(["--target", "x86_64-unknown-linux-gnu"]);
    let mut names: Vec<_> = said(&mut cargo)
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            Some(format!("{name} {}", version.trim_start_matches('v')))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}
