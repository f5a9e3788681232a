//! Who may log in, and who we are.
//!
//! [`Keys`] follows the sources and publishes [`KeySet`]s, immutable snapshots; the server asks one
//! snapshot about one [`Offer`] and keeps the [`Identity`] of its [`Grant`], to ask later snapshots
//! whether the connection may live on. [`HostKeys`] is our own identity.
//!
//! Nothing here knows the SSH protocol: signatures are verified by the caller, whose part is to pass
//! on the algorithm and a FIDO signature's flags. Decisions are pure; only the loading touches files.

mod addresses;
mod certificate;
mod entry;
mod entry_options;
mod error;
mod file;
mod grant;
mod host_keys;
mod key_set;
mod key_type;
mod krl;
mod line;
mod mounts;
mod offer;
mod options;
mod repair;
mod revocation;
mod source;
mod timespec;
mod trust;
mod watch;

pub use error::{KeyError, KeyErrorKind};
pub use grant::{CertificateIdentity, Denied, Grant, Identity};
pub use host_keys::{HostKey, HostKeyError, HostKeyPlaces, HostKeys};
pub use key_set::{KeySet, Sources};
pub use offer::{Credential, Offer};
pub use options::{HostPort, Options, Permission};
pub use repair::{Repair, repair_modes};
pub use watch::Keys;
