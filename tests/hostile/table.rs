//! The table in SECURITY.md names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path
            .extension()
            .is_some_and(|ext| ["rs", "py", "sh"].iter().any(|e| ext == *e))
        {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("tests"), &mut files);
    sources(&root.join("src"), &mut files);
    let code: String = files
        .iter()
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect();
    let security = fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let rows = security
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = 0;
    for row in rows {
        for name in row.split('`').skip(1).step_by(2) {
            let Some(test) = name
                .rsplit("::")
                .next()
                .filter(|name| name.matches('_').count() > 2)
            else {
                continue;
            };
            assert!(
                code.contains(&format!("fn {test}(")),
                "{test} is no test:\n{row}"
            );
            named += 1;
        }
    }
    assert!(named >= 30, "the table names {named} tests");
}
