//! Fuzzed: a whole session's bytes, from the packets' lengths to the files in a directory of its own.
//!
//! Requests that would leave that directory are read but not carried out; tests/fuzz bounds the size
//! of files. Every answer must be a packet, one for each request.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::codec::{Fields, kind};
use super::engine::Engine;
use super::input::Input;
use super::request::{Extended, Request};
use super::{Failure, Options};

/// Answers held for one session before its client is not believed to be ours.
const MOST: usize = 1 << 20;

/// The first byte says in how large pieces the rest arrives; INIT goes before it.
pub(crate) fn session(data: &[u8]) {
    let Some((step, rest)) = data.split_first() else {
        return;
    };
    let made = Directory::new();
    assert!(made.is_ok(), "no directory for the session: {made:?}");
    let Ok(home) = made else { return };
    let options = Options {
        home: home.0.clone(),
    };
    let opened = Engine::open(&options, Arc::new(AtomicBool::new(false)));
    assert!(opened.is_ok(), "{opened:?}");
    let Ok(mut engine) = opened else { return };
    let mut input = Input::default();
    input.push(Bytes::from_static(&[0, 0, 0, 5, kind::INIT, 0, 0, 0, 3]));
    let mut answers = Vec::new();
    for packet in packets(rest).take(64) {
        if !stays_at_home(packet) {
            continue;
        }
        for piece in packet.chunks(usize::from(*step) * 16 + 1) {
            input.push(Bytes::copy_from_slice(piece));
            if !drain(&mut engine, &mut input, &mut answers) {
                return;
            }
        }
    }
    check(&answers);
}

/// Carry out what is there; false once the session is over.
fn drain(engine: &mut Engine, input: &mut Input, answers: &mut Vec<u8>) -> bool {
    let _ = input.advance();
    while input.is_ready() {
        let result = engine.run(input);
        let _ = input.settle();
        for bytes in engine.output.take() {
            answers.extend_from_slice(&bytes);
        }
        match result {
            Ok(()) => {}
            Err(failure) => {
                let ours = matches!(failure, Failure::Worker(_) | Failure::Closed);
                assert!(!ours, "{failure}");
                return false;
            }
        }
        if answers.len() > MOST {
            check(answers);
            answers.clear();
        }
    }
    true
}

/// The stream cut where its lengths say, the last piece whatever is left.
fn packets(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = rest.first_chunk::<4>().map_or(rest.len(), |length| {
            4usize.saturating_add(u32::from_be_bytes(*length) as usize)
        });
        let (packet, more) = rest.split_at(length.min(rest.len()));
        rest = more;
        Some(packet)
    })
}

/// Whether carrying `packet` out touches nothing but the session's own directory.
fn stays_at_home(packet: &[u8]) -> bool {
    let Some((kind, rest)) = packet.get(4..).and_then(<[u8]>::split_first) else {
        return true;
    };
    let fields = rest.get(4..).unwrap_or_default();
    let Ok(request) = Request::parse(
        *kind,
        &mut Fields::new(Bytes::copy_from_slice(fields)),
        Vec::new(),
    ) else {
        return true;
    };
    let inside = |path: &Bytes| {
        !path.starts_with(b"/")
            && !path.starts_with(b"~")
            && !path.windows(2).any(|two| two == b"..")
    };
    match &request {
        Request::Open { path, .. }
        | Request::Lstat(path)
        | Request::Stat(path)
        | Request::Setstat(path, _)
        | Request::Opendir(path)
        | Request::Remove(path)
        | Request::Mkdir(path, _)
        | Request::Rmdir(path)
        | Request::Realpath(path)
        | Request::Readlink(path)
        | Request::Extended(Extended::Statvfs(path) | Extended::Lsetstat(path, _)) => inside(path),
        Request::Rename {
            from: one,
            to: other,
        }
        | Request::Symlink {
            target: one,
            link: other,
        }
        | Request::Extended(
            Extended::PosixRename {
                from: one,
                to: other,
            }
            | Extended::Hardlink {
                from: one,
                to: other,
            },
        ) => inside(one) && inside(other),
        _ => true,
    }
}

/// Whole packets, of kinds a server sends.
fn check(mut answers: &[u8]) {
    while let Some((length, rest)) = answers.split_first_chunk::<4>() {
        let split = rest.split_at_checked(u32::from_be_bytes(*length) as usize);
        assert!(split.is_some(), "an answer is cut short");
        let (packet, more) = split.unwrap_or_default();
        let sent = [
            kind::VERSION,
            kind::STATUS,
            kind::HANDLE,
            kind::DATA,
            kind::NAME,
            kind::ATTRS,
            kind::EXTENDED_REPLY,
        ];
        assert!(
            packet.first().is_some_and(|kind| sent.contains(kind)),
            "no kind of answer"
        );
        answers = more;
    }
    assert!(answers.is_empty(), "bytes behind the last answer");
}

/// A directory that goes with the session; what is in it is what a client would find.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("podssh-fuzz-{}", std::process::id()));
        fs::create_dir(&path)?;
        fs::write(path.join("file"), b"content")?;
        fs::create_dir(path.join("dir"))?;
        fs::write(path.join("dir/inner"), b"")?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        open_up(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The session may have closed directories to everybody.
fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
