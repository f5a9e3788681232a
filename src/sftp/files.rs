//! Requests about one file: OPEN, CLOSE, READ, the STATs and the SETSTATs.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, fstat, fstatat, futimens,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::sys::uio::pread;
use nix::unistd::{Gid, Uid, close, fchown, fchownat, ftruncate, truncate};

use super::attributes::Attributes;
use super::codec::{Handle, MAX_DATA};
use super::engine::{Answer, Engine};
use super::handles::{Entry, Opened};
use super::status::{Blame as _, Code, Status};

/// Open flags (draft-ietf-secsh-filexfer-02 section 6.3).
const READ: u32 = 0x1;
const WRITE: u32 = 0x2;
const APPEND: u32 = 0x4;
const CREAT: u32 = 0x8;
const TRUNC: u32 = 0x10;
const EXCL: u32 = 0x20;

impl Engine {
    /// A FIFO or device is opened without waiting for its other side: one request must not stop
    /// the session for ever. READ and WRITE at an offset mean nothing there and fail, as with
    /// OpenSSH. O_NONBLOCK changes nothing for files.
    pub(super) fn open_file(
        &mut self,
        id: u32,
        path: &[u8],
        flags: u32,
        attributes: &Attributes,
    ) -> Result<Answer, Status> {
        self.handles.check_room()?;
        let mode = Mode::from_bits_truncate(attributes.permissions.unwrap_or(0o666) & 0o7777);
        let descriptor = openat(&self.home, path, open_flags(flags), mode).blame("open", path)?;
        let handle = self.handles.insert(Entry::File(Opened {
            file: descriptor.into(),
            append: flags & APPEND != 0,
            path: path.into(),
        }));
        self.output.handle(id, handle);
        Ok(Answer::Written)
    }

    /// Reports what the kernel says on close: on some file systems that is where a write fails.
    pub(super) fn close(&mut self, handle: Handle) -> Result<Answer, Status> {
        match self.handles.remove(handle) {
            Some(Entry::File(opened)) => close(opened.file).blame("close", &opened.path)?,
            Some(Entry::Directory(directory)) => drop(directory),
            None => return Err(Status::new(Code::NoSuchFile, "Invalid handle")),
        }
        Ok(Answer::Done)
    }

    pub(super) fn read(
        &mut self,
        id: u32,
        handle: Handle,
        offset: u64,
        length: u32,
    ) -> Result<Answer, Status> {
        let opened = self.handles.file(handle)?;
        let most = length.min(MAX_DATA) as usize;
        let read = |space: &mut [u8]| {
            loop {
                match pread(&opened.file, space, offset as i64) {
                    Err(Errno::EINTR) => {}
                    result => return result,
                }
            }
        };
        self.output
            .data(id, most, read)
            .blame("read", &opened.path)?;
        Ok(Answer::Written)
    }

    pub(super) fn stat(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        let stat = fstatat(&self.home, path, AtFlags::empty()).blame("stat", path)?;
        Ok(self.answer_stat(id, &stat))
    }

    pub(super) fn lstat(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let stat = fstatat(&self.home, path, flags).blame("lstat", path)?;
        Ok(self.answer_stat(id, &stat))
    }

    pub(super) fn fstat(&mut self, id: u32, handle: Handle) -> Result<Answer, Status> {
        let opened = self.handles.file(handle)?;
        let stat = fstat(&opened.file).blame("fstat", &opened.path)?;
        Ok(self.answer_stat(id, &stat))
    }

    fn answer_stat(&mut self, id: u32, stat: &FileStat) -> Answer {
        self.output.attributes(id, &stat.into());
        Answer::Written
    }

    /// SETSTAT, which follows links. Like OpenSSH, every part is tried and the last error told.
    pub(super) fn set_attributes(
        &mut self,
        path: &[u8],
        wanted: &Attributes,
    ) -> Result<Answer, Status> {
        let absolute = self.home.absolute(path);
        let size = |size| truncate(absolute.as_slice(), size);
        let mode = |mode| fchmodat(&self.home, path, mode, FchmodatFlags::FollowSymlink);
        let times = |access, modification| {
            let follow = UtimensatFlags::FollowSymlink;
            utimensat(&self.home, path, &access, &modification, follow)
        };
        let owner = |user, group| fchownat(&self.home, path, user, group, AtFlags::empty());
        apply(wanted, size, mode, times, owner).blame("setstat", path)
    }

    pub(super) fn set_open_attributes(
        &mut self,
        handle: Handle,
        wanted: &Attributes,
    ) -> Result<Answer, Status> {
        let opened = self.handles.file(handle)?;
        let file = opened.file.as_fd();
        apply(
            wanted,
            |size| ftruncate(file, size),
            |mode| fchmod(file, mode),
            |access, modification| futimens(file, &access, &modification),
            |user, group| fchown(file, user, group),
        )
        .blame("fsetstat", &opened.path)
    }

    /// `lsetstat@openssh.com`, which changes a link itself. A link has no size to set.
    pub(super) fn set_link_attributes(
        &mut self,
        path: &[u8],
        wanted: &Attributes,
    ) -> Result<Answer, Status> {
        if wanted.size.is_some() {
            return Err(Status::new(Code::BadMessage, "lsetstat cannot set a size"));
        }
        let mode = |mode| fchmodat(&self.home, path, mode, FchmodatFlags::NoFollowSymlink);
        let times = |access, modification| {
            let link = UtimensatFlags::NoFollowSymlink;
            utimensat(&self.home, path, &access, &modification, link)
        };
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let owner = |user, group| fchownat(&self.home, path, user, group, flags);
        apply(wanted, |_| Ok(()), mode, times, owner).blame("lsetstat", path)
    }
}

/// Set what is wanted, in OpenSSH's order; the last failure counts.
fn apply(
    wanted: &Attributes,
    set_size: impl FnOnce(i64) -> nix::Result<()>,
    set_mode: impl FnOnce(Mode) -> nix::Result<()>,
    set_times: impl FnOnce(TimeSpec, TimeSpec) -> nix::Result<()>,
    set_owner: impl FnOnce(Option<Uid>, Option<Gid>) -> nix::Result<()>,
) -> nix::Result<Answer> {
    let mut result = Ok(Answer::Done);
    let mut note = |outcome: nix::Result<()>| {
        if let Err(errno) = outcome {
            result = Err(errno);
        }
    };
    if let Some(size) = wanted.size {
        // A size of 2^63 or more turns negative, which the kernel refuses.
        note(set_size(size as i64));
    }
    if let Some(mode) = wanted.permissions {
        note(set_mode(Mode::from_bits_truncate(mode & 0o7777)));
    }
    if let Some((access, modification)) = wanted.times {
        let at = |seconds: u32| TimeSpec::new(i64::from(seconds), 0);
        note(set_times(at(access), at(modification)));
    }
    if let Some((user, group)) = wanted.owner {
        note(set_owner(
            Some(Uid::from_raw(user)),
            Some(Gid::from_raw(group)),
        ));
    }
    result
}

fn open_flags(flags: u32) -> OFlag {
    let access = match (flags & READ != 0, flags & WRITE != 0) {
        (true, true) => OFlag::O_RDWR,
        (false, true) => OFlag::O_WRONLY,
        (true | false, false) => OFlag::O_RDONLY,
    };
    // Never a controlling terminal, never inherited by the programs the daemon starts.
    let mut all = access | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    for (bit, flag) in [
        (APPEND, OFlag::O_APPEND),
        (CREAT, OFlag::O_CREAT),
        (TRUNC, OFlag::O_TRUNC),
        (EXCL, OFlag::O_EXCL),
    ] {
        all.set(flag, flags & bit != 0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_are_the_drafts() {
        let always = OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        assert_eq!(open_flags(0), OFlag::O_RDONLY | always);
        assert_eq!(open_flags(READ | WRITE), OFlag::O_RDWR | always);
        assert_eq!(
            open_flags(WRITE | CREAT | TRUNC),
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | always
        );
        assert_eq!(
            open_flags(WRITE | APPEND | EXCL),
            OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_EXCL | always
        );
    }

    #[test]
    fn every_attribute_is_tried_and_the_last_error_told() {
        let wanted = Attributes {
            size: Some(1 << 63),
            owner: Some((1, 2)),
            permissions: Some(0o100_644),
            times: Some((3, 4)),
        };
        let mut owner = None;
        let result = apply(
            &wanted,
            |size| if size < 0 { Err(Errno::EINVAL) } else { Ok(()) },
            |mode| {
                assert_eq!(mode.bits(), 0o644);
                Err(Errno::EPERM)
            },
            |_, _| Ok(()),
            |user, group| {
                owner = user.zip(group);
                Ok(())
            },
        );
        assert_eq!(result, Err(Errno::EPERM));
        assert_eq!(owner, Some((Uid::from_raw(1), Gid::from_raw(2))));
    }
}
