//! Who may log in, and who we are.
//!
//! [`Keys`] follows the sources and publishes [`KeySet`]s, immutable snapshots. The server asks one
//! snapshot about one [`Offer`] and keeps the [`Grant`], to ask later snapshots whether the connection
//! may live on. [`HostKeys`] is our own identity.
//!
//! ```text
//! repair_modes(home, uid)                  once, before anything is read
//! HostKeys::load_or_generate(&places)      keys(), warnings(), known_hosts_lines(hosts)
//! let keys = Keys::start(sources);         spawn keys.follow(stop); keys.reload() on SIGHUP
//! set.is_candidate(key)                    at the probe; yes to any key once there is a CA
//! set.authorize(&offer)                    after the signature: Grant or Denied
//! set.still_allows(&grant, now)            at each new set, and at the time it answers
//! ```
//!
//! Nothing here knows the SSH protocol: signatures are verified by the caller, whose part is to
//! pass on the algorithm and a FIDO signature's flags. Decisions are pure; only the loading touches
//! files.
//!
//! Stricter than sshd on purpose: RSA below 2048 bits, SHA-1, certificates without principals,
//! `verify-required` on keys that are no FIDO keys, `tunnel=`, and a negated host name in `from=`.
//! `environment=` needs no switch.

mod addresses;
mod certificate;
mod check;
mod entry;
mod entry_options;
mod error;
mod feed;
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod grant;
mod host_keys;
mod key_set;
mod key_type;
mod krl;
mod line;
mod loading;
mod mounts;
mod offer;
mod options;
mod repair;
mod revocation;
mod source;
mod timespec;
mod trust;
mod watch;

pub use check::{count_entries, fingerprints};
pub use error::{KeyError, KeyErrorKind};
pub use feed::Feed;
pub use grant::{CertificateIdentity, Denied, Grant, Identity};
pub use host_keys::{
    HostKey, HostKeyError, HostKeyPlaces, HostKeys, fresh_host_keys, known_hosts_line_of,
};
pub use key_set::{KeySet, Sources};
pub(crate) use mounts::Mounts;
pub use offer::{Credential, Offer};
pub use options::{HostPort, Options, Permission};
pub use repair::{Repair, repair_modes};
pub use watch::Keys;
