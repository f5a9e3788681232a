//! The answer to a login attempt: who it is and what they may do, or why not.

use std::path::PathBuf;

use super::offer::Accepted;
use super::options::Options;

/// A login that is allowed. Kept by the connection, and asked about again when the key set changes
/// ([`KeySet::still_allows`](super::KeySet::still_allows)).
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who logged in, and by which line.
    pub identity: Identity,
    /// What they may do.
    pub options: Options,
}

/// Who logged in.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `SHA256:…` of the key, for a certificate of the key inside it.
    pub fingerprint: String,
    /// The name of the source: with a Secret one data key a person, so the person.
    pub label: String,
    /// The file with the key or CA …
    pub path: PathBuf,
    /// … and the line in it, counted from 1.
    pub line: usize,
    /// The certificate, when one was used.
    pub certificate: Option<CertificateIdentity>,
    pub(super) accepted: Accepted,
}

/// What identifies a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The text its CA put into it.
    pub key_id: String,
    /// Its number; 0 when the CA does not count.
    pub serial: u64,
    /// `SHA256:…` of the CA's key.
    pub ca_fingerprint: String,
}

/// Why a login is refused, for the log; the peer only ever hears a fixed phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No line names this key, or (a certificate) no source names its CA.
    #[error("no source lists this {}", if *.certificate { "certificate's authority" } else { "key" })]
    UnknownKey {
        /// Whether it came with a certificate.
        certificate: bool,
    },
    /// The key's type, size or signature algorithm.
    #[error("{0}")]
    Algorithm(String),
    /// The key, certificate or CA is on the revocation list.
    #[error("{0}")]
    Revoked(String),
    /// Nobody gets in while the list of revoked keys cannot be read.
    #[error("the list of revoked keys cannot be read, so every key is refused: {0}")]
    RevocationsUnreadable(String),
    /// The line's `expiry-time` or the certificate's window is over, or has not begun.
    #[error("{0}")]
    Time(String),
    /// `from=` or `source-address`.
    #[error("{0}")]
    Address(String),
    /// The certificate says something else that does not fit.
    #[error("{0}")]
    Certificate(String),
    /// A FIDO signature without the touch or the verification that is asked for.
    #[error("{0}")]
    Presence(String),
    /// A live connection may do something that its key no longer may.
    #[error("its line now allows less than when it logged in")]
    Narrowed,
}

impl Denied {
    /// The label used in metrics and structured logs.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "unknown-key",
            Self::Algorithm(_) => "algorithm",
            Self::Revoked(_) => "revoked",
            Self::RevocationsUnreadable(_) => "revocations-unreadable",
            Self::Time(_) => "time",
            Self::Address(_) => "address",
            Self::Certificate(_) => "certificate",
            Self::Presence(_) => "presence",
            Self::Narrowed => "narrowed",
        }
    }

    /// What to tell a client whose live connection ends for this reason.
    pub fn farewell(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "the key you logged in with has been removed",
            Self::Revoked(_) => "the key you logged in with has been revoked",
            Self::Time(_) => "the key you logged in with has expired",
            Self::Narrowed => {
                "the key you logged in with may do less than before; log in again to go on with that"
            }
            _ => "the key you logged in with is no longer allowed",
        }
    }
}
