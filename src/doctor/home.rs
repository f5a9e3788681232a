//! The home: there, the user's, writable, with modes that strict modes accept, and fit to run
//! programs from.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::AccessFlags;

use super::{Finding, Surroundings};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const ALL_OF_OTHERS: u32 = 0o077;

/// Everything about the home.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let home = s.user.home.as_path();
    let shown = home.display();
    match std::fs::metadata(s.at(home)) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let fix = "mount the home volume there, or give --home";
            return vec![Finding::fault(
                "home.exists",
                format!("{shown} is not a directory"),
                fix,
            )];
        }
        Err(error) => {
            let found = format!("{shown} is missing ({error})");
            let fix = format!("mount the home volume at {shown}, or give --home");
            return vec![Finding::fault("home.exists", found, fix)];
        }
    }
    vec![
        Finding::ok(
            "home.exists",
            format!("{shown} is the home of {}", s.user.name),
        ),
        owner(s, home),
        writable(s, home),
        modes(s, home),
        secrecy(s, home),
        runnable(s, home),
    ]
}

fn writes(s: &Surroundings, path: &Path) -> bool {
    s.may(path, AccessFlags::W_OK | AccessFlags::X_OK)
}

fn owner(s: &Surroundings, home: &Path) -> Finding {
    let (check, shown, uid) = ("home.owner", home.display(), s.user.uid.as_raw());
    let owner = std::fs::metadata(s.at(home)).map_or(uid, |metadata| metadata.uid());
    if owner == uid {
        return Finding::ok(check, format!("{shown} is owned by uid {uid}"));
    }
    let found = format!("{shown} is owned by uid {owner}, not by uid {uid}");
    // The top of a volume under fsGroup is root's, and the group's to write.
    if owner == 0 && writes(s, home) {
        return Finding::ok(check, format!("{found}, but its group may write (fsGroup)"));
    }
    // Whoever owned it could not: that is the fault, and `home.writable` says so.
    if s.mounts().has_option(home, "ro") {
        return Finding::ok(
            check,
            format!("{found}, which matters to nobody on a read-only mount"),
        );
    }
    let fix = format!(
        "as root: chown {uid}:{} {shown}; or mount a volume of its own",
        s.user.gid
    );
    Finding::fault(check, found, fix)
}

fn writable(s: &Surroundings, home: &Path) -> Finding {
    let (check, shown) = ("home.writable", home.display());
    if writes(s, home) {
        return Finding::ok(check, format!("{shown} is writable"));
    }
    if s.mounts().has_option(home, "ro") {
        let found = format!("{shown} lies on a read-only mount");
        let fix = format!("mount a volume at {shown}, without readOnly");
        return Finding::fault(check, found, fix);
    }
    let metadata = std::fs::metadata(s.at(home));
    let mode = metadata.map_or(0, |metadata| metadata.mode() & 0o7777);
    let found = format!(
        "{shown} (mode {mode:04o}) is not writable for uid {}",
        s.user.uid
    );
    let groups: Vec<_> = s.groups.iter().map(u32::to_string).collect();
    let fix = format!(
        "set the pod's fsGroup to a group of this user ({}), or as root: chown {}:{} {shown} && chmod u+rwx {shown}",
        groups.join(", "),
        s.user.uid,
        s.user.gid,
    );
    Finding::fault(check, found, fix)
}

/// What sshd's strict modes, and ours, refuse: then keys in the home let nobody in.
fn modes(s: &Surroundings, home: &Path) -> Finding {
    let check = "home.modes";
    let keys = home.join(".ssh/authorized_keys");
    let mut wrong = Vec::new();
    for path in [home, &home.join(".ssh"), &keys] {
        let Ok(metadata) = std::fs::metadata(s.at(path)) else {
            continue;
        };
        let fs_group = path == home && metadata.uid() == 0 && metadata.mode() & 0o002 == 0;
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 && !fs_group {
            wrong.push((path.display().to_string(), metadata.mode() & 0o7777));
        }
    }
    if wrong.is_empty() {
        return Finding::ok(check, "nobody else may write to the home or its .ssh");
    }
    let each = wrong
        .iter()
        .map(|(path, mode)| format!("{path} has mode {mode:04o}"));
    let found = format!(
        "writable by group or others: {}",
        each.collect::<Vec<_>>().join(", ")
    );
    let paths: Vec<_> = wrong.into_iter().map(|(path, _)| path).collect();
    let fix = format!(
        "chmod go-w {} (a restart of podssh does it too)",
        paths.join(" ")
    );
    if s.settings.home_authorized_keys.unwrap_or(true) && s.at(&keys).exists() {
        let found = format!("{found}; strict modes refuse {}", keys.display());
        return Finding::fault(check, found, fix);
    }
    Finding::warning(check, found, fix)
}

/// ssh refuses a private key that others may read, which is what fsGroup makes of one.
fn secrecy(s: &Surroundings, home: &Path) -> Finding {
    let (check, ssh) = ("home.private-keys", home.join(".ssh"));
    let entries = std::fs::read_dir(s.at(&ssh))
        .into_iter()
        .flatten()
        .flatten();
    let mut open: Vec<String> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"id_"))
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_none_or(|extension| extension != "pub")
        })
        .filter(|entry| {
            let metadata = entry.metadata();
            metadata.is_ok_and(|metadata| metadata.mode() & ALL_OF_OTHERS != 0)
        })
        .map(|entry| ssh.join(entry.file_name()).display().to_string())
        .collect();
    if open.is_empty() {
        return Finding::ok(check, "no private key of the user's is readable by others");
    }
    open.sort();
    let open = open.join(" ");
    let found = format!("readable by others, so that ssh refuses to use it: {open}");
    Finding::warning(check, found, format!("chmod 600 {open}"))
}

/// Editors put their servers into the home and run them there.
fn runnable(s: &Surroundings, home: &Path) -> Finding {
    let (check, shown) = ("home.exec", home.display());
    let real = s.at(home).canonicalize().ok();
    let inside = real.and_then(|real| {
        let root = s.root.canonicalize().ok()?;
        Some(Path::new("/").join(real.strip_prefix(root).ok()?))
    });
    if !s
        .mounts()
        .has_option(inside.as_deref().unwrap_or(home), "noexec")
    {
        return Finding::ok(check, format!("programs run from {shown}"));
    }
    let found = format!("{shown} is mounted noexec: editors' servers, put there, cannot start");
    let fix =
        "mount the home volume without noexec (mountOptions of the volume or its storage class)";
    Finding::fault(check, found, fix)
}
