//! Status codes (draft-ietf-secsh-filexfer-02 section 7) and the sentence that goes with them.
//!
//! Codes are OpenSSH's for the same errno, because clients branch on them; the text is ours: it
//! names the operation and the file.

use std::borrow::Cow;

use nix::errno::Errno;

use super::codec::Malformed;

/// Longest part of a path quoted in a message, in bytes.
const QUOTED: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

impl From<Errno> for Code {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::EBADF | Errno::ELOOP => Self::NoSuchFile,
            Errno::EPERM | Errno::EACCES | Errno::EFAULT => Self::PermissionDenied,
            Errno::ENAMETOOLONG | Errno::EINVAL => Self::BadMessage,
            Errno::ENOSYS => Self::Unsupported,
            _ => Self::Failure,
        }
    }
}

/// What a request that has no other answer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: Cow<'static, str>,
}

impl Status {
    pub(super) const OK: Self = Self::new(Code::Ok, "Success");
    pub(super) const EOF: Self = Self::new(Code::Eof, "End of file");
    pub(super) const INVALID_HANDLE: Self = Self::new(Code::Failure, "Invalid handle");

    pub(super) const fn new(code: Code, message: &'static str) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
        }
    }
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        Self {
            code: Code::BadMessage,
            message: malformed.to_string().into(),
        }
    }
}

/// Turns an errno into a [`Status`] that says what was being done to which file.
pub(super) trait Blame<T> {
    fn blame(self, doing: &str, path: &[u8]) -> Result<T, Status>;
}

impl<T> Blame<T> for nix::Result<T> {
    fn blame(self, doing: &str, path: &[u8]) -> Result<T, Status> {
        self.map_err(|errno| {
            let quoted = String::from_utf8_lossy(path.get(..QUOTED).unwrap_or(path));
            Status {
                code: errno.into(),
                message: format!("{doing} \"{quoted}\": {}", errno.desc()).into(),
            }
        })
    }
}

/// The status of an operation that has no other answer.
pub(super) fn of(result: nix::Result<()>, doing: &str, path: &[u8]) -> Status {
    result.blame(doing, path).err().unwrap_or(Status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_file_and_stays_short() {
        let status = Err::<(), _>(Errno::ENOENT)
            .blame("open", b"a\xff")
            .unwrap_err();
        assert_eq!(status.code, Code::NoSuchFile);
        assert_eq!(
            status.message,
            "open \"a\u{fffd}\": No such file or directory"
        );
        let status = Err::<(), _>(Errno::ENOSPC)
            .blame("write", &[b'x'; 4096])
            .unwrap_err();
        assert_eq!(status.code, Code::Failure);
        assert!(status.message.len() < 400);
        assert!(status.message.ends_with("No space left on device"));
    }
}
