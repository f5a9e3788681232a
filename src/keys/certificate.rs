//! User certificates (OpenSSH's PROTOCOL.certkeys): is this one good for this login, and what does
//! it allow? The caller has found its CA among the trusted ones and asked the revocation list.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ssh_key::Certificate;

use super::addresses::Addresses;
use super::grant::Denied;
use super::key_type;
use super::offer::Offer;
use super::options::{Options, Permission, Permissions};

/// What a certificate allows; absent extensions are denied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) options: Options,
    pub(super) touch_required: bool,
    pub(super) verify_required: bool,
}

/// Judge `certificate` for `offer`; it must name one of `principals`, or without such a list the
/// user. A certificate without principals is good for nobody: sshd once read it as "anybody".
pub(super) fn judge(
    certificate: &Certificate,
    principals: Option<&[String]>,
    offer: &Offer<'_>,
) -> Result<Terms, Denied> {
    let refuse = |reason: String| Denied::Certificate(reason);
    if !certificate.cert_type().is_user() {
        return Err(refuse("this is a host certificate".to_owned()));
    }
    key_type::check_ca(
        certificate.signature_key(),
        &certificate.signature().algorithm(),
    )
    .map_err(Denied::Algorithm)?;
    // The SSH library has done this before it calls us; the cost is one verification a login.
    certificate
        .verify_signature()
        .map_err(|_| refuse("the CA's signature does not verify".to_owned()))?;
    check_window(certificate, offer.now)?;
    let named = |name: &String| match principals {
        Some(list) => list.contains(name),
        None => name == offer.user,
    };
    if !certificate.valid_principals().iter().any(named) {
        let principals = certificate.valid_principals().join(", ");
        return Err(refuse(format!(
            "the certificate is for \"{principals}\", none of which may log in"
        )));
    }
    terms(certificate, offer.peer)
}

fn check_window(certificate: &Certificate, now: SystemTime) -> Result<(), Denied> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now < certificate.valid_after() {
        return Err(Denied::Time("the certificate is not yet valid".to_owned()));
    }
    if now >= certificate.valid_before() {
        return Err(Denied::Time("the certificate has expired".to_owned()));
    }
    Ok(())
}

fn terms(certificate: &Certificate, peer: IpAddr) -> Result<Terms, Denied> {
    let mut terms = Terms {
        options: Options {
            permissions: Permissions::NONE,
            ..Options::unrestricted()
        },
        touch_required: true,
        verify_required: false,
    };
    terms.options.expires = expiry(certificate.valid_before());
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "force-command" => terms.options.command = Some(OsString::from(value)),
            "source-address" => check_address(value, peer)?,
            "verify-required" => terms.verify_required = true,
            _ => {
                let reason = format!("the certificate has an unknown critical option \"{name}\"");
                return Err(Denied::Certificate(reason));
            }
        }
    }
    for (name, _) in certificate.extensions().iter() {
        terms.extend(name);
    }
    Ok(terms)
}

impl Terms {
    /// Unlike critical options, unknown extensions are to be ignored.
    fn extend(&mut self, extension: &str) {
        let permission = match extension {
            "permit-pty" => Permission::Pty,
            "permit-port-forwarding" => Permission::PortForwarding,
            "permit-agent-forwarding" => Permission::AgentForwarding,
            "permit-X11-forwarding" => Permission::X11Forwarding,
            "permit-user-rc" => Permission::UserRc,
            "no-touch-required" => {
                self.touch_required = false;
                return;
            }
            _ => return,
        };
        self.options.permissions.set(permission, true);
    }
}

fn check_address(list: &str, peer: IpAddr) -> Result<(), Denied> {
    let addresses = Addresses::parse_cidrs(list)
        .map_err(|reason| Denied::Certificate(format!("source-address: {reason}")))?;
    if addresses.allow(peer) {
        return Ok(());
    }
    Err(Denied::Address(format!(
        "the certificate is good from {list}, not from {peer}"
    )))
}

/// `None` for "for ever" (all ones) and for times no clock reaches.
fn expiry(valid_before: u64) -> Option<SystemTime> {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(valid_before))
        .filter(|_| valid_before < 1 << 40)
}
