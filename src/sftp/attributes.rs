//! File attributes (draft-ietf-secsh-filexfer-02 section 5): what a client asks for and what a file
//! has.

use bytes::Bytes;
use nix::sys::stat::FileStat;

use super::codec::{Fields, Malformed};

const SIZE: u32 = 0x1;
const UIDGID: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const ACMODTIME: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

/// The attributes present; version 3 has owners and times in pairs only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Bytes.
    pub(super) size: Option<u64>,
    /// User and group.
    pub(super) owner: Option<(u32, u32)>,
    /// `st_mode`: permission bits and, towards the client, the file's type.
    pub(super) permissions: Option<u32>,
    /// Access and modification, seconds since 1970 (until 2106).
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    /// Take attributes off `fields`. Extended pairs are checked and ignored.
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, Malformed> {
        let flags = fields.u32()?;
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(fields.u64()?);
        }
        if flags & UIDGID != 0 {
            attributes.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            attributes.permissions = Some(fields.u32()?);
        }
        if flags & ACMODTIME != 0 {
            attributes.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..fields.u32()? {
                let _: (Bytes, Bytes) = (fields.string()?, fields.string()?);
            }
        }
        Ok(attributes)
    }

    /// Call `put` with each part of the wire form, in order.
    pub(super) fn encode(&self, put: &mut impl FnMut(&[u8])) {
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        let flags = flag(self.size.is_some(), SIZE)
            | flag(self.owner.is_some(), UIDGID)
            | flag(self.permissions.is_some(), PERMISSIONS)
            | flag(self.times.is_some(), ACMODTIME);
        put(&flags.to_be_bytes());
        if let Some(size) = self.size {
            put(&size.to_be_bytes());
        }
        if let Some((user, group)) = self.owner {
            put(&user.to_be_bytes());
            put(&group.to_be_bytes());
        }
        if let Some(permissions) = self.permissions {
            put(&permissions.to_be_bytes());
        }
        if let Some((access, modification)) = self.times {
            put(&access.to_be_bytes());
            put(&modification.to_be_bytes());
        }
    }
}

impl From<&FileStat> for Attributes {
    fn from(stat: &FileStat) -> Self {
        Self {
            size: Some(stat.st_size as u64),
            owner: Some((stat.st_uid, stat.st_gid)),
            permissions: Some(stat.st_mode),
            times: Some((stat.st_atime as u32, stat.st_mtime as u32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attributes_survive_the_wire(
            size: Option<u64>,
            owner: Option<(u32, u32)>,
            permissions: Option<u32>,
            times: Option<(u32, u32)>,
        ) {
            let attributes = Attributes { size, owner, permissions, times };
            let mut wire = Vec::new();
            attributes.encode(&mut |part| wire.extend_from_slice(part));
            let mut fields = Fields::new(wire.into());
            prop_assert_eq!(Attributes::parse(&mut fields), Ok(attributes));
            prop_assert!(fields.is_empty());
        }
    }

    #[test]
    fn extended_pairs_are_skipped_and_a_false_count_is_refused() {
        let pair = b"\x80\0\0\0\0\0\0\x01\0\0\0\x01a\0\0\0\x01b";
        let mut fields = Fields::new(Bytes::from_static(pair));
        assert_eq!(Attributes::parse(&mut fields), Ok(Attributes::default()));
        let mut fields = Fields::new(Bytes::from_static(b"\x80\0\0\0\xff\xff\xff\xff"));
        assert_eq!(Attributes::parse(&mut fields), Err(Malformed::Truncated));
    }
}
