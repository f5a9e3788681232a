//! Random requests, many at once without waiting for answers, to both servers: what one can observe
//! from the other's answers is the order of operations, and it must be the same.

use crate::client::{Body, Client, body};
use crate::conformance::compare;
use crate::render::render;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

const FILES: [&str; 5] = ["f0", "f1", "d0/f", "d1/f", "file"];
const PLACES: [&str; 8] = ["f0", "f1", "d0/f", "d0", "d1", "d1/f", "s0", "d0/missing/x"];
const OFFSETS: [u64; 6] = [0, 1, 5, 10, 5000, 40_000];

/// One request on paths: its kind and fields.
fn on_paths(random: &mut Random) -> (u8, Body) {
    match random.below(12) {
        0 => (
            14,
            body().string(random.pick(&["d0", "d1", "d0/d"])).plain(),
        ),
        1 => (15, body().string(random.pick(&["d0", "d1", "d0/d"]))),
        2 => (13, body().string(random.pick(&PLACES))),
        // Links have names of their own: RENAME onto a dangling one differs, and is tested elsewhere.
        3 => (20, body().string(random.pick(&PLACES)).string("s0")),
        4 => {
            let (from, to) = (random.pick(&FILES), random.pick(&FILES));
            (18, body().string(from).string(to))
        }
        5 => {
            let (from, to) = (random.pick(&FILES), random.pick(&FILES));
            let name = "posix-rename@openssh.com";
            (200, body().string(name).string(from).string(to))
        }
        6 => (
            9,
            body().string(random.pick(&PLACES)).size(random.below(100)),
        ),
        7 => (19, body().string(random.pick(&PLACES))),
        8 => (16, body().string(random.pick(&PLACES))),
        9 => (17, body().string(random.pick(&PLACES))),
        _ => (7, body().string(random.pick(&PLACES))),
    }
}

/// One request on an open file.
fn on_handle(random: &mut Random, handle: &[u8]) -> (u8, Body) {
    let offset = OFFSETS[random.below(6) as usize];
    let fields = body().string(handle);
    match random.below(8) {
        0 => (8, fields),
        1 => (10, fields.size(offset)),
        2..=4 => {
            let length = [0, 1, 5, 3000, 40_000][random.below(5) as usize];
            let data = vec![b'a' + random.below(26) as u8; length];
            (6, fields.u64(offset).string(data))
        }
        _ => (5, fields.u64(offset).u32(random.below(50_000) as u32)),
    }
}

/// A batch in flight at once. Handles that it opens can be used from the next one on.
fn batch(client: &mut Client<'_>, random: &mut Random, handles: &mut Vec<Vec<u8>>) {
    let mut sent = Vec::new();
    for _ in 0..25 {
        let (kind, fields) = match random.below(10) {
            0 | 1 => {
                let flags =
                    [1, 3, 3 | 8, 3 | 8 | 16, 2 | 4 | 8, 2 | 8 | 32][random.below(6) as usize];
                (3, body().string(random.pick(&FILES)).u32(flags).plain())
            }
            2 if !handles.is_empty() => {
                let handle = handles.remove(random.below(handles.len() as u64) as usize);
                (4, body().string(handle))
            }
            3..=7 if !handles.is_empty() => {
                let handle = &handles[random.below(handles.len() as u64) as usize];
                on_handle(random, handle)
            }
            _ => on_paths(random),
        };
        sent.push((client.send(kind, fields), kind));
    }
    for (id, asked) in sent {
        let (kind, answered, answer) = client.answer();
        assert_eq!(id, answered);
        let text = render(kind, &answer).replace(&client.home, "~");
        client.transcript.push(format!("{asked}: {text}"));
        if kind == 102 {
            handles.push(answer[4..].to_vec());
        }
    }
}

#[test]
fn random_requests_in_flight_together_get_the_same_answers() {
    for seed in 0..40 {
        compare(|client| {
            let (mut random, mut handles) = (Random(seed), Vec::new());
            for _ in 0..20 {
                batch(client, &mut random, &mut handles);
            }
        });
    }
}
