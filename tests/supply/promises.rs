//! SECURITY.md promises nothing that no test holds.

use std::fs;

use crate::{read, root};

/// Names of tests in `text`: `folder::file::test` below tests/, or a test of tests/hostile alone.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
    quoted
        .filter(|word| word.chars().all(of_a_name))
        .filter(|word| word.contains("::") || word.matches('_').count() > 3)
        .collect()
}

/// The files a test of this name may be in, and its own name.
fn place(name: &str) -> (Vec<String>, &str) {
    if let [folder, file, test] = name.split("::").collect::<Vec<_>>()[..] {
        return (vec![format!("tests/{folder}/{file}.rs")], test);
    }
    let entries = fs::read_dir(root().join("tests/hostile"))
        .into_iter()
        .flatten();
    let files = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let files = files.map(|file| format!("tests/hostile/{}", file.expect("text")));
    (files.collect(), name)
}

#[test]
fn every_test_that_security_md_names_exists() {
    let page = read("SECURITY.md");
    let names = named(&page);
    assert!(names.len() > 30, "SECURITY.md names {} tests", names.len());
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| {
            let (files, test) = place(name);
            let found = |file: &String| {
                let source = fs::read_to_string(root().join(file)).unwrap_or_default();
                // The second is how tests/fuzz/targets.rs lists them.
                source.contains(&format!("fn {test}("))
                    || source.contains(&format!("    {test}: \""))
            };
            !files.iter().any(found)
        })
        .collect();
    assert!(
        missing.is_empty(),
        "SECURITY.md names what is not there: {missing:#?}"
    );
}

#[test]
fn every_line_of_the_threat_model_names_its_test() {
    let page = read("SECURITY.md");
    let (_, rest) = page.split_once("## Threat model").expect("## Threat model");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let rows: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert!(rows.len() > 10, "{} rows", rows.len());
    for row in rows {
        assert!(!named(row).is_empty(), "no test holds this: {row}");
    }
}
