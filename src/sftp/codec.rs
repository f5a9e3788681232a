//! SFTP version 3 fields (draft-ietf-secsh-filexfer-02 section 3) read off one packet, and the
//! numbers the protocol gives its messages.
//!
//! Pure: no file, no channel. Every read is bounds-checked; nothing is allocated from a length that
//! the packet itself does not hold.

use bytes::{Buf, Bytes};

/// The version we speak, whatever the client offers.
pub(super) const VERSION: u32 = 3;
/// Longest packet taken, without its length field. Bytes; OpenSSH's SFTP_MAX_MSG_LENGTH.
pub(super) const MAX_PACKET: u32 = 256 * 1024;
/// Most data of one READ or WRITE, as `limits@openssh.com` says. Bytes; OpenSSH's too.
pub(super) const MAX_DATA: u32 = MAX_PACKET - 1024;

/// Message numbers (section 3).
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// A packet whose fields do not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A field reaches past the packet's end.
    #[error("the request is shorter than its fields say")]
    Truncated,
    /// A path or name with a zero byte in it; no file system could mean the same.
    #[error("a path holds a zero byte")]
    Nul,
}

/// The fields of one packet, taken from the front. Strings are slices of the packet, not copies.
#[derive(Debug)]
pub(super) struct Fields {
    bytes: Bytes,
}

impl Fields {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.bytes.try_get_u8().map_err(|_| Malformed::Truncated)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.bytes.try_get_u32().map_err(|_| Malformed::Truncated)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.bytes.try_get_u64().map_err(|_| Malformed::Truncated)
    }

    /// A string of bytes.
    pub(super) fn string(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        if length > self.bytes.len() {
            return Err(Malformed::Truncated);
        }
        Ok(self.bytes.split_to(length))
    }

    /// A string that goes to the operating system. One trailing zero byte is dropped, as OpenSSH
    /// does for clients that count C's terminator.
    pub(super) fn path(&mut self) -> Result<Bytes, Malformed> {
        let mut path = self.string()?;
        if path.last() == Some(&0) {
            path.truncate(path.len() - 1);
        }
        if path.contains(&0) {
            return Err(Malformed::Nul);
        }
        Ok(path)
    }

    /// A handle; one that cannot be ours becomes [`Handle::FOREIGN`].
    pub(super) fn handle(&mut self) -> Result<Handle, Malformed> {
        let bytes = self.string()?;
        Ok(<[u8; 8]>::try_from(bytes.as_ref())
            .map_or(Handle::FOREIGN, |bytes| Handle(u64::from_be_bytes(bytes))))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// An open file or directory as the client names it: slot in the upper half, generation in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) u64);

impl Handle {
    /// Never given out.
    pub(super) const FOREIGN: Self = Self(u64::MAX);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_string_longer_than_its_packet_is_refused_without_allocating() {
        let mut fields = Fields::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1]));
        assert_eq!(fields.string(), Err(Malformed::Truncated));
    }

    #[test]
    fn one_trailing_zero_is_dropped_and_any_other_refused() {
        let path = |bytes: &'static [u8]| Fields::new(Bytes::from_static(bytes)).path();
        assert_eq!(path(b"\0\0\0\x02a\0").unwrap(), "a");
        assert_eq!(path(b"\0\0\0\x03a\0\0"), Err(Malformed::Nul));
        assert_eq!(path(b"\0\0\0\x03a\0b"), Err(Malformed::Nul));
    }

    #[test]
    fn a_handle_of_another_length_is_foreign() {
        let mut fields = Fields::new(Bytes::from_static(b"\0\0\0\x04abcd"));
        assert_eq!(fields.handle(), Ok(Handle::FOREIGN));
    }

    proptest! {
        #[test]
        fn fields_come_back_as_they_were_put(
            byte: u8, word: u32, long: u64, text in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut packet = vec![byte];
            packet.extend(word.to_be_bytes());
            packet.extend(long.to_be_bytes());
            packet.extend((text.len() as u32).to_be_bytes());
            packet.extend(&text);
            let mut fields = Fields::new(packet.into());
            prop_assert_eq!(fields.u8(), Ok(byte));
            prop_assert_eq!(fields.u32(), Ok(word));
            prop_assert_eq!(fields.u64(), Ok(long));
            prop_assert_eq!(fields.string().unwrap().to_vec(), text);
            prop_assert!(fields.is_empty());
        }
    }
}
