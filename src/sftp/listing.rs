//! OPENDIR and READDIR: many names a reply, each looked up once, relative to the directory itself.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::dup;

use super::attributes::Attributes;
use super::codec::{Handle, kind};
use super::engine::{Answer, Engine};
use super::handles::{Directory, Entry};
use super::longname;
use super::names::Names;
use super::output::Output;
use super::status::{Blame as _, Status};
use super::zone::Zone;

/// A reply takes no further name from here on. Bytes: about 400 names, half of what the strictest
/// client (sshfs: 128 KiB) takes.
const REPLY: usize = 60 * 1024;

impl Engine {
    pub(super) fn open_directory(&mut self, id: u32, path: &[u8]) -> Result<Answer, Status> {
        self.handles.check_room()?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let descriptor = openat(&self.home, path, flags, Mode::empty()).blame("opendir", path)?;
        let entries = dup(&descriptor)
            .and_then(nix::dir::Dir::from_fd)
            .blame("opendir", path)?
            .into_iter();
        let handle = self.handles.insert(Entry::Directory(Directory {
            descriptor,
            entries,
            path: path.into(),
        }));
        self.output.handle(id, handle);
        Ok(Answer::Written)
    }

    /// A name that vanished since, or that may not be looked at, is left out, as OpenSSH does.
    pub(super) fn read_directory(&mut self, id: u32, handle: Handle) -> Result<Answer, Status> {
        let directory = self.handles.directory(handle)?;
        let zone = self.zone.get_or_insert_with(Zone::local);
        let mut line = Line {
            names: &mut self.names,
            zone,
            now: now(),
            text: Vec::new(),
        };
        let output = &mut self.output;
        let reply = output.begin(kind::NAME, id);
        let position = output.position();
        output.put(&[0; 4]);
        let mut count = 0;
        let mut failed = Ok(());
        while output.position() - position < REPLY {
            let entry = match directory.entries.next() {
                Some(Ok(entry)) => entry,
                Some(Err(errno)) => {
                    failed = Err(errno);
                    break;
                }
                None => break,
            };
            let (name, flags) = (entry.file_name(), AtFlags::AT_SYMLINK_NOFOLLOW);
            if let Ok(stat) = fstatat(&directory.descriptor, name, flags) {
                line.put(output, name.to_bytes(), &stat);
                count += 1;
            }
        }
        if count == 0 {
            output.undo(&reply);
            failed.blame("readdir", &directory.path)?;
            return Err(Status::EOF);
        }
        output.patch(position, count);
        output.end(&reply);
        Ok(Answer::Written)
    }
}

/// What the lines of one reply have in common.
struct Line<'a> {
    names: &'a mut Names,
    zone: &'a Zone,
    now: i64,
    text: Vec<u8>,
}

impl Line<'_> {
    fn put(&mut self, output: &mut Output, name: &[u8], stat: &FileStat) {
        self.text.clear();
        longname::write(&mut self.text, name, stat, self.names, self.zone, self.now);
        output.string(name);
        output.string(&self.text);
        Attributes::from(stat).encode(&mut |part| output.put(part));
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
