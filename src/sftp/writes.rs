//! WRITE requests that lie next to each other, gathered into one system call.
//!
//! A write is acknowledged only when every byte of it was handed to the kernel.

use std::fs::File;
use std::io::IoSlice;

use nix::errno::Errno;
use nix::sys::uio::pwritev;

use super::codec::Handle;
use super::request::Write;

/// Bytes gathered at most.
const MOST: usize = 1024 * 1024;
/// Pieces gathered at most before another write joins; one write has at most about as many again,
/// and Linux takes 1024 in one call.
const PIECES: usize = 256;
/// Linux's IOV_MAX.
const CALL: usize = 1024;

/// Writes waiting, all to one file, each beginning where the one before it ends.
#[derive(Debug, Default)]
pub(super) struct Writes {
    waiting: Vec<(u32, Write)>,
    pieces: usize,
    bytes: usize,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether `write` may join.
    pub(super) fn takes(&self, write: &Write) -> bool {
        let Some((_, first)) = self.waiting.first() else {
            return true;
        };
        first.handle == write.handle
            && first.offset.checked_add(self.bytes as u64) == Some(write.offset)
            && self.pieces < PIECES
            && self.bytes + write.length() <= MOST
    }

    pub(super) fn push(&mut self, id: u32, write: Write) {
        self.pieces += write.data.len();
        self.bytes += write.length();
        self.waiting.push((id, write));
    }

    /// What was gathered, in order.
    pub(super) fn take(&mut self) -> Vec<(u32, Write)> {
        (self.pieces, self.bytes) = (0, 0);
        std::mem::take(&mut self.waiting)
    }
}

/// The one handle that gathered writes go to.
pub(super) fn target(writes: &[(u32, Write)]) -> Handle {
    writes
        .first()
        .map_or(Handle::FOREIGN, |(_, write)| write.handle)
}

/// Write all of `writes`, gathered by [`Writes`], to `file`. Returns the id and outcome of each.
/// After a failure the rest is tried one by one, as a server without gathering would.
pub(super) fn perform(
    file: &File,
    append: bool,
    writes: &[(u32, Write)],
) -> Vec<(u32, nix::Result<()>)> {
    let mut outcomes = Vec::with_capacity(writes.len());
    let (mut written, result) = write_all(file, append, writes);
    let mut rest = writes.iter();
    for (id, write) in rest.by_ref() {
        let length = write.length();
        if result.is_err() && (length == 0 || length > written) {
            outcomes.push((*id, result));
            break;
        }
        written -= length;
        outcomes.push((*id, Ok(())));
    }
    for write in rest {
        let (_, result) = write_all(file, append, std::slice::from_ref(write));
        outcomes.push((write.0, result));
    }
    outcomes
}

/// How many bytes were written, and what stopped it.
fn write_all(file: &File, append: bool, writes: &[(u32, Write)]) -> (usize, nix::Result<()>) {
    let data = writes.iter().flat_map(|(_, write)| &write.data);
    let mut slices: Vec<IoSlice<'_>> = data.map(|piece| IoSlice::new(piece)).collect();
    let mut slices = slices.as_mut_slice();
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut offset = match writes.first() {
        // Linux appends whatever the offset, but refuses a negative one.
        Some((_, write)) if !append => write.offset as i64,
        _ => 0,
    };
    let mut written = 0;
    loop {
        match pwritev(file, slices.get(..CALL).unwrap_or(slices), offset) {
            Ok(0) if written < total => return (written, Err(Errno::EIO)),
            Ok(more) => {
                written += more;
                offset += more as i64;
                IoSlice::advance_slices(&mut slices, more);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return (written, Err(errno)),
        }
        if written >= total {
            return (written, Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use bytes::Bytes;

    use super::*;

    fn write(offset: u64, data: &'static [u8]) -> Write {
        Write {
            handle: Handle(1),
            offset,
            data: vec![Bytes::from_static(data)],
        }
    }

    #[test]
    fn only_neighbours_of_one_file_join() {
        let mut writes = Writes::default();
        assert!(writes.takes(&write(7, b"abc")));
        writes.push(1, write(7, b"abc"));
        assert!(writes.takes(&write(10, b"d")));
        assert!(!writes.takes(&write(11, b"d")));
        assert!(!writes.takes(&Write {
            handle: Handle(2),
            ..write(10, b"d")
        }));
        assert_eq!(writes.take().len(), 1);
        assert!(writes.is_empty());
    }

    #[test]
    fn gathered_writes_land_where_they_should_and_each_is_answered() {
        let file = tempfile::tempfile().unwrap();
        let all = [
            (1, write(2, b"ab")),
            (2, write(4, b"")),
            (3, write(4, b"cd")),
        ];
        let outcomes = perform(&file, false, &all);
        assert_eq!(outcomes, [(1, Ok(())), (2, Ok(())), (3, Ok(()))]);
        let mut content = [9; 6];
        file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"\0\0abcd");
    }

    #[test]
    fn a_full_disk_fails_each_write() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let all = [(1, write(0, b"ab")), (2, write(2, b"cd"))];
        let full = Err(Errno::ENOSPC);
        assert_eq!(perform(&file, false, &all), [(1, full), (2, full)]);
    }

    #[test]
    fn empty_and_impossible_writes_are_told_apart() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(perform(&file, false, &[(1, write(5, b""))]), [(1, Ok(()))]);
        let beyond = perform(&file, false, &[(1, write(1 << 63, b"x"))]);
        assert_eq!(beyond, [(1, Err(Errno::EINVAL))]);
        let closed = File::open("/dev/null").unwrap();
        assert_eq!(
            perform(&closed, false, &[(1, write(0, b""))]),
            [(1, Err(Errno::EBADF))]
        );
    }
}
