//! Programs and libraries.

use podssh::doctor::Severity::{Fault, Warning};

use crate::workspace::{Workspace, spoilt};

#[test]
fn programs_that_are_missing() {
    for (program, check, severity, package) in [
        ("tar", "tools.tar", Fault, "package tar"),
        ("gzip", "tools.gzip", Fault, "package gzip"),
        ("git", "tools.git", Warning, "package git"),
        ("ps", "tools.ps", Warning, "package procps"),
        ("curl", "tools.download", Fault, "curl or wget"),
    ] {
        let path = format!("bin/{program}");
        spoilt(|w| w.remove(&path), check, severity, program, package);
    }
    let not_executable = |w: &mut Workspace| w.mode("bin/tar", 0o644);
    spoilt(
        not_executable,
        "tools.tar",
        Fault,
        "tar is missing",
        "package tar",
    );
}

#[test]
fn wget_will_do_instead_of_curl_and_any_shell_instead_of_bash() {
    let no_certificates_to_see_that_nothing_else_is_said = |w: &mut Workspace| {
        w.remove("bin/curl");
        w.write("usr/local/bin/wget", "");
        w.mode("usr/local/bin/wget", 0o755);
        w.remove("etc/ssl/certs/ca-certificates.crt");
    };
    spoilt(
        no_certificates_to_see_that_nothing_else_is_said,
        "tools.certificates",
        Warning,
        "https",
        "package ca-certificates",
    );
    let no_bash = |w: &mut Workspace| {
        w.remove("bin/bash");
        w.write("bin/sh", "");
        w.mode("bin/sh", 0o755);
        w.surroundings.user.shell = "/bin/sh".into();
    };
    spoilt(
        no_bash,
        "tools.bash",
        Fault,
        "bash is missing",
        "package bash",
    );
    let no_shell = |w: &mut Workspace| w.surroundings.user.shell = "/usr/sbin/fish".into();
    let nologin = |w: &mut Workspace| {
        w.write("bin/nologin", "");
        w.mode("bin/nologin", 0o755);
        w.surroundings.user.shell = "/bin/nologin".into();
    };
    spoilt(
        nologin,
        "tools.shell",
        Fault,
        "ends every session",
        "--shell",
    );
    spoilt(
        no_shell,
        "tools.shell",
        Fault,
        "/usr/sbin/fish",
        "give --shell",
    );
}

#[test]
fn an_old_a_foreign_and_a_missing_c_library() {
    let old = |w: &mut Workspace| w.write("usr/lib/libc.so.6", "\0GLIBC_2.17\0");
    let fix = "glibc 2.28 or newer";
    spoilt(old, "libraries.glibc", Fault, "glibc 2.17 is too old", fix);
    let musl = |w: &mut Workspace| {
        w.remove("usr/lib/libc.so.6");
        w.write(&format!("lib/ld-musl-{}.so.1", std::env::consts::ARCH), "");
    };
    spoilt(musl, "libraries.glibc", Fault, "musl", fix);
    let none = |w: &mut Workspace| w.remove("usr/lib/libc.so.6");
    spoilt(none, "libraries.glibc", Fault, "there is no glibc", fix);
}

#[test]
fn an_old_and_a_missing_cpp_library() {
    let old = |w: &mut Workspace| w.write("usr/lib/libstdc++.so.6", "\0GLIBCXX_3.4.24\0");
    spoilt(
        old,
        "libraries.libstdc++",
        Fault,
        "GLIBCXX_3.4.24",
        "Debian 10",
    );
    let none = |w: &mut Workspace| w.remove("usr/lib/libstdc++.so.6");
    spoilt(
        none,
        "libraries.libstdc++",
        Fault,
        "libstdc++ is missing",
        "package libstdc++6",
    );
}

#[test]
fn what_jetbrains_loads_is_a_warning_that_names_the_libraries() {
    let none = |w: &mut Workspace| w.remove("usr/lib/libXtst.so.6");
    spoilt(
        none,
        "libraries.jetbrains",
        Warning,
        "without libXtst.so.6",
        "libxtst6",
    );
}
