//! OpenSSH's extensions (PROTOCOL section 4), apart from what they share with plain requests.

use bytes::Bytes;
use nix::sys::statvfs::{FsFlags, Statvfs, fstatvfs, statvfs};
use nix::unistd::fsync;

use super::codec::{Fields, Handle, MAX_DATA, MAX_PACKET, kind};
use super::engine::{Answer, Engine};
use super::home::home_of;
use super::request::Extended;
use super::status::{Blame as _, Code, Status};

impl Engine {
    pub(super) fn answer_extended(&mut self, id: u32, request: Extended) -> Result<Answer, Status> {
        match request {
            Extended::PosixRename { from, to } => self.rename_over(&from, &to),
            Extended::Statvfs(path) => {
                let absolute = self.home.absolute(&path);
                let stat = statvfs(absolute.as_slice()).blame("statvfs", &path)?;
                Ok(self.answer_statvfs(id, &stat))
            }
            Extended::Fstatvfs(handle) => {
                let opened = self.handles.file(handle)?;
                let stat = fstatvfs(&opened.file).blame("fstatvfs", &opened.path)?;
                Ok(self.answer_statvfs(id, &stat))
            }
            Extended::Hardlink { from, to } => self.hardlink(&from, &to),
            Extended::Fsync(handle) => self.fsync(handle),
            Extended::Lsetstat(path, attributes) => self.set_link_attributes(&path, &attributes),
            Extended::Limits => Ok(self.limits(id)),
            Extended::ExpandPath(path) => self.expand_path(id, &path),
            Extended::CopyData(copy) => self.copy_data(&copy),
            Extended::HomeDirectory(user) => self.home_directory(id, &user),
            Extended::UsersGroupsById { users, groups } => self.names_by_id(id, users, groups),
            Extended::Unknown(_) => Err(Status::new(Code::Unsupported, "Unknown extension")),
        }
    }

    fn fsync(&mut self, handle: Handle) -> Result<Answer, Status> {
        let Ok(opened) = self.handles.file(handle) else {
            return Err(Status::new(Code::NoSuchFile, "Invalid handle"));
        };
        fsync(&opened.file).blame("fsync", &opened.path)?;
        Ok(Answer::Done)
    }

    fn answer_statvfs(&mut self, id: u32, stat: &Statvfs) -> Answer {
        let flag = |flag, bit: u64| if stat.flags().contains(flag) { bit } else { 0 };
        let flags = flag(FsFlags::ST_RDONLY, 1) | flag(FsFlags::ST_NOSUID, 2);
        self.answer_numbers(
            id,
            &[
                stat.block_size(),
                stat.fragment_size(),
                stat.blocks(),
                stat.blocks_free(),
                stat.blocks_available(),
                stat.files(),
                stat.files_free(),
                stat.files_available(),
                stat.filesystem_id(),
                flags,
                stat.name_max(),
            ],
        )
    }

    fn limits(&mut self, id: u32) -> Answer {
        let handles = self.handles.limit() as u64;
        let (packet, data) = (u64::from(MAX_PACKET), u64::from(MAX_DATA));
        self.answer_numbers(id, &[packet, data, data, handles])
    }

    fn answer_numbers(&mut self, id: u32, numbers: &[u64]) -> Answer {
        let reply = self.output.begin(kind::EXTENDED_REPLY, id);
        for number in numbers {
            self.output.put(&number.to_be_bytes());
        }
        self.output.end(&reply);
        Answer::Written
    }

    fn expand_path(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        let Some(expanded) = self.home.expand(path) else {
            return Err(Status::new(Code::NoSuchFile, "No such user"));
        };
        let expanded = expanded.blame("expand-path", path)?;
        self.output.name(id, &expanded);
        Ok(Answer::Written)
    }

    fn home_directory(&mut self, id: u32, user: &[u8]) -> Result<Answer, Status> {
        if user.is_empty() {
            self.output.name(id, self.home.given());
            return Ok(Answer::Written);
        }
        let Some(home) = home_of(user) else {
            return Err(Status::new(Code::Failure, "No such user"));
        };
        self.output.name(id, &home);
        Ok(Answer::Written)
    }

    /// An id without a name gets an empty one. A request whose answer would be longer than a
    /// packet may be is refused.
    fn names_by_id(&mut self, id: u32, users: Bytes, groups: Bytes) -> Result<Answer, Status> {
        let users = list(users, |user| self.names.user(user).map(str::to_owned))?;
        let groups = list(groups, |group| self.names.group(group).map(str::to_owned))?;
        if users.len() + groups.len() > MAX_DATA as usize {
            return Err(Status::new(Code::Failure, "Too many ids at once"));
        }
        let reply = self.output.begin(kind::EXTENDED_REPLY, id);
        self.output.string(&users);
        self.output.string(&groups);
        self.output.end(&reply);
        Ok(Answer::Written)
    }
}

/// The names of a string of ids, as a string of names.
fn list(ids: Bytes, mut name: impl FnMut(u32) -> Option<String>) -> Result<Vec<u8>, Status> {
    let mut ids = Fields::new(ids);
    let mut names = Vec::new();
    while !ids.is_empty() {
        let name = name(ids.u32()?).unwrap_or_default();
        names.extend_from_slice(&(name.len() as u32).to_be_bytes());
        names.extend_from_slice(name.as_bytes());
    }
    Ok(names)
}
