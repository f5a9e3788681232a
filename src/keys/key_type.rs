//! Which keys and signatures are accepted: ed25519, ECDSA, RSA of 2048 bits and up with SHA-2, and
//! the two FIDO types. DSA and SHA-1 are not.

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg};

/// As NIST SP 800-131A has it since 2014; sshd still takes 1024.
const MIN_RSA_BITS: usize = 2048;
/// What the RSA library verifies at most; a longer key would be listed and never work.
const MAX_RSA_BITS: usize = 8192;

const ACCEPTED: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Key types that sshd knows, or knew, and that are refused by name.
const REFUSED: [(&str, &str); 3] = [
    (
        "ssh-dss",
        "DSA keys are no longer secure; make an ed25519 key",
    ),
    (
        "ssh-ed448",
        "ed448 keys are not supported; make an ed25519 key",
    ),
    (
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "WebAuthn signatures are not supported; use sk-ecdsa-sha2-nistp256@openssh.com",
    ),
];

/// Whether `field` is a key type's name, accepted or not, so that the field is no option list.
pub(super) fn is_name(field: &[u8]) -> bool {
    let is = |name: &str| name.as_bytes() == field;
    ACCEPTED.iter().any(|name| is(name))
        || REFUSED.iter().any(|(name, _)| is(name))
        || field.ends_with(b"-cert-v01@openssh.com")
}

/// Refuse key types by name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err((*reason).to_owned());
    }
    if ACCEPTED.contains(&name) {
        return Ok(());
    }
    Err(format!(
        "{name} is a certificate; list its CA with cert-authority, or the plain key"
    ))
}

/// Refuse keys that are too weak or of a type we do not take.
pub(super) fn check_key(key: &KeyData) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Rsa(rsa) => match rsa.n().as_positive_bytes().map_or(0, significant_bits) {
            bits if bits < MIN_RSA_BITS => Err(format!(
                "an RSA key of {bits} bits is too short, {MIN_RSA_BITS} is the least"
            )),
            bits if bits > MAX_RSA_BITS => Err(format!(
                "an RSA key of {bits} bits is too long, {MAX_RSA_BITS} is the most"
            )),
            _ => Ok(()),
        },
        other => Err(format!("{} keys are not accepted", other.algorithm())),
    }
}

/// Refuse a signature algorithm that does not fit `key`, and SHA-1. Takes the name from the
/// request, which for a certificate may be the certificate's.
pub(super) fn check_signature(key: &KeyData, algorithm: &str) -> Result<(), String> {
    let plain = algorithm
        .strip_suffix("-cert-v01@openssh.com")
        .unwrap_or(algorithm);
    let fits = match key.algorithm() {
        Algorithm::Rsa { .. } => matches!(plain, "rsa-sha2-256" | "rsa-sha2-512"),
        Algorithm::SkEd25519 => matches!(plain, "sk-ssh-ed25519" | "sk-ssh-ed25519@openssh.com"),
        Algorithm::SkEcdsaSha2NistP256 => {
            matches!(
                plain,
                "sk-ecdsa-sha2-nistp256" | "sk-ecdsa-sha2-nistp256@openssh.com"
            )
        }
        other => other.as_str() == plain,
    };
    match (fits, plain) {
        (true, _) => Ok(()),
        (false, "ssh-rsa") => Err("SHA-1 signatures (ssh-rsa) are not accepted".to_owned()),
        (false, _) => Err(format!(
            "signature algorithm {algorithm} does not fit the key"
        )),
    }
}

/// Refuse a CA's signature with SHA-1, and CA keys we would not take from a user.
pub(super) fn check_ca(key: &KeyData, signature: &Algorithm) -> Result<(), String> {
    check_key(key)?;
    match signature {
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256 | HashAlg::Sha512),
        } if key.is_rsa() => Ok(()),
        Algorithm::Rsa { .. } => {
            Err("the CA signed with SHA-1 (ssh-rsa); sign with -t rsa-sha2-512".to_owned())
        }
        other if *other == key.algorithm() => Ok(()),
        other => Err(format!(
            "the CA's signature algorithm {other} does not fit its key"
        )),
    }
}

/// Whether a FIDO authenticator holds `key`.
pub(super) fn is_hardware(key: &KeyData) -> bool {
    key.is_sk_ed25519() || key.is_sk_ecdsa_p256()
}

fn significant_bits(number: &[u8]) -> usize {
    let leading = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading.min(number.len() * 8)
}
