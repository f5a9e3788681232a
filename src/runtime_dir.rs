//! Where the daemon's sockets are: `/run/podssh`, else a directory of our own in `/tmp`; never the
//! home, which may be on a file system without sockets.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::user::RUNTIME_DIR;

/// The directory for `uid`, the caller's own; [`prepare`] makes it.
pub fn path(uid: u32) -> PathBuf {
    let runtime = Path::new(RUNTIME_DIR);
    if access(runtime, AccessFlags::W_OK).is_ok() {
        runtime.to_owned()
    } else {
        PathBuf::from(format!("/tmp/podssh-{uid}"))
    }
}

/// The directory, made where it is missing. One in `/tmp` that somebody else made is refused.
pub fn prepare(uid: u32) -> io::Result<PathBuf> {
    let directory = path(uid);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
        Ok(()) => return Ok(directory),
    }
    let metadata = std::fs::symlink_metadata(&directory)?;
    if directory == Path::new(RUNTIME_DIR) || metadata.is_dir() && metadata.uid() == uid {
        return Ok(directory);
    }
    let path = directory.display();
    Err(io::Error::other(format!(
        "{path} is not a directory of the workspace user"
    )))
}
