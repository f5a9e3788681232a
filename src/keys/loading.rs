//! A key set being read: every source in turn, with what is wrong with it.
//!
//! What cannot be read keeps the lines it had; that is decided for each file by itself, so that one
//! person's broken file holds up nobody else's removal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Entry;
use super::error::{KeyError, KeyErrorKind};
use super::key_set::Sources;
use super::line::Line;
use super::mounts::Mounts;
use super::source::{Reader, Source, Text};
use super::trust::Owner;

/// More lines than this in one file are a mistake, or an attack on our memory.
const MAX_LINES: usize = 100_000;

/// A file's lines, shared between snapshots while the file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoadedFile {
    path: PathBuf,
    role: Role,
    pub(super) lines: Arc<Vec<Line>>,
}

/// What a file's lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Keys and CAs with options.
    AuthorizedKeys,
    /// CAs of `--user-ca`.
    UserCa,
}

/// What the sources say, in the order in which it is asked.
pub(super) struct Loading<'a> {
    sources: &'a Sources,
    reader: Reader,
    previous: &'a [LoadedFile],
    pub(super) files: Vec<LoadedFile>,
    pub(super) errors: Vec<KeyError>,
    /// Sources that stand as they last did.
    pub(super) stale: usize,
}

impl<'a> Loading<'a> {
    /// Read everything. Like sshd, ask `--user-ca` first.
    pub(super) fn of(sources: &'a Sources, previous: &'a [LoadedFile]) -> Self {
        let (owner, mounts) = (Owner::new(&sources.home, sources.uid), Mounts::read());
        let reader = Reader { owner, mounts };
        let (files, errors) = (Vec::new(), Vec::new());
        let mut loading = Self {
            sources,
            reader,
            previous,
            files,
            errors,
            stale: 0,
        };
        for path in &sources.user_ca {
            loading.source(path, Role::UserCa);
        }
        for path in sources.authorized_keys.iter().chain(&sources.home_path()) {
            loading.source(path, Role::AuthorizedKeys);
        }
        if let Some(feed) = &sources.feed {
            let (source, lost) = feed.read();
            loading.stale += usize::from(lost.is_some());
            loading.errors.extend(lost);
            loading.texts(feed.path(), source, Role::AuthorizedKeys);
        }
        loading
    }

    fn source(&mut self, path: &Path, role: Role) {
        self.errors.extend(self.reader.staleness(path));
        let source = self.reader.source(path);
        self.texts(path, source, role);
    }

    fn texts(&mut self, path: &Path, source: Source, role: Role) {
        match source {
            Source::Texts(texts) => texts.iter().for_each(|text| self.text(text, role)),
            Source::Broken(error) => self.keep(path, role, error),
        }
    }

    fn text(&mut self, text: &Text, role: Role) {
        let content = match &text.content {
            Ok(content) => content,
            Err(error) if error.kind == KeyErrorKind::Untrusted => {
                return self.errors.push(error.clone());
            }
            Err(error) => return self.keep(&text.path, role, error.clone()),
        };
        match Parsed::read(text, content) {
            Ok(mut parsed) => {
                self.errors.append(&mut parsed.errors);
                self.add(&text.path, role, parsed.lines);
            }
            Err(reason) => {
                let error = KeyError::new(&text.path, KeyErrorKind::Unreadable, reason);
                self.keep(&text.path, role, error);
            }
        }
    }

    fn add(&mut self, path: &Path, role: Role, mut lines: Vec<Line>) {
        if role == Role::UserCa {
            let authority = |line: Line| line.into_authority(&self.sources.principals);
            lines = lines.into_iter().map(authority).collect();
        }
        let (path, lines) = (path.to_owned(), Arc::new(lines));
        self.files.push(LoadedFile { path, role, lines });
    }

    /// Carry over what the last snapshot had at or below `path`.
    fn keep(&mut self, path: &Path, role: Role, error: KeyError) {
        let before = self.files.len();
        let kept = |file: &&LoadedFile| file.role == role && file.path.starts_with(path);
        self.files
            .extend(self.previous.iter().filter(kept).cloned());
        self.errors
            .push(error.with_fix(if self.files.len() > before {
                "its last good content stays in force"
            } else {
                "nobody can log in by it"
            }));
        self.stale += 1;
    }
}

/// The good lines of one file, and why the others are bad.
#[derive(Default)]
struct Parsed {
    lines: Vec<Line>,
    errors: Vec<KeyError>,
}

impl Parsed {
    /// `Err`: this is no list of keys at all.
    fn read(text: &Text, content: &[u8]) -> Result<Self, String> {
        // Editors on Windows put a byte order mark in front.
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut parsed = Self::default();
        let mut plausible = false;
        for (index, raw) in content.split(|byte| *byte == b'\n').enumerate() {
            if index >= MAX_LINES {
                return Err(format!("has more than {MAX_LINES} lines"));
            }
            let number = index + 1;
            match Entry::parse(raw) {
                Ok(entry) => {
                    parsed
                        .lines
                        .extend(entry.map(|entry| Line::new(text, number, entry)));
                }
                Err(reason) => {
                    plausible |= Entry::names_a_key_type(raw);
                    parsed
                        .errors
                        .push(KeyError::at_line(&text.path, number, reason));
                }
            }
        }
        // Not one line so much as names a key type: a broken update (a binary, a web page, a
        // private key), not an edited list. An empty list or one of comments is a list: of nobody.
        match parsed.errors.first() {
            Some(first) if parsed.lines.is_empty() && !plausible => {
                let (line, reason) = (first.line.unwrap_or(1), &first.reason);
                Err(format!("is not a list of keys (line {line}: {reason})"))
            }
            _ => Ok(parsed),
        }
    }
}
