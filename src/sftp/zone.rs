//! The local time zone, for the dates of directory listings: TZif (RFC 9636) as `/etc/localtime`
//! has it. Anything it cannot read means UTC.

use std::path::Path;

/// Longest zone file read; real ones are below 4 KiB. Bytes.
const MAX_FILE: u64 = 64 * 1024;
const HEADER: usize = 44;

/// Offsets from UTC by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Zone {
    /// Time of each change and the offset from then on; seconds, ascending.
    changes: Vec<(i64, i32)>,
    /// Before the first change.
    first: i32,
}

impl Zone {
    #[cfg(test)]
    pub(super) fn utc() -> Self {
        Self::default()
    }

    /// The machine's zone. Blocks on a file.
    pub(super) fn local() -> Self {
        read(Path::new("/etc/localtime"))
            .and_then(|file| Self::parse(&file))
            .unwrap_or_default()
    }

    /// Seconds to add to `time` (seconds since 1970). After the last change listed, the last
    /// offset holds: the rule in the file's footer is not evaluated.
    pub(super) fn offset(&self, time: i64) -> i32 {
        let after = self.changes.partition_point(|&(change, _)| change <= time);
        match after.checked_sub(1).and_then(|last| self.changes.get(last)) {
            Some(&(_, offset)) => offset,
            None => self.first,
        }
    }

    /// The second block of a version 2 file, whose times have 64 bits.
    fn parse(file: &[u8]) -> Option<Self> {
        let old = Counts::parse(file)?;
        let file = file.get(HEADER + old.length(4)..)?;
        let counts = Counts::parse(file)?;
        let body = file.get(HEADER..)?;
        let (times, body) = body.split_at_checked(counts.times * 8)?;
        let (indices, body) = body.split_at_checked(counts.times)?;
        let (types, _) = body.split_at_checked(counts.types * 6)?;
        let offset = |index: usize| {
            let start = index * 6;
            Some(i32::from_be_bytes(
                types.get(start..start + 4)?.try_into().ok()?,
            ))
        };
        let mut changes = Vec::with_capacity(counts.times);
        for (time, &index) in times.chunks_exact(8).zip(indices) {
            changes.push((
                i64::from_be_bytes(time.try_into().ok()?),
                offset(index.into())?,
            ));
        }
        Some(Self {
            changes,
            first: offset(0)?,
        })
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let length = std::fs::metadata(path).ok()?.len();
    (length <= MAX_FILE).then(|| std::fs::read(path).ok())?
}

struct Counts {
    utc_flags: usize,
    standard_flags: usize,
    leaps: usize,
    times: usize,
    types: usize,
    letters: usize,
}

impl Counts {
    fn parse(block: &[u8]) -> Option<Self> {
        let version = *block.strip_prefix(b"TZif")?.first()?;
        let field = |index: usize| {
            let start = 20 + index * 4;
            let bytes = block.get(start..start + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes) as usize)
        };
        let counts = Self {
            utc_flags: field(0)?,
            standard_flags: field(1)?,
            leaps: field(2)?,
            times: field(3)?,
            types: field(4)?,
            letters: field(5)?,
        };
        (version >= b'2').then_some(counts)
    }

    /// Bytes of a block behind its header, with times of `size` bytes.
    fn length(&self, size: usize) -> usize {
        self.times * (size + 1)
            + self.types * 6
            + self.letters
            + self.leaps * (size + 4)
            + self.standard_flags
            + self.utc_flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let header = |times: u32, types: u32, letters: u32| {
            let mut header = b"TZif2".to_vec();
            header.extend([0; 15]);
            for count in [0, 0, 0, times, types, letters] {
                header.extend(count.to_be_bytes());
            }
            header
        };
        let mut file = header(0, 1, 4);
        file.extend([0; 6 + 4]);
        file.extend(header(2, 2, 4));
        for time in [1_000i64, 2_000] {
            file.extend(time.to_be_bytes());
        }
        file.extend([1, 0]);
        for offset in [3600i32, 7200] {
            file.extend(offset.to_be_bytes());
            file.extend([0, 0]);
        }
        file.extend(b"CET\0");
        file
    }

    #[test]
    fn the_offset_changes_with_time() {
        let zone = Zone::parse(&file()).unwrap();
        assert_eq!(zone.offset(0), 3600);
        assert_eq!(zone.offset(1_500), 7200);
        assert_eq!(zone.offset(2_000), 3600);
    }

    #[test]
    fn a_cut_file_is_no_zone_and_no_panic() {
        let file = file();
        for length in 0..file.len() - 4 {
            assert!(Zone::parse(&file[..length]).is_none(), "{length}");
        }
    }
}
