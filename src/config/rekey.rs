//! `--rekey-limit`: when a connection changes its keys, in the words of sshd's RekeyLimit.

use std::time::Duration;

use super::duration;

/// The time where none is given.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The bounds of one set of keys (RFC 4253 section 9), in each direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RekeyLimit {
    /// Bytes, at least [`RekeyLimit::LEAST`].
    pub bytes: usize,
    /// Time, above zero.
    pub time: Duration,
}

impl RekeyLimit {
    /// Below this a connection would be busy with changing keys; sshd's bound is the same order.
    pub const LEAST: usize = 64 << 10;

    /// A size such as `512M`, and perhaps a duration after a blank; a day without it.
    ///
    /// # Errors
    /// A sentence that names the flag, the value and what is expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let flag = "--rekey-limit";
        let mut words = text.split_whitespace();
        let (size, time) = (words.next().unwrap_or_default(), words.next());
        let bytes = bytes(size).filter(|_| words.next().is_none());
        let bytes = bytes.ok_or_else(|| {
            format!("{flag} {text:?} is not a size such as 512M or 16G, and a duration such as 1h after it")
        })?;
        if bytes < Self::LEAST {
            return Err(format!("{flag} {text:?} is below 64K"));
        }
        let time = time.map_or(Ok(DAY), |time| duration(flag, time))?;
        Ok(Self { bytes, time })
    }
}

/// `512M` and its like; K, M and G are powers of 1,024.
fn bytes(text: &str) -> Option<usize> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (text.get(..at)?, 10),
        (at, 'M' | 'm') => (text.get(..at)?, 20),
        (at, 'G' | 'g') => (text.get(..at)?, 30),
        _ => (text, 0),
    };
    number.parse::<usize>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_alone_or_with_a_time() {
        let limit = |bytes, time| Ok(RekeyLimit { bytes, time });
        let hour = Duration::from_secs(3600);
        for (text, expected) in [
            ("512M", limit(512 << 20, DAY)),
            ("1g 1h", limit(1 << 30, hour)),
            (" 65536  60m ", limit(65536, hour)),
        ] {
            assert_eq!(RekeyLimit::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in [
            "",
            "often",
            "12T",
            "-1",
            "1K",
            "512M soon",
            "512M 1h more",
            "512M 0s",
            "99999999999999999999G",
            "é",
        ] {
            let error = RekeyLimit::parse(text).unwrap_err();
            assert!(error.starts_with("--rekey-limit"), "{text:?}: {error}");
        }
    }
}
