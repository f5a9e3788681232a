//! Makes the host keys that are missing, each file complete or not there at all.
//!
//! A key is written under a temporary name, flushed to the disk, and linked to its own name, which
//! fails if another daemon on the same volume was faster; its key is then the one we use. All
//! temporaries exist before the first link and go after the last, so one that is left over tells
//! the next start that something may be missing.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ssh_key::{Algorithm, EcdsaCurve};

use super::HostKeyError;
use super::fresh::key_texts;

const TEMPORARY: &str = ".podssh-new-";
/// Made with the other, so that its fingerprint is there from the first day.
pub(super) const SPARE: &str = "ssh_host_ecdsa_key";
pub(super) const KEYS: [(&str, Algorithm); 2] = [
    ("ssh_host_ed25519_key", Algorithm::Ed25519),
    (
        SPARE,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    ),
];
/// How often another daemon may clean our temporaries away before we give up.
const TRIES: usize = 5;

/// What an interrupted generation left.
fn leftovers(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let temporary = |name: &OsStr| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
    let ours = entries
        .flatten()
        .filter(|entry| temporary(&entry.file_name()));
    ours.map(|entry| entry.path()).collect()
}

/// Whether a generation was interrupted, so that a key may be missing.
pub(super) fn was_interrupted(directory: &Path) -> bool {
    !leftovers(directory).is_empty()
}

/// Remove what interrupted generations left. Only once every key is there: until then it tells of them.
pub(super) fn clean(directory: &Path) {
    for path in leftovers(directory) {
        let _ = fs::remove_file(path);
    }
}

/// Generate every standard key that `directory` lacks.
pub(super) fn missing(directory: &Path) -> Result<(), HostKeyError> {
    let explain = |error: io::Error| {
        let reason = format!("holds no host key and none can be made there: {error}");
        HostKeyError::new(
            directory,
            reason,
            "mount a Secret with one, or make the home writable",
        )
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(explain)?;
    for _ in 0..TRIES {
        match generate(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => {}
            result => return result.map_err(explain),
        }
    }
    Err(explain(io::Error::other(
        "another process keeps removing files there",
    )))
}

fn generate(directory: &Path) -> io::Result<()> {
    let mut written = Vec::new();
    for (name, algorithm) in KEYS {
        let path = directory.join(name);
        if !path.exists() {
            written.push((write_temporary(directory, name, algorithm)?, path));
        }
    }
    for (temporary, path) in &written {
        publish(&temporary.path, path)?;
        write_public(&temporary.public, path);
    }
    File::open(directory)?.sync_all()?;
    for (temporary, _) in &written {
        let _ = fs::remove_file(&temporary.path);
    }
    File::open(directory)?.sync_all()
}

struct Temporary {
    path: PathBuf,
    public: String,
}

fn write_temporary(directory: &Path, name: &str, algorithm: Algorithm) -> io::Result<Temporary> {
    let (text, public) = key_texts(algorithm)?;
    let path = directory.join(format!("{TEMPORARY}{:016x}-{name}", rand::random::<u64>()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(Temporary { path, public })
}

/// Give the file its name unless the name is taken; then the other's key stands.
fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Volumes without hard links: the window between look and rename is all that is lost.
        Err(error) if error.kind() != io::ErrorKind::NotFound && !path.exists() => {
            fs::rename(temporary, path)
        }
        result => result,
    }
}

/// A convenience for people; nothing reads it, so it may fail.
fn write_public(public: &str, path: &Path) {
    let _ = fs::write(
        path.with_extension("pub"),
        format!("{}\n", public.trim_end()),
    );
}
