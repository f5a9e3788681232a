//! Replies on their way out: written one behind the other into large buffers, so that a batch of
//! replies fills whole channel packets, and file data is read straight to where it is sent from.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::attributes::Attributes;
use super::codec::{Handle, kind};
use super::status::Status;

/// Room of one buffer, in bytes: two reads of 255 KiB or sixteen of 32 KiB with their headers.
const SEGMENT: usize = 528 * 1024;
/// A buffer less full than this is copied out and kept: cheaper than clearing another one.
const COPIED: usize = SEGMENT / 4;
/// From this many bytes on, a reply gets a buffer of full size.
const BULK: usize = 16 * 1024;
/// Sent buffers remembered for reuse: being sent, waiting, being filled.
const SPARE: usize = 3;
/// Length field, kind, id and data length of a DATA reply.
const DATA_HEAD: usize = 4 + 1 + 4 + 4;

/// Replies of the current batch, and buffers of earlier ones.
#[derive(Debug, Default)]
pub(super) struct Output {
    full: Vec<Bytes>,
    length: usize,
    /// `..filled` are replies; the rest was used before and needs no clearing.
    current: BytesMut,
    filled: usize,
    /// Clones of what was sent; memory comes back once the channel has let go of its own.
    spare: VecDeque<Bytes>,
    /// Version 2 and before know no message in a status.
    pub(super) bare_status: bool,
}

impl Output {
    /// Bytes of replies not yet taken.
    pub(super) fn length(&self) -> usize {
        self.length + self.filled
    }

    /// The replies since the last call.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.length = 0;
        std::mem::take(&mut self.full)
    }

    /// Give memory back; for a session that went quiet.
    pub(super) fn release(&mut self) {
        self.spare.clear();
        if self.filled == 0 {
            self.current = BytesMut::new();
        }
    }

    /// Whether [`Output::release`] would free anything to speak of.
    pub(super) fn is_holding(&self) -> bool {
        !self.spare.is_empty() || self.current.capacity() >= BULK
    }

    pub(super) fn status(&mut self, id: u32, status: &Status) {
        let reply = self.begin(kind::STATUS, id);
        self.put(&(status.code as u32).to_be_bytes());
        if !self.bare_status {
            self.string(status.message.as_bytes());
            self.string(b"");
        }
        self.end(&reply);
    }

    pub(super) fn handle(&mut self, id: u32, handle: Handle) {
        let reply = self.begin(kind::HANDLE, id);
        self.string(&handle.0.to_be_bytes());
        self.end(&reply);
    }

    pub(super) fn attributes(&mut self, id: u32, attributes: &Attributes) {
        let reply = self.begin(kind::ATTRS, id);
        attributes.encode(&mut |part| self.put(part));
        self.end(&reply);
    }

    /// A NAME reply with one name and no attributes, as REALPATH and READLINK have it.
    pub(super) fn name(&mut self, id: u32, name: &[u8]) {
        let reply = self.begin(kind::NAME, id);
        self.put(&1u32.to_be_bytes());
        self.string(name);
        self.string(name);
        Attributes::default().encode(&mut |part| self.put(part));
        self.end(&reply);
    }

    /// A DATA reply of at most `most` bytes, which `read` puts in place; it says how many. Nothing
    /// at all where `most` was asked for is a status EOF.
    pub(super) fn data(
        &mut self,
        id: u32,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> nix::Result<usize>,
    ) -> nix::Result<()> {
        self.make_room(DATA_HEAD + most);
        let reply = self.begin(kind::DATA, id);
        let position = self.position();
        self.put(&[0; 4]);
        let end = self.filled + most;
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        let space = self.current.get_mut(self.filled..end).unwrap_or_default();
        match read(space) {
            Ok(0) if most > 0 => {
                self.undo(&reply);
                self.status(id, &Status::EOF);
            }
            Ok(length) => {
                self.filled += length.min(most);
                self.patch(position, length as u32);
                self.end(&reply);
            }
            Err(errno) => {
                self.undo(&reply);
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Start a reply; [`Output::end`] takes what this returns.
    pub(super) fn begin(&mut self, kind: u8, id: u32) -> Reply {
        let reply = self.begin_bare(kind);
        self.put(&id.to_be_bytes());
        reply
    }

    /// Start a packet without an id, which only VERSION is.
    pub(super) fn begin_bare(&mut self, kind: u8) -> Reply {
        self.make_room(0);
        let reply = Reply { start: self.filled };
        self.put(&[0; 4]);
        self.put(&[kind]);
        reply
    }

    pub(super) fn end(&mut self, reply: &Reply) {
        let length = (self.filled - reply.start - 4) as u32;
        self.patch(reply.start, length);
    }

    /// Take a begun reply back.
    pub(super) fn undo(&mut self, reply: &Reply) {
        self.filled = reply.start;
    }

    /// Write `value` over the four bytes at `position`, as [`Output::position`] gave it.
    pub(super) fn patch(&mut self, position: usize, value: u32) {
        if let Some(bytes) = self.current.get_mut(position..position + 4) {
            bytes.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Where the next byte goes; valid until the reply ends.
    pub(super) fn position(&self) -> usize {
        self.filled
    }

    pub(super) fn string(&mut self, bytes: &[u8]) {
        self.put(&(bytes.len() as u32).to_be_bytes());
        self.put(bytes);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let used = self
            .current
            .len()
            .saturating_sub(self.filled)
            .min(bytes.len());
        let (over, behind) = bytes.split_at(used);
        if let Some(space) = self.current.get_mut(self.filled..self.filled + used) {
            space.copy_from_slice(over);
        }
        self.current.extend_from_slice(behind);
        self.filled += bytes.len();
    }

    /// A reply of about `length` bytes follows.
    fn make_room(&mut self, length: usize) {
        if self.filled > 0 && self.filled + length > SEGMENT {
            self.seal();
        }
        if length >= BULK && self.current.capacity() < SEGMENT {
            let more = SEGMENT.saturating_sub(self.current.len());
            self.current.reserve(more);
        }
    }

    fn seal(&mut self) {
        if self.filled == 0 {
            return;
        }
        self.length += self.filled;
        if self.filled < COPIED {
            let replies = self.current.get(..self.filled).unwrap_or_default();
            self.full.push(Bytes::copy_from_slice(replies));
        } else {
            let mut replies = std::mem::replace(&mut self.current, recycle(&mut self.spare));
            replies.truncate(self.filled);
            let replies = replies.freeze();
            self.spare.push_back(replies.clone());
            self.full.push(replies);
        }
        self.filled = 0;
    }
}

/// A reply being written.
#[derive(Debug)]
#[must_use]
pub(super) struct Reply {
    start: usize,
}

/// The oldest buffer that the channel is done with, or an empty one.
fn recycle(spare: &mut VecDeque<Bytes>) -> BytesMut {
    let Some(oldest) = spare.pop_front() else {
        return BytesMut::new();
    };
    match oldest.try_into_mut() {
        Ok(free) => free,
        Err(busy) => {
            if spare.len() + 1 < SPARE {
                spare.push_front(busy);
            }
            BytesMut::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(output: &mut Output) -> Vec<u8> {
        output.take().concat()
    }

    #[test]
    fn a_status_has_a_message_unless_the_client_is_older_than_version_3() {
        let mut output = Output::default();
        output.status(7, &Status::EOF);
        assert_eq!(
            joined(&mut output),
            b"\0\0\0\x1c\x65\0\0\0\x07\0\0\0\x01\0\0\0\x0bEnd of file\0\0\0\0"
        );
        output.bare_status = true;
        output.status(7, &Status::EOF);
        assert_eq!(joined(&mut output), b"\0\0\0\x09\x65\0\0\0\x07\0\0\0\x01");
    }

    #[test]
    fn data_lies_behind_earlier_replies_in_one_buffer() {
        let mut output = Output::default();
        output.status(1, &Status::OK);
        for id in 0..3 {
            let read = |space: &mut [u8]| {
                space[..5].copy_from_slice(b"hello");
                Ok(5)
            };
            output.data(id, 20_000, read).unwrap();
        }
        let full = output.take();
        assert_eq!(full.len(), 1);
        assert!(full[0].ends_with(b"\0\0\0\x0e\x67\0\0\0\x02\0\0\0\x05hello"));
        assert_eq!(output.length(), 0);
    }

    #[test]
    fn buffers_come_back_once_the_channel_let_go_of_them() {
        let mut output = Output::default();
        let mut addresses = Vec::new();
        for round in 0..8 {
            output
                .data(round, 255 * 1024, |space| Ok(space.len()))
                .unwrap();
            output
                .data(round, 255 * 1024, |space| Ok(space.len()))
                .unwrap();
            let full = output.take();
            assert_eq!(full.len(), 1);
            addresses.push(full[0].as_ptr() as usize);
        }
        addresses.sort_unstable();
        addresses.dedup();
        assert!(addresses.len() <= SPARE, "{addresses:?}");
        output.release();
        assert!(!output.is_holding());
    }

    #[test]
    fn a_failed_read_leaves_nothing_behind() {
        let mut output = Output::default();
        let failed = output.data(1, 100, |_| Err(nix::errno::Errno::EISDIR));
        assert!(failed.is_err());
        assert_eq!(output.length(), 0);
    }
}
