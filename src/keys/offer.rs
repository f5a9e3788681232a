//! A login attempt as the server knows it once the client has proved that it holds the key.

use std::net::IpAddr;
use std::time::SystemTime;

use ssh_key::public::KeyData;
use ssh_key::{Certificate, PublicKey};

/// What the client showed.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A bare public key.
    Key(&'a PublicKey),
    /// A key with a CA's word about its holder.
    Certificate(&'a Certificate),
}

impl<'a> Credential<'a> {
    /// The key that signed the request.
    pub(super) fn key(self) -> &'a KeyData {
        match self {
            Self::Key(key) => key.key_data(),
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }

    pub(super) fn certificate(self) -> Option<&'a Certificate> {
        match self {
            Self::Key(_) => None,
            Self::Certificate(certificate) => Some(certificate),
        }
    }
}

/// A login attempt whose signature has been verified.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The key or certificate.
    pub credential: Credential<'a>,
    /// The signature algorithm of the request: `rsa-sha2-512`, `ssh-ed25519`, …
    pub algorithm: &'a str,
    /// FIDO keys: the signature's flags byte. `None` for such a key means "not known", and refuses.
    pub sk_flags: Option<u8>,
    /// The client's address (from the PROXY header, when a trusted proxy sent one).
    pub peer: IpAddr,
    /// The user name in the request: the principal a certificate must name.
    pub user: &'a str,
    /// The time to judge by.
    pub now: SystemTime,
}

/// An [`Offer`] that was accepted, kept to ask again when the key set changes.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    credential: Held,
    algorithm: String,
    sk_flags: Option<u8>,
    peer: IpAddr,
    user: String,
}

#[derive(Clone, Debug)]
enum Held {
    Key(Box<PublicKey>),
    Certificate(Box<Certificate>),
}

impl Accepted {
    pub(super) fn new(offer: &Offer<'_>) -> Self {
        let credential = match offer.credential {
            Credential::Key(key) => Held::Key(Box::new(key.clone())),
            Credential::Certificate(certificate) => {
                Held::Certificate(Box::new(certificate.clone()))
            }
        };
        Self {
            credential,
            algorithm: offer.algorithm.to_owned(),
            sk_flags: offer.sk_flags,
            peer: offer.peer,
            user: offer.user.to_owned(),
        }
    }

    pub(super) fn offer(&self, now: SystemTime) -> Offer<'_> {
        let credential = match &self.credential {
            Held::Key(key) => Credential::Key(key),
            Held::Certificate(certificate) => Credential::Certificate(certificate),
        };
        Offer {
            credential,
            algorithm: &self.algorithm,
            sk_flags: self.sk_flags,
            peer: self.peer,
            user: &self.user,
            now,
        }
    }
}
