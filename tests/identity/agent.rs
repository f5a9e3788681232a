//! A FIDO authenticator behind the agent protocol, so that a stock ssh can log in with it: signs what
//! OpenSSH's PROTOCOL.u2f says, with whatever flags the test asks for.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use russh::keys::signature::Signer;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair};
use ssh_key::public::{Ed25519PublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::sha2::{Digest, Sha256};

use ssh_key::{EcdsaCurve, PrivateKey, PublicKey, Signature};

/// Somebody touched it …
pub(crate) const TOUCHED: u8 = 0x01;
/// … and proved by PIN or finger to be its owner.
pub(crate) const VERIFIED: u8 = 0x04;

const APPLICATION: &str = "ssh:";
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN: u8 = 13;
const SIGNATURE: u8 = 14;

/// The two key types authenticators have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Ed25519,
    Ecdsa,
}

/// An authenticator that is plugged in for as long as the test runs.
pub(crate) struct Authenticator {
    pub(crate) public: PublicKey,
    pub(crate) socket: PathBuf,
    flags: Arc<AtomicU8>,
}

impl Authenticator {
    /// Writes `directory/NAME.pub` and listens at `directory/NAME.agent`.
    pub(crate) fn plug_in(directory: &Path, name: &str, kind: Kind) -> Self {
        let (private, public) = pair(kind);
        let mut public = PublicKey::from(public);
        public.set_comment(name);
        std::fs::write(
            directory.join(name).with_extension("pub"),
            public.to_openssh().unwrap() + "\n",
        )
        .unwrap();
        let socket = directory.join(name).with_extension("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let flags = Arc::new(AtomicU8::new(0));
        let (blob, seen) = (public.to_bytes().unwrap(), Arc::clone(&flags));
        let certificate = directory.join(format!("{name}-cert.pub"));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let certificate = std::fs::read_to_string(&certificate).ok();
                let certificate = certificate.map(|text| {
                    ssh_key::Certificate::from_openssh(&text)
                        .unwrap()
                        .to_bytes()
                        .unwrap()
                });
                let blobs: Vec<_> = certificate.into_iter().chain([blob.clone()]).collect();
                serve(stream, &blobs, &private, kind, &seen);
            }
        });
        Self {
            public,
            socket,
            flags,
        }
    }

    /// What signatures claim from now on.
    pub(crate) fn claims(&self, flags: u8) {
        self.flags.store(flags, Ordering::SeqCst);
    }
}

fn pair(kind: Kind) -> (PrivateKey, KeyData) {
    match kind {
        Kind::Ed25519 => {
            let pair = Ed25519Keypair::random(&mut rand::rng());
            let public = SkEd25519::new(Ed25519PublicKey(pair.public.0), APPLICATION);
            (pair.into(), KeyData::SkEd25519(public))
        }
        Kind::Ecdsa => {
            let pair = EcdsaKeypair::random(&mut rand::rng(), EcdsaCurve::NistP256).unwrap();
            let EcdsaKeypair::NistP256 { public, .. } = &pair else {
                panic!("asked for P-256")
            };
            let public = SkEcdsaSha2NistP256::new(*public, APPLICATION);
            (pair.into(), KeyData::SkEcdsaSha2NistP256(public))
        }
    }
}

/// One client of the agent, until it hangs up (draft-miller-ssh-agent).
fn serve(
    mut stream: UnixStream,
    blobs: &[Vec<u8>],
    private: &PrivateKey,
    kind: Kind,
    flags: &AtomicU8,
) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        let mut answer = Vec::new();
        match request[0] {
            REQUEST_IDENTITIES => {
                answer.push(IDENTITIES);
                answer.extend((blobs.len() as u32).to_be_bytes());
                for blob in blobs {
                    put(&mut answer, blob);
                    put(&mut answer, b"authenticator");
                }
            }
            SIGN => {
                let mut rest = &request[1..];
                let _key = take(&mut rest);
                answer.push(SIGNATURE);
                put(
                    &mut answer,
                    &sign(private, kind, take(&mut rest), flags.load(Ordering::SeqCst)),
                );
            }
            _ => answer.push(5), // failure
        }
        let mut framed = Vec::new();
        put(&mut framed, &answer);
        stream.write_all(&framed).unwrap();
    }
}

fn sign(private: &PrivateKey, kind: Kind, message: &[u8], flags: u8) -> Vec<u8> {
    let trailer = [flags, 0, 0, 0, 42];
    let mut challenge = Sha256::digest(APPLICATION).to_vec();
    challenge.extend(trailer);
    challenge.extend(Sha256::digest(message));
    let signature: Signature = private.try_sign(&challenge).unwrap();
    let name = match kind {
        Kind::Ed25519 => "sk-ssh-ed25519@openssh.com",
        Kind::Ecdsa => "sk-ecdsa-sha2-nistp256@openssh.com",
    };
    let mut encoded = Vec::new();
    put(&mut encoded, name.as_bytes());
    put(&mut encoded, signature.as_bytes());
    encoded.extend(trailer);
    encoded
}

fn put(to: &mut Vec<u8>, string: &[u8]) {
    to.extend((string.len() as u32).to_be_bytes());
    to.extend(string);
}

fn take<'a>(from: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = from.split_first_chunk::<4>().unwrap();
    let (string, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
    *from = rest;
    string
}
