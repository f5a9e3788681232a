//! Every dependency is one we chose to have: direct ones with a reason, all of them counted, their
//! licenses and origins checked by cargo-deny.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::tools::tool;
use crate::{read, said, tree};

/// Names under `[dependencies]` that a release is built with.
fn direct() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest
        .split_once("\n[dependencies]\n")
        .expect("[dependencies]");
    let table = rest.split("\n[").next().unwrap_or_default();
    let lines = table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("optional = true"));
    lines
        .filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()))
        .collect()
}

#[test]
fn every_direct_dependency_is_listed_with_its_reason() {
    let page = read("DEPENDENCIES.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let listed: BTreeSet<_> = rows
        .map(|(name, reason)| {
            assert!(
                reason.len() > 20,
                "DEPENDENCIES.md gives no reason for {name}"
            );
            name.to_owned()
        })
        .collect();
    assert_eq!(
        listed,
        direct(),
        "the table of DEPENDENCIES.md (left) and Cargo.toml (right)"
    );
}

#[test]
fn the_number_of_dependencies_is_the_one_written_down() {
    let (linked, built) = (tree("normal").len() - 1, tree("normal,build").len() - 1);
    let sentence = format!(
        "{linked} crates are linked into a release, {} more build it",
        built - linked
    );
    let page = read("DEPENDENCIES.md");
    assert!(
        page.contains(&sentence),
        "Look at what came or went (git diff Cargo.lock); then DEPENDENCIES.md is to say: {sentence}"
    );
}

#[test]
fn bans_licenses_and_sources_are_as_deny_toml_wants_them() {
    // Advisories are not checked: SECURITY.md says why, and how to.
    let mut deny = Command::new(tool("PODSSH_CARGO_DENY", "venv/bin/cargo-deny"));
    said(deny.args(["--locked", "check", "bans", "licenses", "sources"]));
}
