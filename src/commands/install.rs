//! `podssh install DIR`: this very program as `DIR/podssh`, whole or not at all.
//!
//! It is how an init container brings podssh into an image that knows nothing of it. Never leaves a
//! part of a file under the final name, and changes nothing when the same program is there already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Failed, report};
use crate::cli::InstallArgs;
use crate::exit_code;

const NAME: &str = "podssh";
/// Everybody may run it, its owner may replace it.
const MODE: u32 = 0o755;
/// The running program, even when its file has been replaced or deleted.
const OURSELVES: &str = "/proc/self/exe";

/// Run it. Says on standard output what it did.
pub fn run(args: &InstallArgs) -> u8 {
    let done = install(&args.directory).and_then(|line| {
        writeln!(io::stdout(), "{line}").map_err(|error| Failed::new(exit_code::SOFTWARE, error))
    });
    match done {
        Ok(()) => 0,
        Err(failed) => report(&failed),
    }
}

/// The sentence to print.
fn install(directory: &Path) -> Result<String, Failed> {
    let target = directory.join(NAME);
    let shown = target.display();
    let version = env!("CARGO_PKG_VERSION");
    check(directory, &target)?;
    let program = fs::read(OURSELVES).map_err(|error| {
        let message = format!("cannot read this program at {OURSELVES}: {error}");
        Failed::new(exit_code::SOFTWARE, message)
    })?;
    if is_installed(&target, &program) {
        return Ok(format!("{shown} is podssh {version} already"));
    }
    replace(directory, &target, &program).map_err(|error| explain(directory, &target, &error))?;
    let kib = program.len() / 1024;
    Ok(format!("installed podssh {version} as {shown} ({kib} KiB)"))
}

fn check(directory: &Path, target: &Path) -> Result<(), Failed> {
    let wrong = |reason: String| Failed::new(exit_code::NO_INPUT, reason);
    let shown = directory.display();
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Err(wrong(format!(
            "{shown} is not a directory; name the directory to put podssh in"
        ))),
        Err(error) => Err(wrong(format!(
            "{shown}: {error}; name an existing directory, such as a mounted volume"
        ))),
        Ok(_) if target.is_dir() => Err(wrong(format!(
            "{} is a directory; remove it, or name another directory than {shown}",
            target.display()
        ))),
        Ok(_) => Ok(()),
    }
}

fn is_installed(target: &Path, program: &[u8]) -> bool {
    // A link may lead to what is gone tomorrow: only a file of its own counts.
    let same = |metadata: fs::Metadata| {
        metadata.is_file()
            && metadata.permissions().mode() & 0o7777 == MODE
            && metadata.len() == program.len() as u64
    };
    fs::symlink_metadata(target).is_ok_and(same)
        && fs::read(target).is_ok_and(|present| present == program)
}

/// Write beside the target, make it durable, then rename: a running old one is not disturbed.
fn replace(directory: &Path, target: &Path, program: &[u8]) -> io::Result<()> {
    let partial = Partial(directory.join(format!(".{NAME}.{:016x}", rand::random::<u64>())));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&partial.0)?;
    file.write_all(program)?;
    // Past the umask.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.sync_all()?;
    drop(file); // a file open for writing cannot be run
    fs::rename(&partial.0, target)?;
    // The name must be durable too; some file systems cannot sync a directory, which is no failure.
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Removed again unless it was renamed away.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

fn explain(directory: &Path, target: &Path, error: &io::Error) -> Failed {
    let shown = directory.display();
    let (code, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            exit_code::NO_PERMISSION,
            format!("make {shown} writable for uid {}", nix::unistd::geteuid()),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            exit_code::UNAVAILABLE,
            format!("give the volume of {shown} more room"),
        ),
        _ => (
            exit_code::UNAVAILABLE,
            "nothing was changed there".to_owned(),
        ),
    };
    Failed::new(
        code,
        format!("cannot install {}: {error}; {advice}", target.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_once_and_then_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join(NAME);
        std::os::unix::fs::symlink("/nowhere", &target).unwrap();
        let first = install(directory.path()).unwrap();
        assert!(first.starts_with("installed podssh"), "{first}");
        let second = install(directory.path()).unwrap();
        assert!(second.ends_with("already"), "{second}");
        let metadata = fs::symlink_metadata(&target).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o7777, MODE);
        assert!(fs::read(&target).unwrap() == fs::read(OURSELVES).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_the_same_length_or_with_another_mode_is_another_program() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join(NAME);
        for (bytes, mode) in [(&b"abd"[..], 0o755), (b"abc", 0o644)] {
            fs::write(&target, bytes).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
            assert!(!is_installed(&target, b"abc"), "{bytes:?} {mode:o}");
            replace(directory.path(), &target, b"abc").unwrap();
            assert!(is_installed(&target, b"abc"));
        }
    }

    #[test]
    fn each_failure_names_the_thing_and_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let failed = install(&file).unwrap_err();
        assert_eq!(failed.code, exit_code::NO_INPUT);
        assert!(failed.message.contains("is not a directory"), "{failed:?}");
        let failed = install(&directory.path().join("none")).unwrap_err();
        assert!(failed.message.contains("existing directory"), "{failed:?}");
        fs::create_dir(directory.path().join(NAME)).unwrap();
        let failed = install(directory.path()).unwrap_err();
        assert!(
            failed.message.contains("podssh is a directory"),
            "{failed:?}"
        );

        let full = io::Error::from(io::ErrorKind::StorageFull);
        let failed = explain(Path::new("/d"), Path::new("/d/podssh"), &full);
        assert_eq!(failed.code, exit_code::UNAVAILABLE);
        assert!(failed.message.ends_with("give the volume of /d more room"));
    }

    #[test]
    fn a_failure_midway_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("is-a-directory");
        fs::create_dir_all(target.join("not-empty")).unwrap();
        replace(directory.path(), &target, b"abc").unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
