//! The grammar under mutated lines: those of `corpus`, changed at random from a fixed seed, so that
//! a failure happens again.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Enough to take every branch of the grammar many times, in a few seconds without optimising.
const ROUNDS: usize = 100_000;
/// Bytes that mean something to the grammar.
const SPICE: &[u8] = b"\"\\,= \t!*?#[]:/@.-_0129AZaz\0\r\n\xff";

fn mutate(line: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    let place = random.random_range(0..=line.len());
    let spice = SPICE[random.random_range(0..SPICE.len())];
    match random.random_range(0..6) {
        0 => line.insert(place, spice),
        1 if place < line.len() => line[place] = spice,
        2 if place < line.len() => drop(line.remove(place)),
        3 => line.truncate(place),
        // The start of one line before the end of another.
        4 => {
            *line = [
                &line[..place],
                &other[random.random_range(0..=other.len())..],
            ]
            .concat();
        }
        _ => line
            .splice(place..place, line[..place.min(40)].to_vec())
            .for_each(drop),
    }
}

#[test]
fn mutated_lines_are_read_or_refused_the_same_twice_and_never_panic() {
    let corpus: Vec<&[u8]> = include_bytes!("corpus")
        .split(|byte| *byte == b'\n')
        .collect();
    let mut random = StdRng::seed_from_u64(4);
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let mut line = corpus[random.random_range(0..corpus.len())].to_vec();
        for _ in 0..random.random_range(1..5) {
            let other = corpus[random.random_range(0..corpus.len())];
            mutate(&mut line, other, &mut random);
        }
        let outcome = Entry::parse(&line).map(|entry| entry.is_some());
        accepted += usize::from(outcome == Ok(true));
        let again = Entry::parse(&line).map(|entry| entry.is_some());
        assert_eq!(outcome, again, "{:?}", String::from_utf8_lossy(&line));
    }
    assert!(
        accepted > ROUNDS / 100,
        "hardly a line got past the first check: {accepted}"
    );
}
