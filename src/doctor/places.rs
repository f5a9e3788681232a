//! Where sockets and temporary files go.

use std::path::Path;

use nix::unistd::AccessFlags;

use super::{Finding, Surroundings};
use crate::user::RUNTIME_DIR;

/// `/tmp` and the runtime directory.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    vec![temporary(s), runtime(s)]
}

fn writes(s: &Surroundings, path: &str) -> bool {
    s.may(Path::new(path), AccessFlags::W_OK | AccessFlags::X_OK)
}

fn temporary(s: &Surroundings) -> Finding {
    let check = "places.tmp";
    if !s.at("/tmp").is_dir() || !writes(s, "/tmp") {
        let found = "/tmp is missing, or not writable: editors' servers keep their sockets there";
        let fix = "mount an emptyDir at /tmp, or as root: mkdir -p /tmp && chmod 1777 /tmp";
        return Finding::fault(check, found, fix);
    }
    if s.mounts().has_option(Path::new("/tmp"), "noexec") {
        let found = "/tmp is mounted noexec: installers that unpack and run there fail";
        return Finding::warning(check, found, "mount /tmp without noexec, or set TMPDIR");
    }
    Finding::ok(check, "/tmp is writable")
}

fn runtime(s: &Surroundings) -> Finding {
    let check = "places.runtime";
    if s.at(RUNTIME_DIR).is_dir() && writes(s, RUNTIME_DIR) {
        return Finding::ok(check, format!("{RUNTIME_DIR} is writable"));
    }
    let found = format!("{RUNTIME_DIR} is missing, or not writable: sockets go to /tmp instead");
    let fix = format!("mount an emptyDir of medium Memory at {RUNTIME_DIR}");
    Finding::warning(check, found, fix)
}
