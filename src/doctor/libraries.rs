//! The C and C++ libraries that editors' servers are linked against. podssh needs none.

use std::path::PathBuf;

use super::{Finding, Surroundings};

/// VS Code's server: glibc 2.28, and GLIBCXX_3.4.25 of GCC 8's libstdc++.
const GLIBC: u32 = 28;
const GLIBCXX: u32 = 25;
const DISTRIBUTIONS: &str = "Debian 10, Ubuntu 20.04, RHEL 8 or newer";
/// What Java's window toolkit loads even without a screen.
const JETBRAINS: [&str; 6] = [
    "libXext.so.6",
    "libXi.so.6",
    "libXrender.so.1",
    "libXtst.so.6",
    "libfontconfig.so.1",
    "libfreetype.so.6",
];

/// Everything about libraries.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    vec![c_library(s), cpp_library(s), jetbrains(s)]
}

fn find(s: &Surroundings, name: &str) -> Option<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let tops = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib"];
    let directories = tops.iter().flat_map(|top| {
        let top = PathBuf::from(top);
        [top.join(&triplet), top]
    });
    let mut paths = directories.map(|directory| directory.join(name));
    paths.find(|path| s.at(path).is_file())
}

fn c_library(s: &Surroundings) -> Finding {
    let check = "libraries.glibc";
    let fix = format!("build on an image with glibc 2.{GLIBC} or newer: {DISTRIBUTIONS}");
    let Some(path) = find(s, "libc.so.6") else {
        let musl = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
        let found = if s.at(&musl).exists() {
            "the C library is musl: the servers of VS Code and JetBrains want glibc"
        } else {
            "there is no glibc, which the servers of VS Code and JetBrains want"
        };
        return Finding::fault(check, found, fix);
    };
    match newest(s, &path, b"GLIBC_2.") {
        Some(minor) if minor >= GLIBC => Finding::ok(check, format!("glibc 2.{minor}")),
        Some(minor) => {
            let found = format!("glibc 2.{minor} is too old: VS Code's server wants 2.{GLIBC}");
            Finding::fault(check, found, fix)
        }
        None => {
            let found = format!("{} does not tell its version", path.display());
            Finding::warning(check, found, fix)
        }
    }
}

fn cpp_library(s: &Surroundings) -> Finding {
    let check = "libraries.libstdc++";
    let Some(path) = find(s, "libstdc++.so.6") else {
        let found = "libstdc++ is missing, which VS Code's server wants";
        return Finding::fault(check, found, "install the package libstdc++6");
    };
    match newest(s, &path, b"GLIBCXX_3.4.") {
        Some(level) if level >= GLIBCXX => {
            Finding::ok(check, format!("libstdc++ with GLIBCXX_3.4.{level}"))
        }
        other => {
            let has = other.map_or("no known version".to_owned(), |level| {
                format!("GLIBCXX_3.4.{level}")
            });
            let found = format!("libstdc++ has {has}; VS Code's server wants 3.4.{GLIBCXX}");
            Finding::fault(check, found, format!("use {DISTRIBUTIONS}"))
        }
    }
}

fn jetbrains(s: &Surroundings) -> Finding {
    let check = "libraries.jetbrains";
    let missing: Vec<_> = JETBRAINS
        .into_iter()
        .filter(|name| find(s, name).is_none())
        .collect();
    if missing.is_empty() {
        return Finding::ok(check, "what JetBrains' backends load is there");
    }
    let found = format!(
        "JetBrains' backends do not start without {}",
        missing.join(", ")
    );
    let fix = "install libxext6 libxi6 libxrender1 libxtst6 libfontconfig1 libfreetype6, or do without JetBrains";
    Finding::warning(check, found, fix)
}

/// The highest N of the symbol versions `PREFIXN` that a library defines.
fn newest(s: &Surroundings, path: &std::path::Path, prefix: &[u8]) -> Option<u32> {
    highest(&std::fs::read(s.at(path)).ok()?, prefix)
}

fn highest(bytes: &[u8], prefix: &[u8]) -> Option<u32> {
    let starts = bytes.windows(prefix.len()).enumerate();
    let found = starts.filter(|(_, window)| *window == prefix);
    let numbers = found.filter_map(|(at, _)| {
        let rest = bytes.get(at + prefix.len()..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let digits: Vec<u8> = digits.take(4).copied().collect();
        std::str::from_utf8(&digits).ok()?.parse().ok()
    });
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_version_is_the_highest_number_not_the_last() {
        let library = b"\0GLIBC_2.2.5\0GLIBC_2.36\0GLIBC_2.4\0GLIBC_PRIVATE\0GLIBC_2.\0";
        assert_eq!(highest(library, b"GLIBC_2."), Some(36));
        assert_eq!(highest(b"", b"GLIBC_2."), None);
        assert_eq!(highest(b"GLIBC_2", b"GLIBC_2."), None);
    }
}
