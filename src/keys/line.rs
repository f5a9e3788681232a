//! A key line with its place, and the decision whether it admits an offer.

use std::path::PathBuf;
use std::time::SystemTime;

use ssh_key::HashAlg;
use ssh_key::public::KeyData;

use super::certificate;
use super::entry::Entry;
use super::entry_options::has_expired;
use super::grant::{CertificateIdentity, Denied, Grant, Identity};
use super::key_type;
use super::offer::{Accepted, Credential, Offer};
use super::options::Options;
use super::source::Text;

/// FIDO signature flags (OpenSSH's PROTOCOL.u2f): somebody touched the authenticator …
const USER_PRESENT: u8 = 0x01;
/// … and it checked who.
const USER_VERIFIED: u8 = 0x04;

/// A key or CA that may log somebody in, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    path: PathBuf,
    label: String,
    number: usize,
    entry: Entry,
}

/// A line said yes; the signature must still be strong enough.
pub(super) struct Admission {
    options: Options,
    touch_required: bool,
    verify_required: bool,
}

impl Line {
    pub(super) fn new(text: &Text, number: usize, entry: Entry) -> Self {
        Self {
            path: text.path.clone(),
            label: text.label.clone(),
            number,
            entry,
        }
    }

    /// A line of `--user-ca`: a CA whatever it says, whose certificates alone decide about touch.
    pub(super) fn into_authority(mut self, principals: &[String]) -> Self {
        let options = &mut self.entry.options;
        options.touch_required = false;
        options.cert_authority = true;
        if options.principals.is_none() && !principals.is_empty() {
            options.principals = Some(principals.to_vec());
        }
        self
    }

    pub(super) fn key(&self) -> &KeyData {
        self.entry.key.key_data()
    }

    pub(super) fn is_authority(&self) -> bool {
        self.entry.options.cert_authority
    }

    /// Whether this line, which names the offered key or its CA, lets the client in.
    pub(super) fn admit(&self, offer: &Offer<'_>) -> Result<Admission, Denied> {
        let options = &self.entry.options;
        if has_expired(options.granted.expires, offer.now) {
            return Err(Denied::Time(format!(
                "expiry-time is over at {}",
                self.place()
            )));
        }
        if options
            .from
            .as_ref()
            .is_some_and(|from| !from.allow(offer.peer))
        {
            let place = self.place();
            return Err(Denied::Address(format!(
                "from= at {place} does not list {}",
                offer.peer
            )));
        }
        let admission = Admission {
            options: options.granted.clone(),
            touch_required: options.touch_required,
            verify_required: options.verify_required,
        };
        match offer.credential {
            Credential::Key(_) => Ok(admission),
            Credential::Certificate(certificate) => {
                let principals = options.principals.as_deref();
                admission.merged(certificate::judge(certificate, principals, offer)?)
            }
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.number)
    }
}

impl Admission {
    /// The more restrictive of what line and certificate say.
    fn merged(self, terms: certificate::Terms) -> Result<Self, Denied> {
        let mut options = self.options;
        let theirs = terms.options;
        if options.command.is_some()
            && theirs.command.is_some()
            && options.command != theirs.command
        {
            let reason = "the forced commands of line and certificate differ";
            return Err(Denied::Certificate(reason.to_owned()));
        }
        options.command = options.command.or(theirs.command);
        options.permissions = options.permissions.and(theirs.permissions);
        options.expires = earliest(options.expires, theirs.expires);
        Ok(Self {
            options,
            touch_required: self.touch_required || terms.touch_required,
            verify_required: self.verify_required || terms.verify_required,
        })
    }

    /// Check the signature's flags and make the grant.
    pub(super) fn grant(self, line: &Line, offer: &Offer<'_>) -> Result<Grant, Denied> {
        self.check_flags(offer)?;
        let sha256 = |key: &KeyData| key.fingerprint(HashAlg::Sha256).to_string();
        let certificate = offer.credential.certificate();
        let identity = Identity {
            fingerprint: sha256(offer.credential.key()),
            label: line.label.clone(),
            path: line.path.clone(),
            line: line.number,
            certificate: certificate.map(|certificate| CertificateIdentity {
                key_id: certificate.key_id().to_owned(),
                serial: certificate.serial(),
                ca_fingerprint: sha256(certificate.signature_key()),
            }),
            accepted: Accepted::new(offer),
        };
        let options = self.options;
        Ok(Grant { identity, options })
    }

    fn check_flags(&self, offer: &Offer<'_>) -> Result<(), Denied> {
        let refuse = |reason: &str| Err(Denied::Presence(reason.to_owned()));
        if !key_type::is_hardware(offer.credential.key()) {
            if self.verify_required {
                return refuse("verification is asked for, which only FIDO keys can give");
            }
            return Ok(());
        }
        let flags = offer.sk_flags.unwrap_or(0);
        if self.touch_required && flags & USER_PRESENT == 0 {
            return refuse("nobody touched the authenticator");
        }
        if self.verify_required && flags & USER_VERIFIED == 0 {
            return refuse("the authenticator verified nobody");
        }
        Ok(())
    }
}

fn earliest(one: Option<SystemTime>, other: Option<SystemTime>) -> Option<SystemTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
