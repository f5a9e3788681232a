//! A login whose signature names the server's host key (OpenSSH PROTOCOL section 3.1).

use russh::kex;
use russh::keys::signature::Signer;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};
use russh::server::{Auth, Handler, VerifiedPublicKey};
use ssh_key::encoding::Encode;

use crate::harness::{
    EXT_INFO, Packet, Peer, SERVICE_ACCEPT, SERVICE_REQUEST, USERAUTH_REQUEST, USERAUTH_SUCCESS,
    config,
};

const USERAUTH_FAILURE: u8 = 51;
const USERAUTH_PK_OK: u8 = 60;

struct AnyKey;

impl Handler for AnyKey {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }
}

/// The answer to a probe and to a signed request that are bound to `host_key`, of which `signed` is
/// what the signature covers.
async fn answers(host_key: &[u8], signed: &[u8]) -> (u8, u8) {
    // Without a key exchange there is no host key: the server's is the empty string.
    let (mut peer, _session) = Peer::connect(config(kex::NONE), AnyKey).await;
    peer.request_userauth().await;
    let pair = Ed25519Keypair::random(&mut rand::rng());
    let key = KeyData::Ed25519(Ed25519PublicKey(pair.public.0));
    let key = key.encode_vec().unwrap();
    let request = |has_signature, host_key: &[u8]| {
        Packet::new(USERAUTH_REQUEST)
            .string("user")
            .string("ssh-connection")
            .string("publickey-hostbound-v00@openssh.com")
            .byte(has_signature)
            .string("ssh-ed25519")
            .string(&key)
            .string(host_key)
    };
    peer.send(request(0, host_key)).await;
    let probe = peer.receive().await.unwrap().byte();
    let mut message = vec![0; 4];
    message.extend_from_slice(&request(1, signed).0);
    let signature = pair.sign(&message).encode_vec().unwrap();
    peer.send(request(1, host_key).string(signature)).await;
    (probe, peer.receive().await.unwrap().byte())
}

#[tokio::test(start_paused = true)]
async fn a_login_bound_to_this_servers_host_key_succeeds() {
    assert_eq!(answers(b"", b"").await, (USERAUTH_PK_OK, USERAUTH_SUCCESS));
}

#[tokio::test(start_paused = true)]
async fn a_login_bound_to_another_servers_host_key_fails() {
    let elsewhere = b"\0\0\0\x0bssh-ed25519";
    let refused = (USERAUTH_FAILURE, USERAUTH_FAILURE);
    assert_eq!(answers(elsewhere, elsewhere).await, refused);
}

#[tokio::test(start_paused = true)]
async fn the_signature_covers_the_host_key() {
    let refused = (USERAUTH_PK_OK, USERAUTH_FAILURE);
    assert_eq!(answers(b"", b"another").await, refused);
}

#[tokio::test(start_paused = true)]
async fn the_method_is_announced() {
    let (mut peer, _session) = Peer::connect(config(kex::NONE), AnyKey).await;
    peer.send(Packet::new(SERVICE_REQUEST).string("ssh-userauth"))
        .await;
    let mut info = peer.receive().await.unwrap();
    assert_eq!(info.byte(), EXT_INFO);
    let extensions: Vec<_> = (0..info.u32())
        .map(|_| (info.string(), info.string()))
        .collect();
    let method = (b"publickey-hostbound@openssh.com".to_vec(), b"0".to_vec());
    assert!(extensions.contains(&method), "{extensions:?}");
    peer.expect(SERVICE_ACCEPT).await;
}
