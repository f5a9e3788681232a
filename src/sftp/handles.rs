//! Files and directories a session has open, found by handle.
//!
//! Bounded. A handle carries the generation of its slot, so one that was closed stays invalid when
//! its slot is used again.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::dir::OwningIter;

use super::codec::Handle;
use super::status::{Code, Status};

/// A file opened by OPEN.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// Opened for appending: writes go to the end, whatever their offset.
    pub(super) append: bool,
    /// As the client named it.
    pub(super) path: Box<[u8]>,
}

/// A directory opened by OPENDIR.
#[derive(Debug)]
pub(super) struct Directory {
    /// What entries are looked up in.
    pub(super) descriptor: OwnedFd,
    pub(super) entries: OwningIter,
    pub(super) path: Box<[u8]>,
}

#[derive(Debug)]
pub(super) enum Entry {
    File(Opened),
    Directory(Directory),
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The table. At most `limit` entries at once.
#[derive(Debug)]
pub(super) struct Handles {
    slots: Vec<Slot>,
    free: Vec<u32>,
    limit: usize,
}

impl Handles {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Fails when the table is full; asked before anything is opened.
    pub(super) fn check_room(&self) -> Result<(), Status> {
        if self.free.is_empty() && self.slots.len() >= self.limit {
            return Err(Status::new(Code::Failure, "Too many open handles"));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Handle {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let mut generation = 0;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.entry = Some(entry);
            generation = slot.generation;
        }
        Handle(u64::from(index) << 32 | u64::from(generation))
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<Entry> {
        let (index, generation) = parts(handle);
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(entry)
    }

    pub(super) fn file(&self, handle: Handle) -> Result<&Opened, Status> {
        let (index, generation) = parts(handle);
        match self.slots.get(index as usize) {
            Some(Slot {
                generation: current,
                entry: Some(Entry::File(opened)),
            }) if *current == generation => Ok(opened),
            _ => Err(Status::INVALID_HANDLE),
        }
    }

    pub(super) fn directory(&mut self, handle: Handle) -> Result<&mut Directory, Status> {
        let (index, generation) = parts(handle);
        match self.slots.get_mut(index as usize) {
            Some(Slot {
                generation: current,
                entry: Some(Entry::Directory(directory)),
            }) if *current == generation => Ok(directory),
            _ => Err(Status::INVALID_HANDLE),
        }
    }
}

fn parts(handle: Handle) -> (u32, u32) {
    ((handle.0 >> 32) as u32, handle.0 as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::File(Opened {
            file: File::open("/dev/null").unwrap(),
            append: false,
            path: Box::default(),
        })
    }

    #[test]
    fn a_closed_handle_stays_closed_when_its_slot_is_used_again() {
        let mut handles = Handles::new(2);
        let old = handles.insert(entry());
        assert!(handles.remove(old).is_some());
        let new = handles.insert(entry());
        assert!(handles.file(old).is_err());
        assert!(handles.remove(old).is_none());
        assert!(handles.file(new).is_ok());
        assert!(handles.directory(new).is_err());
        assert!(handles.file(Handle::FOREIGN).is_err());
    }

    #[test]
    fn the_table_fills_up_and_empties() {
        let mut handles = Handles::new(2);
        let first = handles.insert(entry());
        handles.check_room().unwrap();
        handles.insert(entry());
        assert!(handles.check_room().is_err());
        handles.remove(first);
        handles.check_room().unwrap();
    }
}
