//! The keys: some are there, they can be read and are believed, and changes to them arrive.

use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;

use super::{Finding, Surroundings};
use crate::keys::{KeyErrorKind, KeySet, Sources};

const MOUNTED_HOST_KEYS: &str = "/etc/podssh/host_keys";

/// Everything about keys.
pub(super) fn examine(s: &Surroundings) -> Vec<Finding> {
    let mut findings = unreadable(s);
    findings.extend(content(s));
    findings.extend(never_updated(s));
    findings.push(host_keys(s));
    findings
}

/// The files that a source stands for, `..data` and the like left out.
fn files(s: &Surroundings, source: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(s.at(source)) else {
        return vec![source.to_owned()];
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let shown = names.filter(|name| !name.as_encoded_bytes().starts_with(b".."));
    let mut files: Vec<_> = shown.map(|name| source.join(name)).collect();
    files.sort();
    files
}

fn unreadable(s: &Surroundings) -> Vec<Finding> {
    let check = "keys.readable";
    let mut findings = Vec::new();
    for source in s.key_sources() {
        if !s.at(&source).exists() {
            continue;
        }
        let unreadable = |path: &PathBuf| !s.may(path, AccessFlags::R_OK);
        for path in files(s, &source).into_iter().filter(unreadable) {
            let found = format!("{} cannot be read by uid {}", path.display(), s.user.uid);
            let fix = format!(
                "for a Secret set the pod's fsGroup, say {}, and defaultMode 0440; a file of the image: chmod a+r",
                s.user.gid
            );
            findings.push(Finding::fault(check, found, fix));
        }
    }
    if findings.is_empty() {
        let found = format!("what is there of {} can be read", listed(&s.key_sources()));
        findings.push(Finding::ok(check, found));
    }
    findings
}

fn listed(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(", ")
}

/// As the daemon reads them: whom do they let in, and what is wrong with them?
fn content(s: &Surroundings) -> Vec<Finding> {
    let below = |paths: Vec<PathBuf>| paths.iter().map(|path| s.at(path)).collect();
    let home_keys = s.settings.home_authorized_keys.unwrap_or(true);
    let sources = Sources {
        authorized_keys: below(s.settings.key_paths()),
        home: s.at(&s.user.home),
        uid: s.user.uid.as_raw(),
        home_authorized_keys: home_keys,
        user_ca: below(s.settings.user_ca.clone()),
        principals: vec![s.user.name.clone()],
        revoked_keys: None,
        feed: None,
    };
    let (set, errors) = KeySet::load(&sources, None);
    let mut findings = vec![count(s, &set, home_keys)];
    for error in errors {
        let line = error.line.map_or(String::new(), |line| format!(":{line}"));
        let root = format!("{}/", s.root.display());
        let plain = |text: &str| match s.root.parent() {
            None => text.to_owned(),
            Some(_) => text.replace(&root, "/"),
        };
        let found = plain(&format!("{}{line}: {}", error.path.display(), error.reason));
        let fix = if error.fix.is_empty() {
            "correct the line, or remove it"
        } else {
            &error.fix
        };
        match error.kind {
            KeyErrorKind::Line => findings.push(Finding::warning("keys.lines", found, fix)),
            KeyErrorKind::Untrusted => findings.push(Finding::fault("keys.trusted", found, fix)),
            KeyErrorKind::Unreadable => {
                let fix =
                    "put keys there in authorized_keys format, readable for the workspace user";
                findings.push(Finding::fault("keys.format", found, fix));
            }
            // Said below, from the described mounts.
            KeyErrorKind::NeverUpdates => {}
        }
    }
    findings
}

fn count(s: &Surroundings, set: &KeySet, home_keys: bool) -> Finding {
    let check = "keys.present";
    if set.has_authority() || !set.is_empty() {
        return Finding::ok(
            check,
            format!("{} key(s) or CAs may log in", set.len().max(1)),
        );
    }
    if let Some(secret) = &s.settings.keys_from_secret {
        return Finding::ok(check, format!("followed by the API: Secret {secret}"));
    }
    let mut places = s.key_sources();
    if home_keys {
        places.push(s.user.home.join(".ssh/authorized_keys"));
    }
    let states = places.iter().map(|path| {
        let state = match std::fs::metadata(s.at(path)) {
            Err(_) => "is missing",
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => "is empty",
            Ok(metadata) if metadata.is_dir() && files(s, path).is_empty() => "holds no file",
            Ok(_) => "holds no usable key",
        };
        format!("{} {state}", path.display())
    });
    let found = format!(
        "nobody can log in: {}",
        states.collect::<Vec<_>>().join(", ")
    );
    let fix = format!(
        "put public keys into the Secret mounted at {}, one data key a person",
        listed(&s.settings.key_paths())
    );
    Finding::fault(check, found, fix)
}

/// A key that is taken out of such a mount goes on letting people in until the pod is replaced.
fn never_updated(s: &Surroundings) -> Vec<Finding> {
    let (check, mounts) = ("keys.updates", s.mounts());
    let mut findings = Vec::new();
    for source in s.key_sources() {
        for path in std::iter::once(source.clone()).chain(files(s, &source)) {
            let alone = s.at(&path).is_file() && mounts.is_mount_point(&path);
            if (alone || mounts.shows_one_generation(&path))
                && !findings.iter().any(|(known, _)| *known == path)
            {
                let found = format!(
                    "{} is mounted as one file or generation (subPath) and never updates",
                    path.display()
                );
                let fix = "mount the whole Secret as a directory, without subPath";
                findings.push((path, Finding::warning(check, found, fix)));
            }
        }
    }
    if findings.is_empty() {
        return vec![Finding::ok(check, "no source of keys is a subPath mount")];
    }
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn host_keys(s: &Surroundings) -> Finding {
    let check = "keys.host";
    let mounted = PathBuf::from(MOUNTED_HOST_KEYS);
    let directory = s.settings.host_keys.clone().unwrap_or(mounted);
    let shown = directory.display();
    let keys: Vec<_> = if s.at(&directory).is_dir() {
        files(s, &directory)
    } else {
        Vec::new()
    };
    let unreadable = |path: &&PathBuf| !s.may(path, AccessFlags::R_OK);
    if let Some(path) = keys.iter().find(unreadable) {
        let found = format!("the host key {} cannot be read", path.display());
        let fix = "for a Secret set the pod's fsGroup and defaultMode 0440";
        return Finding::fault(check, found, fix);
    }
    if keys.is_empty() && s.settings.host_keys.is_none() {
        let home = s.user.home.join(".local/state/podssh/host_keys");
        return Finding::ok(check, format!("kept in {}", home.display()));
    }
    Finding::ok(check, format!("{} file(s) in {shown}", keys.len()))
}
