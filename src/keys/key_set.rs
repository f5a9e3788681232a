//! Who may log in, as of one moment: an immutable snapshot of every source.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use ssh_key::public::KeyData;
use ssh_key::{Certificate, PublicKey};

use super::error::KeyError;
use super::feed::Feed;
use super::grant::{Denied, Grant};
use super::key_type;
use super::line::Line;
use super::loading::{LoadedFile, Loading};
use super::offer::Offer;
use super::revocation::Revocations;

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
    /// A source that somebody else follows.
    pub feed: Option<Arc<Feed>>,
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

    pub(super) fn home_path(&self) -> Option<PathBuf> {
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

impl KeySet {
    /// Read every source. What cannot be read now keeps what it had in `previous`; every problem
    /// is reported, none is fatal.
    pub fn load(sources: &Sources, previous: Option<&KeySet>) -> (Self, Vec<KeyError>) {
        let kept = previous.map(|previous| previous.files.as_slice());
        let loading = Loading::of(sources, kept.unwrap_or_default());
        let (files, mut errors, stale) = (loading.files, loading.errors, loading.stale);
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
    /// its embedded key at this stage, so with a CA any key of an accepted type may be one.
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

    /// Whether a connection that was let in would be let in now by the same key or certificate, to
    /// do no less than it was granted, and if so, when to ask again even though no key set has
    /// changed. An unreadable revocation list stops new logins, not those who are in; its last
    /// content counts. New rights wait for the next login.
    pub fn still_allows(
        &self,
        granted: &Grant,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Denied> {
        let again = self.judge(&granted.identity.accepted.offer(now))?.options;
        if granted.options.are_within(&again) {
            Ok(again.expires)
        } else {
            Err(Denied::Narrowed)
        }
    }

    /// Whether certificates log in, so that no key is known to be useless before it has signed.
    pub fn has_authority(&self) -> bool {
        self.has_authority
    }

    /// Whether nothing has changed but the generation.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.files == other.files
            && self.revocations == other.revocations
            && self.stale == other.stale
    }

    fn judge(&self, offer: &Offer<'_>) -> Result<Grant, Denied> {
        let key = offer.credential.key();
        let authority = offer
            .credential
            .certificate()
            .map(Certificate::signature_key);
        let (listed, certified) = (authority.unwrap_or(key), authority.is_some());
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

#[cfg(test)]
mod tests;
