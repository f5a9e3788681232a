//! Which hooks there are, in which order, and how each is to be run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// A hook that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub path: PathBuf,
    pub way: Way,
}

/// How to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In a shell, which then tells its exports.
    Source,
    /// As a program.
    Execute,
    /// Not, for this reason.
    Not(String),
}

/// The hooks of each directory by name, then the user's own.
pub(super) fn find(directories: &[PathBuf], on_start: &Path) -> Vec<Hook> {
    let mut hooks: Vec<Hook> = directories.iter().flat_map(|path| listed(path)).collect();
    if on_start.symlink_metadata().is_ok() {
        hooks.push(Hook {
            path: on_start.to_owned(),
            way: executed(on_start),
        });
    }
    hooks
}

fn listed(directory: &Path) -> Vec<Hook> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten(),
        // An image without hooks.
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let way = Way::Not(format!("cannot be read: {error}"));
            let path = directory.to_owned();
            return vec![Hook { path, way }];
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| !is_aside(path) && !path.is_dir())
        .collect();
    paths.sort();
    let hook = |path: PathBuf| {
        let sourced = path.extension().is_some_and(|extension| extension == "sh");
        let way = if sourced {
            Way::Source
        } else {
            executed(&path)
        };
        Hook { path, way }
    };
    paths.into_iter().map(hook).collect()
}

/// Hidden files (a mounted ConfigMap has some), what editors leave, and what is there to be read.
fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let readable = ["README", ".md", ".txt"];
    name.starts_with('.') || name.ends_with('~') || readable.iter().any(|end| name.ends_with(end))
}

fn executed(path: &Path) -> Way {
    if access(path, AccessFlags::X_OK).is_ok() {
        return Way::Execute;
    }
    let reason = "is not executable: chmod +x it (a file system mounted noexec allows no hook)";
    Way::Not(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn hooks_come_by_directory_then_by_name_and_the_users_own_is_last() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["b", "a", "a/20-folder"] {
            fs::create_dir(path(directory)).unwrap();
        }
        let files = [
            ("b/10", 0o755),
            ("a/30.sh", 0o644),
            ("a/10-x", 0o755),
            ("a/20-not", 0o644),
            ("a/..data", 0o755),
            ("a/10-x~", 0o755),
            ("a/README", 0o644),
            ("on-start", 0o755),
        ];
        for (name, mode) in files {
            fs::write(path(name), "").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let directories = [path("b"), path("nowhere"), path("a")];
        let found = find(&directories, &path("on-start"));
        let found: Vec<_> = found
            .iter()
            .map(|hook| (hook.path.clone(), &hook.way))
            .collect();
        assert!(matches!(
            found.as_slice(),
            [
                (_, Way::Execute),
                (_, Way::Execute),
                (_, Way::Not(_)),
                (_, Way::Source),
                (_, Way::Execute),
            ]
        ));
        let names = ["b/10", "a/10-x", "a/20-not", "a/30.sh", "on-start"].map(path);
        assert!(found.iter().map(|(path, _)| path).eq(&names), "{found:?}");
    }
}
