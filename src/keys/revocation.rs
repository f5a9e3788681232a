//! `--revoked-keys`: a plain list (public keys, or `SHA256:…` fingerprints, one a line) or an
//! OpenSSH KRL. As in sshd, a list that is configured and cannot be read lets nobody in: what it
//! would have said is unknown.

use std::collections::HashSet;
use std::path::Path;

use ssh_key::public::KeyData;
use ssh_key::{Fingerprint, HashAlg};

use super::entry::Entry;
use super::error::{KeyError, KeyErrorKind};
use super::file;
use super::grant::Denied;
use super::krl::{self, Krl};
use super::offer::Credential;

/// A KRL with a million scattered serials is 8 MiB.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Keys and certificates that may not log in whatever else says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revocations {
    list: List,
    unreadable: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    /// SHA-256 of revoked keys, whether listed as key or as fingerprint.
    fingerprints: HashSet<Fingerprint>,
    krl: Option<Krl>,
}

impl Revocations {
    /// Read the list; when that fails, keep the content of `previous` and remember the reason.
    pub(super) fn load(path: Option<&Path>, previous: Option<&Self>) -> (Self, Option<KeyError>) {
        let Some(path) = path else {
            return (Self::default(), None);
        };
        let content = file::read(path, MAX_LIST);
        let list = content.and_then(|content| match content {
            Some(content) => List::parse(&content.bytes),
            None => Err("does not exist".to_owned()),
        });
        match list {
            Ok(list) => (
                Self {
                    list,
                    unreadable: None,
                },
                None,
            ),
            Err(reason) => {
                let list = previous
                    .map(|previous| previous.list.clone())
                    .unwrap_or_default();
                let error = KeyError::new(path, KeyErrorKind::Unreadable, &*reason)
                    .with_fix("until the list of revoked keys can be read, nobody can log in");
                let reason = format!("{} {reason}", path.display());
                (
                    Self {
                        list,
                        unreadable: Some(reason),
                    },
                    Some(error),
                )
            }
        }
    }

    /// Why the list cannot be read.
    pub(super) fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// Refuse a revoked key, certificate or CA.
    pub(super) fn check(&self, credential: Credential<'_>) -> Result<(), Denied> {
        match credential {
            Credential::Key(key) => self.check_key(key.key_data()),
            Credential::Certificate(certificate) => {
                let revokes = |krl: &Krl| krl.revokes_certificate(certificate);
                if self.list.krl.as_ref().is_some_and(revokes) {
                    return Err(Denied::Revoked(
                        "the certificate has been revoked".to_owned(),
                    ));
                }
                self.check_key(certificate.public_key())?;
                self.check_key(certificate.signature_key()).map_err(|_| {
                    Denied::Revoked("the certificate authority has been revoked".to_owned())
                })
            }
        }
    }

    /// Refuse a revoked key.
    pub(super) fn check_key(&self, key: &KeyData) -> Result<(), Denied> {
        let listed = self
            .list
            .fingerprints
            .contains(&key.fingerprint(HashAlg::Sha256));
        if listed
            || self
                .list
                .krl
                .as_ref()
                .is_some_and(|krl| krl.revokes_key(key))
        {
            return Err(Denied::Revoked("the key has been revoked".to_owned()));
        }
        Ok(())
    }
}

impl List {
    fn parse(content: &[u8]) -> Result<Self, String> {
        if content.starts_with(krl::MAGIC) {
            return Ok(Self {
                krl: Some(Krl::parse(content)?),
                ..Self::default()
            });
        }
        let mut list = Self::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let fingerprint =
                parse_line(line).map_err(|reason| format!("line {}: {reason}", index + 1))?;
            list.fingerprints.extend(fingerprint);
        }
        Ok(list)
    }
}

/// A key, a fingerprint with or without a comment behind it, or nothing.
fn parse_line(line: &[u8]) -> Result<Option<Fingerprint>, String> {
    let trimmed = line.trim_ascii();
    if trimmed.starts_with(b"SHA256:") {
        let word = trimmed
            .split(u8::is_ascii_whitespace)
            .next()
            .unwrap_or_default();
        let text = String::from_utf8_lossy(word);
        return text
            .parse()
            .map(Some)
            .map_err(|_| format!("\"{text}\" is not a fingerprint"));
    }
    Ok(Entry::parse(line)?.map(|entry| entry.key.fingerprint(HashAlg::Sha256)))
}
