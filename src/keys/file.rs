//! Reads one small file without ever blocking: a FIFO, a device or a huge file is refused with the
//! reason, a missing file is not an error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// A regular file's content, and the open file for questions about its owner and mode.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) file: File,
}

/// Read `path`, at most `limit` bytes of it. `Ok(None)`: there is no such file.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Content>, String> {
    // Asked before opening as well as after: opening a device may already do something.
    match std::fs::metadata(path) {
        Ok(metadata) => regular(metadata.file_type())?,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A Secret of mode 0400 is root's; only fsGroup makes the kubelet hand it to others.
            return Err(format!(
                "cannot be opened: {error}; for a Secret, set fsGroup"
            ));
        }
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be examined: {error}"))?;
    regular(metadata.file_type())?;
    let mut bytes = Vec::with_capacity(metadata.len().min(limit) as usize + 1);
    (&file)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!(
            "is larger than {limit} bytes, more than any list of keys needs"
        ));
    }
    Ok(Some(Content { bytes, file }))
}

/// A path that leads nowhere is "missing", a policy; anything else is trouble.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn regular(kind: std::fs::FileType) -> Result<(), String> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "a special file"
    };
    Err(format!("is {what}, not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let long = dir.path().join("long");
        std::fs::write(&long, vec![b'x'; 11]).unwrap();

        assert!(read(&fifo, 10).err().unwrap().contains("a FIFO"));
        assert!(read(dir.path(), 10).err().unwrap().contains("a directory"));
        assert!(
            read(Path::new("/dev/null"), 10)
                .err()
                .unwrap()
                .contains("a device")
        );
        assert!(
            read(&long, 10)
                .err()
                .unwrap()
                .contains("larger than 10 bytes")
        );
        assert!(read(&dir.path().join("none"), 10).unwrap().is_none());
        assert!(read(&long.join("below-a-file"), 10).unwrap().is_none());
        assert_eq!(read(&long, 11).unwrap().unwrap().bytes.len(), 11);
    }
}
