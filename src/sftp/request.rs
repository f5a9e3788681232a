//! What a client may ask (draft-ietf-secsh-filexfer-02 section 6, OpenSSH's PROTOCOL section 4):
//! packets become values here and are malformed nowhere else.

use bytes::Bytes;

use super::attributes::Attributes;
use super::codec::{Fields, Handle, Malformed, kind};

/// One WRITE; `data` in the pieces it arrived in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) handle: Handle,
    pub(super) offset: u64,
    pub(super) data: Vec<Bytes>,
}

impl Write {
    pub(super) fn length(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }

    fn parse(fields: &mut Fields, pieces: Vec<Bytes>) -> Result<Self, Malformed> {
        let (handle, offset) = (fields.handle()?, fields.u64()?);
        if pieces.is_empty() {
            let data = vec![fields.string()?];
            return Ok(Self {
                handle,
                offset,
                data,
            });
        }
        let mut rest = fields.u32()? as usize;
        let mut data = pieces;
        for piece in &mut data {
            piece.truncate(rest);
            rest -= piece.len();
        }
        if rest > 0 {
            return Err(Malformed::Truncated);
        }
        Ok(Self {
            handle,
            offset,
            data,
        })
    }
}

/// Paths are bytes as the client sent them, without a zero byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Open {
        path: Bytes,
        flags: u32,
        attributes: Attributes,
    },
    Close(Handle),
    Read {
        handle: Handle,
        offset: u64,
        length: u32,
    },
    Write(Write),
    Lstat(Bytes),
    Fstat(Handle),
    Setstat(Bytes, Attributes),
    Fsetstat(Handle, Attributes),
    Opendir(Bytes),
    Readdir(Handle),
    Remove(Bytes),
    Mkdir(Bytes, Attributes),
    Rmdir(Bytes),
    Realpath(Bytes),
    Stat(Bytes),
    Rename {
        from: Bytes,
        to: Bytes,
    },
    Readlink(Bytes),
    /// In the order OpenSSH has on the wire, which is not the draft's.
    Symlink {
        target: Bytes,
        link: Bytes,
    },
    Extended(Extended),
    /// A kind that version 3 does not have.
    Unknown(u8),
}

/// EXTENDED requests by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extended {
    PosixRename { from: Bytes, to: Bytes },
    Statvfs(Bytes),
    Fstatvfs(Handle),
    Hardlink { from: Bytes, to: Bytes },
    Fsync(Handle),
    Lsetstat(Bytes, Attributes),
    Limits,
    ExpandPath(Bytes),
    CopyData(Copy),
    HomeDirectory(Bytes),
    UsersGroupsById { users: Bytes, groups: Bytes },
    Unknown(Bytes),
}

/// `copy-data` (draft-ietf-secsh-filexfer-extensions-00 section 7).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) from: Handle,
    pub(super) from_offset: u64,
    /// Bytes; 0 means to the end of the file.
    pub(super) length: u64,
    pub(super) to: Handle,
    pub(super) to_offset: u64,
}

/// Extensions with the versions announced, in OpenSSH's order.
pub(super) const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

impl Request {
    /// The request behind `kind` and the id; `pieces` is the data of a WRITE that came in pieces.
    /// Bytes behind the last field are ignored, as OpenSSH ignores them.
    pub(super) fn parse(
        kind: u8,
        fields: &mut Fields,
        pieces: Vec<Bytes>,
    ) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::OPEN => Self::Open {
                path: fields.path()?,
                flags: fields.u32()?,
                attributes: Attributes::parse(fields)?,
            },
            kind::CLOSE => Self::Close(fields.handle()?),
            kind::READ => Self::Read {
                handle: fields.handle()?,
                offset: fields.u64()?,
                length: fields.u32()?,
            },
            kind::WRITE => Self::Write(Write::parse(fields, pieces)?),
            kind::LSTAT => Self::Lstat(fields.path()?),
            kind::FSTAT => Self::Fstat(fields.handle()?),
            kind::SETSTAT => Self::Setstat(fields.path()?, Attributes::parse(fields)?),
            kind::FSETSTAT => Self::Fsetstat(fields.handle()?, Attributes::parse(fields)?),
            kind::OPENDIR => Self::Opendir(fields.path()?),
            kind::READDIR => Self::Readdir(fields.handle()?),
            kind::REMOVE => Self::Remove(fields.path()?),
            kind::MKDIR => Self::Mkdir(fields.path()?, Attributes::parse(fields)?),
            kind::RMDIR => Self::Rmdir(fields.path()?),
            kind::REALPATH => Self::Realpath(fields.path()?),
            kind::STAT => Self::Stat(fields.path()?),
            kind::RENAME => Self::Rename {
                from: fields.path()?,
                to: fields.path()?,
            },
            kind::READLINK => Self::Readlink(fields.path()?),
            kind::SYMLINK => Self::Symlink {
                target: fields.path()?,
                link: fields.path()?,
            },
            kind::EXTENDED => Self::Extended(Extended::parse(fields)?),
            other => Self::Unknown(other),
        })
    }
}

impl Extended {
    fn parse(fields: &mut Fields) -> Result<Self, Malformed> {
        let name = fields.string()?;
        Ok(match name.as_ref() {
            b"posix-rename@openssh.com" => Self::PosixRename {
                from: fields.path()?,
                to: fields.path()?,
            },
            b"statvfs@openssh.com" => Self::Statvfs(fields.path()?),
            b"fstatvfs@openssh.com" => Self::Fstatvfs(fields.handle()?),
            b"hardlink@openssh.com" => Self::Hardlink {
                from: fields.path()?,
                to: fields.path()?,
            },
            b"fsync@openssh.com" => Self::Fsync(fields.handle()?),
            b"lsetstat@openssh.com" => Self::Lsetstat(fields.path()?, Attributes::parse(fields)?),
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath(fields.path()?),
            b"copy-data" => Self::CopyData(Copy {
                from: fields.handle()?,
                from_offset: fields.u64()?,
                length: fields.u64()?,
                to: fields.handle()?,
                to_offset: fields.u64()?,
            }),
            b"home-directory" => Self::HomeDirectory(fields.path()?),
            b"users-groups-by-id@openssh.com" => Self::UsersGroupsById {
                users: fields.string()?,
                groups: fields.string()?,
            },
            _ => Self::Unknown(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(kind: u8, body: &[u8]) -> Result<Request, Malformed> {
        Request::parse(
            kind,
            &mut Fields::new(Bytes::copy_from_slice(body)),
            Vec::new(),
        )
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
    }

    #[test]
    fn a_write_in_pieces_is_cut_to_its_length_and_refused_when_short() {
        let head = |length: u32| {
            let mut head = string(&3u64.to_be_bytes());
            head.extend(9u64.to_be_bytes());
            head.extend(length.to_be_bytes());
            Fields::new(head.into())
        };
        let pieces = || vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")];
        let write = Write::parse(&mut head(4), pieces()).unwrap();
        assert_eq!(write.data.concat(), b"abcd");
        assert_eq!((write.handle, write.offset), (Handle(3), 9));
        assert_eq!(
            Write::parse(&mut head(7), pieces()),
            Err(Malformed::Truncated)
        );
    }

    #[test]
    fn every_announced_extension_is_known() {
        for (name, _) in EXTENSIONS {
            let parsed = parse(kind::EXTENDED, &string(name.as_bytes()));
            let unknown = matches!(parsed, Ok(Request::Extended(Extended::Unknown(_))));
            assert!(!unknown, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_make_the_parser_panic(
            kind: u8, body in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = parse(kind, &body);
        }

        #[test]
        fn a_cut_request_is_truncated_and_never_something_else(
            path in proptest::collection::vec(1..=255u8, 0..50), flags: u32, cut in 0..60usize,
        ) {
            let mut body = string(&path);
            body.extend(flags.to_be_bytes());
            body.extend(4u32.to_be_bytes());
            body.extend(0o644u32.to_be_bytes());
            let attributes = Attributes { permissions: Some(0o644), ..Attributes::default() };
            let whole = Request::Open { path: path.into(), flags, attributes };
            prop_assert_eq!(parse(kind::OPEN, &body), Ok(whole));
            let cut = cut.min(body.len() - 1);
            prop_assert_eq!(parse(kind::OPEN, &body[..cut]), Err(Malformed::Truncated));
        }
    }
}
