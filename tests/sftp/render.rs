//! Answers as text, without what differs from run to run: message texts, handles and the times of
//! files whose times nobody set.

use std::fmt::Write;

/// Times before this were set by a test. Seconds since 1970.
const SET: u32 = 1_600_000_000;

/// Fields taken from the front of an answer.
pub(crate) struct Answer<'a>(pub(crate) &'a [u8]);

impl<'a> Answer<'a> {
    pub(crate) fn u32(&mut self) -> u32 {
        let (value, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_be_bytes(value.try_into().unwrap())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    pub(crate) fn string(&mut self) -> &'a [u8] {
        let length = self.u32() as usize;
        let (value, rest) = self.0.split_at(length);
        self.0 = rest;
        value
    }
}

/// One answer.
pub(crate) fn render(kind: u8, body: &[u8]) -> String {
    let mut answer = Answer(body);
    match kind {
        101 => {
            let code = answer.u32();
            assert!(!answer.string().is_empty(), "a status without a message");
            assert_eq!(answer.string(), b"", "language");
            assert!(answer.0.is_empty());
            format!("status {code}")
        }
        102 => "handle".into(),
        103 => {
            let data = answer.string();
            let start = String::from_utf8_lossy(&data[..data.len().min(40)]).into_owned();
            format!("data {} {start:?}", data.len())
        }
        104 => names(body).join(" "),
        105 => {
            let text = attributes(&mut answer, true);
            assert!(answer.0.is_empty());
            text
        }
        201 => format!("reply {body:?}"),
        other => panic!("answer of kind {other}"),
    }
}

/// The entries of a NAME answer: name, long name, attributes. Of `.` and `..`, whose times nobody
/// can set, the long name only up to the size.
pub(crate) fn names(body: &[u8]) -> Vec<String> {
    let mut answer = Answer(body);
    let count = answer.u32();
    let entries = (0..count)
        .map(|_| {
            let name = String::from_utf8_lossy(answer.string()).into_owned();
            let long = String::from_utf8_lossy(answer.string()).into_owned();
            let dots = name == "." || name == "..";
            let long = if dots { &long[..33] } else { &long };
            let attributes = attributes(&mut answer, name != "..");
            format!("[{name} | {long} | {attributes}]")
        })
        .collect();
    assert!(answer.0.is_empty());
    entries
}

fn attributes(answer: &mut Answer<'_>, sized: bool) -> String {
    let flags = answer.u32();
    let mut text = format!("flags {flags:#x}");
    if flags & 1 != 0 {
        let size = answer.u64();
        if sized {
            write!(text, " size {size}").unwrap();
        }
    }
    if flags & 2 != 0 {
        write!(text, " owner {}:{}", answer.u32(), answer.u32()).unwrap();
    }
    if flags & 4 != 0 {
        write!(text, " mode {:o}", answer.u32()).unwrap();
    }
    if flags & 8 != 0 {
        for time in [answer.u32(), answer.u32()] {
            if time < SET {
                write!(text, " {time}").unwrap();
            }
        }
    }
    text
}
