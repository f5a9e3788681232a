//! Which files the home has been given, whether or not they are still there: what tells a file that
//! its user deleted from one that never was. A line a file, `./` and its path; replaced as a whole.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HEADER: &str = "# What this home was given by podssh, each file once. Without this file: all that is missing, again.\n";
const START: &[u8] = b"./";

/// The record, as it is on the disk and what was added to it.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    given: BTreeSet<PathBuf>,
    changed: bool,
}

impl Ledger {
    /// A record that is missing is empty; one that cannot be read is an error, since to take it for
    /// empty would bring back what was deleted.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let path = path.display();
                return Err(format!(
                    "{path}: cannot be read: {error}; nothing is seeded until it can, or until it is deleted"
                ));
            }
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        let given = lines.filter_map(|line| line.strip_prefix(START).map(unescaped));
        Ok(Self {
            path: path.to_owned(),
            given: given.collect(),
            changed: false,
        })
    }

    /// Whether the home was ever given `path`, or had it already when it would have been.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.given.contains(path)
    }

    pub(super) fn add(&mut self, path: &Path) {
        self.changed |= self.given.insert(path.to_owned());
    }

    /// Write it, whole or not at all, if it has grown.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut text = HEADER.as_bytes().to_vec();
        for path in &self.given {
            text.extend_from_slice(START);
            text.extend(escaped(path));
            text.push(b'\n');
        }
        let mut name = OsString::from(&self.path);
        name.push(".new");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        let mut file = options.open(&name)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&name, &self.path)?;
        self.changed = false;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            other => text.push(*other),
        }
    }
    text
}

fn unescaped(line: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            // The other escape is a backslash after a backslash, of which one is left.
            b'\\' if rest.next() == Some(&b'n') => b'\n',
            other => *other,
        });
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives_being_written_and_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seeded");
        let names = ["#x", "a\nb", "a\\nb", "\\", "deep/er/file", "./odd"];
        let bytes = PathBuf::from(OsString::from_vec(vec![0xff, b'x']));
        let mut ledger = Ledger::load(&path).unwrap();
        for name in names {
            ledger.add(Path::new(name));
        }
        ledger.add(&bytes);
        ledger.save().unwrap();
        let read = Ledger::load(&path).unwrap();
        for name in names {
            assert!(read.has(Path::new(name)), "{name:?}");
        }
        assert!(read.has(&bytes) && read.given.len() == names.len() + 1);
        assert!(!directory.path().join("seeded.new").exists());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_taken_for_empty() {
        let directory = tempfile::tempdir().unwrap();
        let error = Ledger::load(directory.path()).unwrap_err();
        assert!(error.contains("deleted"), "{error}");
    }
}
