//! Telling clients all our host keys, and proving that we hold them (OpenSSH's PROTOCOL section 2.5):
//! `hostkeys-00@openssh.com` and `hostkeys-prove-00@openssh.com`. That is how a key is rotated
//! without anybody being asked.

use russh::keys::signature::Signer;
use russh::keys::{PrivateKey, PublicKey};

/// The announcement, sent once a client has logged in.
pub(super) const ANNOUNCE: &str = "hostkeys-00@openssh.com";
/// The client's challenge for the keys it has not seen.
pub(super) const PROVE: &str = "hostkeys-prove-00@openssh.com";

/// The body of the announcement: every public key.
pub(super) fn announcement(keys: &[PrivateKey]) -> Vec<u8> {
    let blobs = keys
        .iter()
        .filter_map(|key| key.public_key().to_bytes().ok());
    blobs.fold(Vec::new(), |mut body, blob| {
        put(&mut body, &blob);
        body
    })
}

/// The answer to a challenge: a signature by each key asked for, or `None` if one is not ours.
pub(super) fn prove(keys: &[PrivateKey], session: &[u8], mut asked: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    while !asked.is_empty() {
        let blob = take(&mut asked)?;
        let wanted = PublicKey::from_bytes(blob).ok()?;
        let key = keys
            .iter()
            .find(|key| key.public_key().key_data() == wanted.key_data())?;
        let mut message = Vec::new();
        put(&mut message, PROVE.as_bytes());
        put(&mut message, session);
        put(&mut message, blob);
        let signature = key.try_sign(&message).ok()?;
        let mut encoded = Vec::new();
        put(&mut encoded, signature.algorithm().as_str().as_bytes());
        put(&mut encoded, signature.as_bytes());
        put(&mut answer, &encoded);
    }
    (!answer.is_empty()).then_some(answer)
}

/// A string of RFC 4251 section 5.
fn put(body: &mut Vec<u8>, string: &[u8]) {
    body.extend_from_slice(&(string.len() as u32).to_be_bytes());
    body.extend_from_slice(string);
}

fn take<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (string, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *body = rest;
    Some(string)
}

#[cfg(test)]
mod tests {
    use russh::keys::Algorithm;
    use russh::keys::signature::Verifier;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    #[test]
    fn the_proof_of_a_key_verifies_with_that_key() {
        let keys = [key(), key()];
        let answer = prove(&keys, b"session", &announcement(&keys)).unwrap();
        let mut rest = answer.as_slice();
        for key in &keys {
            let signature = take(&mut rest).unwrap();
            let mut message = Vec::new();
            for part in [
                PROVE.as_bytes(),
                b"session",
                &key.public_key().to_bytes().unwrap(),
            ] {
                put(&mut message, part);
            }
            let signature = signature.try_into().unwrap();
            key.public_key()
                .key_data()
                .verify(&message, &signature)
                .unwrap();
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_key_that_is_not_ours_and_a_broken_challenge_are_not_answered() {
        let (ours, other) = ([key()], [key()]);
        assert_eq!(prove(&ours, b"session", &announcement(&other)), None);
        assert_eq!(prove(&ours, b"session", &[0, 0, 0, 9, 1]), None);
        assert_eq!(prove(&ours, b"session", &[]), None);
    }
}
