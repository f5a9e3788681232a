//! `copy-data`: from one open file to another without passing through the client.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::uio::{pread, pwrite};

use super::engine::{Answer, Engine};
use super::request::Copy;
use super::status::{Blame as _, Code, Status};

/// Bytes asked of the kernel at once, so that a session that ends stops a long copy.
const STEP: u64 = 8 * 1024 * 1024;
/// Bytes carried at once where the kernel cannot copy by itself.
const CARRIED: usize = 256 * 1024;

impl Engine {
    /// Refuses what OpenSSH refuses: a file onto itself, by handle or by name.
    pub(super) fn copy_data(&mut self, copy: &Copy) -> Result<Answer, Status> {
        let (from, to) = (self.handles.file(copy.from)?, self.handles.file(copy.to)?);
        if copy.from == copy.to || from.path == to.path {
            return Err(Status::new(Code::Failure, "Cannot copy a file onto itself"));
        }
        let mut course = Course {
            from: &from.file,
            to: &to.file,
            from_offset: copy.from_offset as i64,
            // Linux appends whatever the offset; a negative one is refused even then.
            to_offset: if to.append { 0 } else { copy.to_offset as i64 },
            left: (copy.length > 0).then_some(copy.length),
            by_kernel: !to.append,
            stop: &self.stop,
        };
        if course.run().blame("copy to", &to.path)? {
            Ok(Answer::Done)
        } else {
            Err(Status::EOF)
        }
    }
}

struct Course<'a> {
    from: &'a File,
    to: &'a File,
    from_offset: i64,
    to_offset: i64,
    /// Bytes still to copy; `None` means to the end of the file.
    left: Option<u64>,
    by_kernel: bool,
    stop: &'a AtomicBool,
}

impl Course<'_> {
    /// Whether as much was copied as was asked for.
    fn run(&mut self) -> nix::Result<bool> {
        if self.from_offset < 0 || self.to_offset < 0 {
            return Err(Errno::EINVAL);
        }
        let mut carrier = Vec::new();
        while self.left != Some(0) && !self.stop.load(Ordering::Relaxed) {
            let most = self.left.unwrap_or(STEP).min(STEP);
            let copied = if self.by_kernel {
                match self.by_kernel(most as usize) {
                    // Not these files, or nothing copied although there may be something: files
                    // under /proc look empty to the kernel.
                    Ok(0)
                    | Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                        self.by_kernel = false;
                        continue;
                    }
                    result => result?,
                }
            } else {
                carrier.resize(CARRIED, 0);
                self.carry(&mut carrier, most as usize)?
            };
            if copied == 0 {
                return Ok(self.left.is_none());
            }
            self.left = self.left.map(|left| left - copied as u64);
        }
        Ok(true)
    }

    fn by_kernel(&mut self, most: usize) -> nix::Result<usize> {
        let (from, to) = (&mut self.from_offset, &mut self.to_offset);
        loop {
            match copy_file_range(self.from, Some(from), self.to, Some(to), most) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    fn carry(&mut self, carrier: &mut [u8], most: usize) -> nix::Result<usize> {
        let most = most.min(carrier.len());
        let space = carrier.get_mut(..most).unwrap_or_default();
        let read = again(|| pread(self.from, space, self.from_offset))?;
        let mut rest = space.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let written = again(|| pwrite(self.to, rest, self.to_offset))?;
            if written == 0 {
                return Err(Errno::EIO);
            }
            self.to_offset += written as i64;
            rest = rest.get(written..).unwrap_or_default();
        }
        self.from_offset += read as i64;
        Ok(read)
    }
}

fn again(mut call: impl FnMut() -> nix::Result<usize>) -> nix::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
