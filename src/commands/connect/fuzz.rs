//! Fuzzed: what a gateway answers to CONNECT.

use std::io::{self, Read};

use super::{MAX_HEAD, read_answer};

/// Yields its bytes a few at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.1.min(buffer.len());
        self.0.read(buffer.get_mut(..most).unwrap_or_default())
    }
}

/// The first byte says in how large pieces the answer comes; that must not matter, and what follows
/// the head is kept to the last byte.
pub(crate) fn answer(data: &[u8]) {
    let Some((step, answer)) = data.split_first() else {
        return;
    };
    let mut rest = Pieces(answer, usize::from(*step) + 1);
    let pieces = read_answer(&mut rest).map(|(status, early)| (status, [&early, rest.0].concat()));
    let mut rest = answer;
    let whole = read_answer(&mut rest).map(|(status, early)| (status, [&early, rest].concat()));
    if answer.len() < MAX_HEAD {
        assert_eq!(pieces.as_ref().ok(), whole.as_ref().ok());
    }
    if let Ok((status, early)) = whole {
        assert!(status < 1000 && answer.ends_with(&early));
    }
}
