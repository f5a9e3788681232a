//! The invariants of DESIGN section 4, by looking at the source.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bare::text;

/// A file below `src/`, by its path there.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// What comes before the tests at the end of the file.
    fn code(&self) -> &str {
        self.text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
    }

    /// Lines of code with their numbers, comments left out.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.code().lines().enumerate();
        let comment = |line: &str| line.trim_start().starts_with("//");
        numbered
            .filter(move |(_, line)| !comment(line))
            .map(|(index, line)| (index + 1, line))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 50, "src/ holds {} files", found.len());
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source file"),
        path: text(path.strip_prefix(&root).expect("below src")).to_owned(),
    };
    found.into_iter().map(source).collect()
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src/") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Asserts that these words occur only in files whose path begins with one of these.
#[track_caller]
fn only_in(words: &[&str], places: &[&str], reason: &str) {
    let mut strays = String::new();
    for source in sources() {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.lines() {
            if words.iter().any(|word| line.contains(word)) {
                writeln!(strays, "src/{}:{number}: {}", source.path, line.trim()).expect("grows");
            }
        }
    }
    assert!(strays.is_empty(), "{reason}:\n{strays}");
}

#[test]
fn each_foreign_library_has_one_home() {
    only_in(
        &["clap::", "use clap"],
        &["cli.rs", "cli/"],
        "the argument parser lives in cli.rs and cli/",
    );
    only_in(
        &["kube::", "k8s_openapi"],
        &["cluster/"],
        "the cluster lives in cluster/",
    );
    only_in(
        &["portable_pty"],
        &["session/pty.rs"],
        "portable-pty lives in session/pty.rs",
    );
    only_in(
        &["notify::", "use notify"],
        &["keys/watch.rs"],
        "file watching lives in keys/watch.rs",
    );
    only_in(
        &["rustls"],
        &["commands/connect/", "cluster/"],
        "TLS is a client's: to a gateway, and to an API server",
    );
}

#[test]
fn russh_stays_in_the_server_and_the_channel() {
    only_in(
        &["russh::", "use russh"],
        &["server.rs", "server/", "channel.rs", "channel/"],
        "session, sftp and forward must survive another transport",
    );
}

#[test]
fn ids_are_changed_in_one_place() {
    only_in(
        &[
            "setuid",
            "setgid",
            "setresuid",
            "setresgid",
            "setgroups",
            "initgroups",
            "seteuid",
        ],
        // name_service.rs names glibc's database of that name.
        &["user.rs", "name_service.rs"],
        "who we are is decided in user.rs",
    );
}

#[test]
fn arrows_never_point_back() {
    let lower = [
        (
            "keys/",
            &[
                "crate::session",
                "crate::sftp",
                "crate::forward",
                "crate::server",
                "crate::commands",
            ][..],
        ),
        (
            "sftp/",
            &[
                "crate::session",
                "crate::forward",
                "crate::server",
                "crate::commands",
            ],
        ),
        ("session/", &["crate::server", "crate::commands"]),
        (
            "forward/",
            &["crate::session", "crate::server", "crate::commands"],
        ),
        (
            "config/",
            &[
                "crate::session",
                "crate::server",
                "crate::commands",
                "crate::keys",
            ],
        ),
        ("server/", &["crate::commands"]),
    ];
    let mut strays = String::new();
    for source in sources() {
        for (place, forbidden) in lower {
            let module = place.trim_end_matches('/');
            if !source.path.starts_with(place) && source.path != format!("{module}.rs") {
                continue;
            }
            for (number, line) in source.lines() {
                if forbidden.iter().any(|word| line.contains(word)) {
                    writeln!(strays, "src/{}:{number}: {}", source.path, line.trim())
                        .expect("grows");
                }
            }
        }
    }
    assert!(strays.is_empty(), "{strays}");
}

#[test]
fn unsafe_code_is_in_the_audited_places() {
    only_in(
        &[
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe extern",
            "unsafe_code",
        ],
        &[
            "allocator.rs",
            "name_service.rs",
            "workspace/spawn.rs",
            "session/pty.rs",
        ],
        "unsafe needs an audit",
    );
}

#[test]
fn tasks_are_spawned_through_tasks() {
    only_in(
        &["tokio::spawn", "spawn_local(", "process::exit"],
        &["shutdown.rs", "main.rs"],
        "who spawns, waits",
    );
}

#[test]
fn no_name_is_a_grab_bag() {
    for source in sources() {
        for part in source.path.split(['/', '.']) {
            let vague = [
                "utils",
                "util",
                "helpers",
                "helper",
                "common",
                "misc",
                "constants",
            ];
            assert!(!vague.contains(&part), "src/{}", source.path);
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_owns_and_stays_short() {
    let mut wrong = String::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            writeln!(wrong, "src/{} does not open with //!", source.path).expect("grows");
        }
        let count = source
            .code()
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        if count > 400 {
            writeln!(
                wrong,
                "src/{} has {count} lines of code, more than 400",
                source.path
            )
            .expect("grows");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mut strays = String::new();
    for source in sources() {
        let tests = source.path.ends_with("/tests.rs");
        for (number, line) in source.lines().filter(|_| !tests) {
            let panics = [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "dbg!("];
            if panics.iter().any(|word| line.contains(word)) {
                writeln!(strays, "src/{}:{number}: {}", source.path, line.trim()).expect("grows");
            }
        }
    }
    assert!(strays.is_empty(), "{strays}");
}

#[test]
fn no_lint_is_switched_off_without_a_reason() {
    let mut strays = String::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let lint = ["#[allow(", "#[expect(", "#![allow(", "#![expect("];
            let whole: String = source.text.lines().skip(index).take(5).collect();
            if lint
                .iter()
                .any(|start| line.trim_start().starts_with(start))
                && !whole.contains("reason =")
            {
                writeln!(strays, "src/{}:{}: {}", source.path, index + 1, line.trim())
                    .expect("grows");
            }
        }
    }
    assert!(strays.is_empty(), "{strays}");
}

/// A path below `tests/`, read.
fn test_file(path: &str) -> Option<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    fs::read_to_string(tests.join(path)).ok()
}

#[test]
fn the_table_of_sentences_names_tests_that_exist() {
    let table = test_file("it/README.md").expect("the table");
    let (mut named, mut missing) = (0, Vec::new());
    for name in table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`'))
    {
        let Some((module, function)) = name.split_once("::") else {
            continue;
        };
        named += 1;
        let file = test_file(&format!("{module}.rs"));
        if !file.is_some_and(|file| file.contains(&format!("fn {function}("))) {
            missing.push(name.to_owned());
        }
    }
    let cases = test_file("parity/README.md").expect("the parity table");
    for rest in table.split("parity \"").skip(1) {
        let case = rest.split('"').next().unwrap_or_default();
        named += 1;
        if !cases.contains(&format!("\n| {case} | ")) {
            missing.push(format!("parity {case:?}"));
        }
    }
    assert!(named > 80, "{named} tests are named");
    assert!(
        missing.is_empty(),
        "tests/it/README.md names what is not there: {missing:#?}"
    );
}
