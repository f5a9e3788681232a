//! Copies what a home was never given. A file is written beside its place, flushed, and linked to
//! its name, which fails where something is there already; so a kill leaves a file whole or absent,
//! and the next start goes on. The caller holds the lock: nobody else writes the same temporary.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink,
};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;

use super::Prepared;
use super::ledger::Ledger;

/// Of a file's mode; set-id bits are no business of a home.
const MODE: u32 = 0o777;
/// Ends the name of a file that is being written.
const TEMPORARY: &str = ".podssh-seed";
/// `fsck`'s folder at the top of a volume.
const NOT_A_FILE_OF_ANYBODYS: &str = "lost+found";
/// A full disk says the same of every file.
const MAX_FAULTS: usize = 10;

/// Give `home` everything of `skeletons` that is not in the ledger, and enter it there.
pub(super) fn seed(
    home: &Path,
    skeletons: &[PathBuf],
    ledger: &mut Ledger,
    prepared: &mut Prepared,
) {
    for skeleton in skeletons {
        let mut seeding = Seeding {
            skeleton,
            home,
            ledger,
            prepared,
        };
        seeding.directory(Path::new(""));
    }
}

struct Seeding<'a> {
    skeleton: &'a Path,
    home: &'a Path,
    ledger: &'a mut Ledger,
    prepared: &'a mut Prepared,
}

impl Seeding<'_> {
    /// `path` is relative to the skeleton and to the home.
    fn directory(&mut self, path: &Path) {
        let source = self.skeleton.join(path);
        let entries = fs::read_dir(&source).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut names: Vec<_> = match entries {
            Ok(entries) => entries.iter().map(fs::DirEntry::file_name).collect(),
            // An image without a skeleton.
            Err(error) if error.kind() == ErrorKind::NotFound && path == Path::new("") => return,
            Err(error) => return self.fault(&source, &error),
        };
        names.sort();
        if names.is_empty() && path != Path::new("") {
            self.entry(path, &source);
        }
        for name in names {
            if path == Path::new("") && name == NOT_A_FILE_OF_ANYBODYS {
                continue;
            }
            let (path, source) = (path.join(&name), source.join(&name));
            if source.is_dir() && !source.is_symlink() {
                self.directory(&path);
            } else {
                self.entry(&path, &source);
            }
        }
    }

    /// A file, a link or an empty directory.
    fn entry(&mut self, path: &Path, source: &Path) {
        if self.ledger.has(path) {
            return;
        }
        match self.give(path, source) {
            Ok(given) => {
                self.ledger.add(path);
                if given {
                    self.prepared.seeded.push(path.to_owned());
                }
            }
            Err(error) => self.fault(source, &error),
        }
    }

    /// Whether it was missing. Nothing that is there is touched, whatever it is.
    fn give(&self, path: &Path, source: &Path) -> io::Result<bool> {
        let target = self.home.join(path);
        if target.symlink_metadata().is_ok() {
            // A kill may have come between the link and this.
            let _ = fs::remove_file(temporary(&target));
            return Ok(false);
        }
        let metadata = source.symlink_metadata()?;
        self.parents(path)?;
        let given = match () {
            () if metadata.is_symlink() => symlink(fs::read_link(source)?, &target),
            () if metadata.is_dir() => directory(&target, metadata.mode()),
            () if metadata.is_file() => file(source, &metadata, &target),
            () => {
                let kind = if metadata.file_type().is_socket() {
                    "socket"
                } else {
                    "special file"
                };
                return Err(io::Error::other(format!("a {kind} is not copied")));
            }
        };
        match given {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// The directories above `path`, each as in the skeleton.
    fn parents(&self, path: &Path) -> io::Result<()> {
        let mut above = PathBuf::new();
        let parts = path.parent().into_iter().flat_map(Path::components);
        for part in parts.filter(|part| matches!(part, Component::Normal(_))) {
            above.push(part);
            let target = self.home.join(&above);
            if !target.is_dir() {
                directory(&target, self.skeleton.join(&above).metadata()?.mode())?;
            }
        }
        Ok(())
    }

    fn fault(&mut self, source: &Path, error: &io::Error) {
        let (source, home) = (source.display(), self.home.display());
        if self.prepared.faults.len() < MAX_FAULTS {
            let fault = format!("{source}: not copied to {home}: {error}");
            self.prepared.faults.push(fault);
        }
    }
}

fn directory(target: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode & MODE).create(target)?;
    // The umask may have taken some away.
    fs::set_permissions(target, Permissions::from_mode(mode & MODE))
}

fn file(source: &Path, metadata: &Metadata, target: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let temporary = temporary(target);
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options.custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut to = options.open(&temporary)?;
    let published = io::copy(&mut from, &mut to)
        .and_then(|_| to.set_permissions(Permissions::from_mode(metadata.mode() & MODE)))
        .and_then(|()| to.sync_all())
        .and_then(|()| publish(&temporary, target));
    // Linked, it has its name; not linked, it is of no use.
    let _ = fs::remove_file(&temporary);
    published
}

fn publish(temporary: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Volumes without hard links: the window between look and rename is all that is lost.
        Err(_) if target.symlink_metadata().is_err() => fs::rename(temporary, target),
        Err(error) => Err(error),
    }
}

fn temporary(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(TEMPORARY);
    target.with_file_name(name)
}
