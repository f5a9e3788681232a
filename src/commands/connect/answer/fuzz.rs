//! Fuzzed: what a gateway answers to CONNECT.

use std::io::{self, Read};

use super::{Answer, Broken, MAX_HEAD, read};

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
    let mut pieces = Pieces(answer, usize::from(*step) + 1);
    let slowly = read(&mut pieces);
    let slowly = outcome(slowly, pieces.0);
    let mut rest = answer;
    let whole = read(&mut rest);
    let whole = outcome(whole, rest);
    if answer.len() < MAX_HEAD {
        assert_eq!(slowly, whole);
    }
    if let Some((status, early)) = whole {
        assert!(status < 1000 && answer.ends_with(&early));
    }
}

/// The status, and all that followed the head, read or not.
fn outcome(answer: Result<Answer, Broken>, unread: &[u8]) -> Option<(u16, Vec<u8>)> {
    let Answer { status, rest, .. } = answer.ok()?;
    Some((status, [&rest, unread].concat()))
}
