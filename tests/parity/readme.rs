//! README.md says what the tables say.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::case::{Case, Verdict};

const TABLES: [(&str, &[Case]); 8] = [
    ("Commands and shells", crate::execution::CASES),
    ("Terminals", crate::terminal::CASES),
    ("Environment", crate::environment::CASES),
    ("Requests and the order of messages", crate::requests::CASES),
    ("Forwarding", crate::forwarding::CASES),
    ("Keys and logins", crate::keys::CASES),
    ("Transport", crate::transport::CASES),
    ("Endings", crate::endings::CASES),
];

/// What stands above the tables in README.md is written by hand.
const MARK: &str = "<!-- from here on: PARITY_README=write cargo test --test parity readme -->\n";

fn tables() -> String {
    let mut text = String::new();
    let mut sums = [0; 2];
    for (title, cases) in TABLES {
        write!(
            text,
            "\n## {title}\n\n| behaviour | podssh | why |\n| --- | --- | --- |\n"
        )
        .unwrap();
        for case in cases {
            let (sum, verdict, why) = match &case.verdict {
                Verdict::Same => (0, "same", ""),
                Verdict::Intended(difference) => (1, "differs", difference.why),
                Verdict::SinceTen(difference) => (0, "same as 10", difference.why),
            };
            sums[sum] += 1;
            writeln!(
                text,
                "| {} | {verdict} | {why} |",
                case.name.replace('|', "\\|")
            )
            .unwrap();
        }
    }
    let [same, intended] = sums;
    format!("\n{same} behaviours are the same, {intended} differ on purpose.\n{text}")
}

#[test]
fn readme_lists_every_case_and_every_difference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, listed) = text.split_once(MARK).expect("the mark in README.md");
    if std::env::var("PARITY_README").is_ok_and(|wish| wish == "write") {
        fs::write(&path, format!("{head}{MARK}{}", tables())).unwrap();
        return;
    }
    assert_eq!(
        listed,
        tables(),
        "README.md is out of date: PARITY_README=write cargo test --test parity readme"
    );
}

#[test]
fn no_two_cases_have_the_same_name() {
    let mut names: Vec<_> = TABLES
        .iter()
        .flat_map(|(_, cases)| *cases)
        .map(|case| case.name)
        .collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}
