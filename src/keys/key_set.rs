//! Who may log in, as of one moment: an immutable snapshot of every source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::entry::Entry;
use super::error::{KeyError, KeyErrorKind};
use super::grant::{Denied, Grant, Identity};
use super::key_type;
use super::line::Line;
use super::mounts::Mounts;
use super::offer::{Credential, Offer};
use super::revocation::Revocations;
use super::source::{Reader, Source, Text};
use super::trust::Owner;

/// More lines than this in one file are a mistake, or an attack on our memory.
const MAX_LINES: usize = 100_000;

/// Where keys come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Files and directories in authorized_keys format.
    pub authorized_keys: Vec<PathBuf>,
    /// The workspace user's home; strict modes apply below it.
    pub home: PathBuf,
    /// The workspace user.
    pub uid: u32,
    /// Whether `~/.ssh/authorized_keys` is a source too.
    pub home_authorized_keys: bool,
    /// Files and directories with CA keys, one a line.
    pub user_ca: Vec<PathBuf>,
    /// Principals that certificates of `user_ca` may name instead of the user.
    pub principals: Vec<String>,
    /// Plain list or KRL.
    pub revoked_keys: Option<PathBuf>,
}

impl Sources {
    /// Every path that is read, for whoever watches them.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.authorized_keys.clone();
        paths.extend(self.user_ca.iter().cloned());
        paths.extend(self.revoked_keys.iter().cloned());
        paths.extend(self.home_path());
        paths
    }

    fn home_path(&self) -> Option<PathBuf> {
        self.home_authorized_keys
            .then(|| self.home.join(".ssh/authorized_keys"))
    }
}

/// An immutable snapshot of who may log in.
#[derive(Debug, Default)]
pub struct KeySet {
    generation: u64,
    files: Vec<LoadedFile>,
    /// Positions (file, line) of each key, in the order they are tried.
    index: HashMap<KeyData, Vec<(usize, usize)>>,
    has_authority: bool,
    revocations: Revocations,
    stale: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LoadedFile {
    path: PathBuf,
    role: Role,
    lines: Arc<Vec<Line>>,
}

/// What a file's lines are: keys and CAs with options, or CAs of `--user-ca`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    AuthorizedKeys,
    UserCa,
}

impl KeySet {
    /// Read every source. What cannot be read now keeps what it had in `previous`; every problem
    /// is reported, none is fatal.
    pub fn load(sources: &Sources, previous: Option<&KeySet>) -> (Self, Vec<KeyError>) {
        let reader = Reader {
            owner: Owner::new(&sources.home, sources.uid),
            mounts: Mounts::read(),
        };
        let mut loading = Loading {
            sources,
            reader,
            previous,
            files: Vec::new(),
            errors: Vec::new(),
            stale: 0,
        };
        sources
            .user_ca
            .iter()
            .for_each(|path| loading.source(path, Role::UserCa));
        sources
            .authorized_keys
            .iter()
            .for_each(|path| loading.source(path, Role::AuthorizedKeys));
        if let Some(path) = sources.home_path() {
            loading.source(&path, Role::AuthorizedKeys);
        }
        let Loading {
            files,
            mut errors,
            stale,
            ..
        } = loading;
        let (revocations, error) = Revocations::load(
            sources.revoked_keys.as_deref(),
            previous.map(|previous| &previous.revocations),
        );
        errors.extend(error);
        let generation = previous.map_or(1, |previous| previous.generation + 1);
        let set = Self {
            generation,
            files,
            revocations,
            stale,
            ..Self::default()
        };
        (set.indexed(), errors)
    }

    /// Counts up with every load.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many keys and CAs may log somebody in.
    pub fn len(&self) -> usize {
        self.files.iter().map(|file| file.lines.len()).sum()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sources that could not be read and stand as they last did; a metric for alerts.
    pub fn stale_sources(&self) -> usize {
        self.stale + usize::from(self.revocations.unreadable().is_some())
    }

    /// Whether a client that offers `key` should be asked for a signature. A certificate shows only
    /// its embedded key at this stage, so with a CA every unknown key of an accepted type may be one.
    pub fn is_candidate(&self, key: &PublicKey) -> bool {
        let listed = self
            .lines_of(key.key_data())
            .any(|line| !line.is_authority());
        (listed || self.has_authority)
            && self.revocations.unreadable().is_none()
            && key_type::check_key(key.key_data()).is_ok()
            && self.revocations.check_key(key.key_data()).is_ok()
    }

    /// Decide about a login whose signature has been verified.
    pub fn authorize(&self, offer: &Offer<'_>) -> Result<Grant, Denied> {
        if let Some(reason) = self.revocations.unreadable() {
            return Err(Denied::RevocationsUnreadable(reason.to_owned()));
        }
        self.judge(offer)
    }

    /// Whether a connection that was let in would be let in now by the same key or certificate, and
    /// if so, when to ask again even though no key set has changed. An unreadable revocation list
    /// stops new logins, not those who are in; its last content counts. What a connection may do
    /// stays as it was granted, as in sshd.
    pub fn still_allows(
        &self,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Denied> {
        self.judge(&identity.accepted.offer(now))
            .map(|grant| grant.options.expires)
    }

    /// Whether nothing has changed but the generation.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.files == other.files
            && self.revocations == other.revocations
            && self.stale == other.stale
    }

    fn judge(&self, offer: &Offer<'_>) -> Result<Grant, Denied> {
        let (key, listed, certified) = match offer.credential {
            Credential::Key(key) => (key.key_data(), key.key_data(), false),
            Credential::Certificate(cert) => (cert.public_key(), cert.signature_key(), true),
        };
        key_type::check_key(key).map_err(Denied::Algorithm)?;
        key_type::check_signature(key, offer.algorithm).map_err(Denied::Algorithm)?;
        self.revocations.check(offer.credential)?;

        let mut refusal = None;
        for line in self
            .lines_of(listed)
            .filter(|line| line.is_authority() == certified)
        {
            match line.admit(offer) {
                // As in sshd the first line that admits decides, also about what it demands.
                Ok(admission) => return admission.grant(line, offer),
                Err(denied) => refusal = refusal.or(Some(denied)),
            }
        }
        Err(refusal.unwrap_or(Denied::UnknownKey {
            certificate: certified,
        }))
    }

    fn lines_of(&self, key: &KeyData) -> impl Iterator<Item = &Line> {
        let positions = self.index.get(key).map(Vec::as_slice).unwrap_or_default();
        positions
            .iter()
            .filter_map(|(file, line)| self.files.get(*file)?.lines.get(*line))
    }

    fn indexed(mut self) -> Self {
        for (file_number, file) in self.files.iter().enumerate() {
            for (line_number, line) in file.lines.iter().enumerate() {
                let positions = self.index.entry(line.key().clone()).or_default();
                positions.push((file_number, line_number));
                self.has_authority |= line.is_authority();
            }
        }
        self
    }
}

/// A key set being read.
struct Loading<'a> {
    sources: &'a Sources,
    reader: Reader,
    previous: Option<&'a KeySet>,
    files: Vec<LoadedFile>,
    errors: Vec<KeyError>,
    stale: usize,
}

impl Loading<'_> {
    fn source(&mut self, path: &Path, role: Role) {
        self.errors.extend(self.reader.staleness(path));
        match self.reader.source(path) {
            Source::Texts(texts) => texts.into_iter().for_each(|text| self.text(text, role)),
            Source::Broken(error) => self.keep(path, role, error),
        }
    }

    fn text(&mut self, text: Text, role: Role) {
        let content = match &text.content {
            Ok(content) => content,
            Err(error) if error.kind == KeyErrorKind::Untrusted => {
                self.errors.push(error.clone());
                return;
            }
            Err(error) => return self.keep(&text.path, role, error.clone()),
        };
        let mut errors = Vec::new();
        match parse_lines(&text, content, role, self.sources, &mut errors) {
            Ok(lines) => {
                self.errors.append(&mut errors);
                self.files.push(LoadedFile {
                    path: text.path,
                    role,
                    lines: Arc::new(lines),
                });
            }
            Err(reason) => {
                let error = KeyError::new(&text.path, KeyErrorKind::Unreadable, reason);
                self.keep(&text.path, role, error);
            }
        }
    }

    /// Carry over what the last snapshot had at or below `path`.
    fn keep(&mut self, path: &Path, role: Role, error: KeyError) {
        let kept = self
            .previous
            .into_iter()
            .flat_map(|previous| &previous.files);
        let kept = kept
            .filter(|file| file.role == role && file.path.starts_with(path))
            .cloned();
        let before = self.files.len();
        self.files.extend(kept);
        let has_last_good = self.files.len() > before;
        self.errors.push(error.with_fix(if has_last_good {
            "its last good content stays in force"
        } else {
            "nobody can log in by it"
        }));
        self.stale += 1;
    }
}

/// `Err`: this is no list of keys at all.
fn parse_lines(
    text: &Text,
    content: &[u8],
    role: Role,
    sources: &Sources,
    errors: &mut Vec<KeyError>,
) -> Result<Vec<Line>, String> {
    // Editors on Windows put a byte order mark in front.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut lines = Vec::new();
    let mut plausible = false;
    for (index, raw) in content.split(|byte| *byte == b'\n').enumerate() {
        if index >= MAX_LINES {
            return Err(format!("has more than {MAX_LINES} lines"));
        }
        let number = index + 1;
        match Entry::parse(raw) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                let line = Line::new(text, number, entry);
                lines.push(match role {
                    Role::AuthorizedKeys => line,
                    Role::UserCa => line.into_authority(&sources.principals),
                });
            }
            Err(reason) => {
                plausible |= Entry::names_a_key_type(raw);
                errors.push(KeyError::at_line(&text.path, number, reason));
            }
        }
    }
    // Not one line so much as names a key type: a broken update (a binary, a web page, a private
    // key), not an edited list. An empty list or one of comments is a list: of nobody.
    match errors.first() {
        Some(error) if lines.is_empty() && !plausible => Err(format!(
            "is not a list of keys (line {}: {})",
            error.line.unwrap_or(1),
            error.reason
        )),
        _ => Ok(lines),
    }
}

#[cfg(test)]
mod tests;
