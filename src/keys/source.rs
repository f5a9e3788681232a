//! A source as the operator names it: a file, or a directory with one file a person. Yields raw
//! texts; what they mean is decided elsewhere.
//!
//! A Secret mount is read as one generation: `..data` is resolved once, every file is read through
//! it, and if the kubelet has renamed a new one into place meanwhile, everything is read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{KeyError, KeyErrorKind};
use super::file::{self, Content, is_missing};
use super::mounts::Mounts;
use super::trust::Owner;

/// A list of a hundred keys is 10 KiB; this is room for forty thousand.
const MAX_FILE: u64 = 4 * 1024 * 1024;
const MAX_FILES: usize = 10_000;
/// Swaps are a minute apart; whoever loses this race so often is not looking at a kubelet mount.
const GENERATION_TRIES: usize = 8;
const GENERATION_LINK: &str = "..data";

/// One file of a source.
pub(super) struct Text {
    /// The path to show, never through a generation's directory.
    pub(super) path: PathBuf,
    /// The name in logs: with a Secret, the data key, so the person.
    pub(super) label: String,
    /// `Err`: unreadable (the last good content stays) or untrusted (nothing counts).
    pub(super) content: Result<Vec<u8>, KeyError>,
}

/// What a path turned out to be.
pub(super) enum Source {
    /// Nothing there; for a directory this includes an empty one.
    Texts(Vec<Text>),
    /// The directory itself cannot be read.
    Broken(KeyError),
}

/// How sources are read: whom to trust, and what is mounted where.
pub(super) struct Reader {
    pub(super) owner: Owner,
    pub(super) mounts: Mounts,
}

impl Reader {
    /// Read everything that `path` stands for.
    pub(super) fn source(&self, path: &Path) -> Source {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.directory(path),
            Ok(_) => Source::Texts(self.text(path, path).into_iter().collect()),
            Err(error) if is_missing(&error) => Source::Texts(Vec::new()),
            Err(error) => {
                let reason = format!("cannot be read: {error}");
                Source::Broken(KeyError::new(path, KeyErrorKind::Unreadable, reason))
            }
        }
    }

    /// A note when edits to `path` can never arrive.
    pub(super) fn staleness(&self, path: &Path) -> Option<KeyError> {
        let real = path.canonicalize().ok()?;
        self.mounts.never_updates(&real).then(|| {
            KeyError::new(
                path,
                KeyErrorKind::NeverUpdates,
                "is mounted as one file or generation (subPath) and never updates",
            )
            .with_fix("mount the whole Secret as a directory")
        })
    }

    fn directory(&self, directory: &Path) -> Source {
        for _ in 0..GENERATION_TRIES {
            let generation = match fs::read_link(directory.join(GENERATION_LINK)) {
                Ok(target) => Some(target),
                Err(error) if is_missing(&error) || error.kind() == io::ErrorKind::InvalidInput => {
                    None
                }
                Err(error) => return broken(directory, &error),
            };
            let real = generation
                .as_ref()
                .map_or(directory.to_owned(), |name| directory.join(name));
            let texts = self.files(directory, &real);
            let after = fs::read_link(directory.join(GENERATION_LINK)).ok();
            match texts {
                _ if after != generation => {}
                Ok(texts) => return Source::Texts(texts),
                // The generation went while its link still stands: between two looks, try again.
                Err(error) if is_missing(&error) && generation.is_some() => {}
                Err(error) => return broken(directory, &error),
            }
        }
        broken(
            directory,
            &io::Error::other("its ..data link leads nowhere or keeps changing"),
        )
    }

    fn files(&self, shown: &Path, real: &Path) -> io::Result<Vec<Text>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(real)? {
            let name = entry?.file_name();
            if !name.as_encoded_bytes().starts_with(b"..") {
                names.push(name);
            }
            if names.len() > MAX_FILES {
                return Err(io::Error::other(format!(
                    "holds more than {MAX_FILES} files"
                )));
            }
        }
        names.sort();
        Ok(names
            .iter()
            .filter_map(|name| self.text(&shown.join(name), &real.join(name)))
            .collect())
    }

    fn text(&self, shown: &Path, real: &Path) -> Option<Text> {
        let content = match file::read(real, MAX_FILE) {
            Ok(None) => return None,
            Ok(Some(Content { bytes, file })) => self
                .owner
                .check(real, &file)
                .map(|()| bytes)
                .map_err(|reason| {
                    KeyError::new(shown, KeyErrorKind::Untrusted, reason)
                        .with_fix("correct its owner and mode, or mount the keys from a Secret")
                }),
            Err(reason) => Err(KeyError::new(shown, KeyErrorKind::Unreadable, reason)),
        };
        let label = shown
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Some(Text {
            path: shown.to_owned(),
            label,
            content,
        })
    }
}

fn broken(directory: &Path, error: &io::Error) -> Source {
    let reason = format!("cannot be read: {error}");
    Source::Broken(KeyError::new(directory, KeyErrorKind::Unreadable, reason))
}
