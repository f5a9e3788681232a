//! The programs that editors' servers and their install scripts call.
//!
//! Sources: Microsoft's list for VS Code remote development, its install scripts, and JetBrains' and
//! Zed's. podssh itself needs none of them, except the shell.

use super::{Finding, Surroundings};

/// Program, the package that has it, who needs it, and whether nothing goes without it.
const WANTED: [(&str, &str, &str, &str, bool); 5] = [
    (
        "tools.bash",
        "bash",
        "bash",
        "VS Code's install script",
        true,
    ),
    (
        "tools.tar",
        "tar",
        "tar",
        "every editor that unpacks its server",
        true,
    ),
    (
        "tools.gzip",
        "gzip",
        "gzip",
        "every editor that unpacks its server",
        true,
    ),
    (
        "tools.git",
        "git",
        "git",
        "version control in editors",
        false,
    ),
    (
        "tools.ps",
        "ps",
        "procps",
        "editors that look for their running server",
        false,
    ),
];

/// Everything about programs.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let mut findings = vec![shell(s)];
    for (check, program, package, who, needed) in WANTED {
        findings.push(match s.program(program) {
            Some(path) => Finding::ok(check, format!("{program} is {}", path.display())),
            None => {
                let found = format!("{program} is missing, which {who} needs");
                let judge = if needed {
                    Finding::fault
                } else {
                    Finding::warning
                };
                judge(check, found, format!("install the package {package}"))
            }
        });
    }
    findings.push(download(s));
    findings.push(authorities(s));
    findings
}

fn shell(s: &Surroundings) -> Finding {
    let (check, shell) = ("tools.shell", s.user.shell.as_path());
    if shell.ends_with("nologin") || shell.ends_with("false") {
        let found = format!(
            "the login shell {} ends every session at once",
            shell.display()
        );
        return Finding::fault(
            check,
            found,
            "give the user a shell in passwd, or give --shell",
        );
    }
    if s.at(shell).is_file() && s.may(shell, nix::unistd::AccessFlags::X_OK) {
        return Finding::ok(check, format!("the login shell is {}", shell.display()));
    }
    let found = format!(
        "the login shell {} is missing, or cannot be run",
        shell.display()
    );
    Finding::fault(check, found, "install it, correct passwd, or give --shell")
}

fn download(s: &Surroundings) -> Finding {
    let check = "tools.download";
    match s.program("curl").or_else(|| s.program("wget")) {
        Some(path) => Finding::ok(check, format!("{} can download", path.display())),
        None => Finding::fault(
            check,
            "neither curl nor wget is there, one of which editors download their servers with",
            "install the package curl or wget",
        ),
    }
}

fn authorities(s: &Surroundings) -> Finding {
    let check = "tools.certificates";
    let bundles = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    let filled = |bundle: &&str| std::fs::metadata(s.at(bundle)).is_ok_and(|file| file.len() > 0);
    match bundles.into_iter().find(filled) {
        Some(bundle) => Finding::ok(check, format!("{bundle} is there")),
        None => Finding::warning(
            check,
            "no certificate authorities are installed, so that downloads by https fail",
            "install the package ca-certificates",
        ),
    }
}
