//! P8: the handler sees whether a security key's user was present.

use russh::kex;
use russh::keys::signature::Signer;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::{EcdsaKeypair, Ed25519Keypair};
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use russh::keys::ssh_key::sha2::{Digest, Sha256};
use russh::keys::ssh_key::{EcdsaCurve, Signature};
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, Handler, VerifiedCertificate, VerifiedPublicKey};
use ssh_key::encoding::Encode;
use tokio::sync::mpsc;

use crate::harness::{Packet, Peer, USERAUTH_FAILURE, USERAUTH_REQUEST, USERAUTH_SUCCESS, config};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;

/// Accepts present users, and reports the flags it saw.
struct Presence(mpsc::UnboundedSender<(&'static str, Option<u8>)>);

impl Presence {
    fn judge(&self, kind: &'static str, flags: Option<u8>) -> Auth {
        self.0.send((kind, flags)).unwrap();
        if flags.is_none_or(|flags| flags & PRESENT != 0) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

impl Handler for Presence {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        assert_eq!(key.signature.algorithm(), *key.algorithm);
        Ok(self.judge("key", key.sk_flags()))
    }

    async fn auth_verified_certificate(
        &mut self,
        _: &str,
        certificate: VerifiedCertificate<'_>,
    ) -> Result<Auth, Self::Error> {
        assert_eq!(certificate.certificate.key_id(), "a security key");
        assert_eq!(certificate.signature.algorithm(), *certificate.algorithm);
        Ok(self.judge("certificate", certificate.sk_flags()))
    }
}

/// What a security key would sign for this message.
fn challenge(message: &[u8], flags: u8) -> (Vec<u8>, [u8; 5]) {
    let trailer = [flags, 0, 0, 0, 42];
    let mut signed = Sha256::digest("ssh:").to_vec();
    signed.extend(trailer);
    signed.extend(Sha256::digest(message));
    (signed, trailer)
}

fn sign(
    algorithm: Algorithm,
    signer: &impl Signer<Signature>,
    message: &[u8],
    flags: u8,
) -> Signature {
    let (challenge, trailer) = challenge(message, flags);
    let mut bytes = signer.sign(&challenge).as_bytes().to_vec();
    bytes.extend(trailer);
    Signature::new(algorithm, bytes).unwrap()
}

/// Log in with this key and signature; returns the kind of answer and what the handler saw.
async fn log_in(
    name: &str,
    key: &[u8],
    sign: impl FnOnce(&[u8]) -> Signature,
) -> (bool, Option<(&'static str, Option<u8>)>) {
    let (verdicts, mut verdict) = mpsc::unbounded_channel();
    let (mut peer, _session) = Peer::connect(config(kex::NONE), Presence(verdicts)).await;
    peer.request_userauth().await;
    let request = Packet::new(USERAUTH_REQUEST)
        .string("user")
        .string("ssh-connection")
        .string("publickey")
        .byte(1)
        .string(name)
        .string(key);
    // The session identifier of `kex::NONE` is empty.
    let mut message = vec![0; 4];
    message.extend_from_slice(&request.0);
    let signature = sign(&message).encode_vec().unwrap();
    peer.send(request.string(signature)).await;
    let success = match peer.receive().await.unwrap().byte() {
        USERAUTH_SUCCESS => true,
        USERAUTH_FAILURE => false,
        other => panic!("expected an answer to the login, found {other}"),
    };
    (success, verdict.try_recv().ok())
}

fn ed25519() -> (Ed25519Keypair, KeyData) {
    let pair = Ed25519Keypair::random(&mut rand::rng());
    let public = SkEd25519::new(Ed25519PublicKey(pair.public.0), "ssh:");
    (pair, KeyData::SkEd25519(public))
}

#[tokio::test(start_paused = true)]
async fn the_handler_can_refuse_an_ed25519_security_key_nobody_touched() {
    let (pair, public) = ed25519();
    let key = public.encode_vec().unwrap();
    for (flags, accepted) in [
        (PRESENT, true),
        (PRESENT | VERIFIED, true),
        (VERIFIED, false),
        (0, false),
    ] {
        let sign = |message: &[u8]| sign(Algorithm::SkEd25519, &pair, message, flags);
        let answer = log_in("sk-ssh-ed25519@openssh.com", &key, sign).await;
        assert_eq!(answer, (accepted, Some(("key", Some(flags)))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_can_refuse_an_ecdsa_security_key_nobody_touched() {
    let pair = EcdsaKeypair::random(&mut rand::rng(), EcdsaCurve::NistP256).unwrap();
    let EcdsaKeypair::NistP256 { public, .. } = &pair else {
        unreachable!()
    };
    let key = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*public, "ssh:"));
    let (pair, key) = (PrivateKey::from(pair), key.encode_vec().unwrap());
    for (flags, accepted) in [(PRESENT, true), (0, false)] {
        let sign = |message: &[u8]| sign(Algorithm::SkEcdsaSha2NistP256, &pair, message, flags);
        let answer = log_in("sk-ecdsa-sha2-nistp256@openssh.com", &key, sign).await;
        assert_eq!(answer, (accepted, Some(("key", Some(flags)))));
    }
}

#[tokio::test(start_paused = true)]
async fn flags_that_were_not_signed_are_refused_before_the_handler() {
    let (pair, public) = ed25519();
    let key = public.encode_vec().unwrap();
    let sign = |message: &[u8]| {
        let honest = sign(Algorithm::SkEd25519, &pair, message, 0);
        let mut bytes = honest.as_bytes().to_vec();
        bytes[64] = PRESENT;
        Signature::new(Algorithm::SkEd25519, bytes).unwrap()
    };
    assert_eq!(
        log_in("sk-ssh-ed25519@openssh.com", &key, sign).await,
        (false, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_a_security_key_shows_the_handler_its_flags() {
    let authority = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let (pair, public) = ed25519();
    let mut builder =
        Builder::new_with_random_nonce(&mut rand::rng(), public, 0, u64::MAX).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.key_id("a security key").unwrap();
    builder.valid_principal("user").unwrap();
    let certificate = builder.sign(&authority).unwrap().to_bytes().unwrap();
    for (flags, accepted) in [(PRESENT, true), (0, false)] {
        let sign = |message: &[u8]| sign(Algorithm::SkEd25519, &pair, message, flags);
        let answer = log_in("sk-ssh-ed25519-cert-v01@openssh.com", &certificate, sign).await;
        assert_eq!(answer, (accepted, Some(("certificate", Some(flags)))));
    }
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_key_has_no_flags() {
    let pair = Ed25519Keypair::random(&mut rand::rng());
    let key = KeyData::Ed25519(Ed25519PublicKey(pair.public.0))
        .encode_vec()
        .unwrap();
    let answer = log_in("ssh-ed25519", &key, |message| pair.sign(message)).await;
    assert_eq!(answer, (true, Some(("key", None))));
}
