//! Fuzzed: the one global request whose body we take apart ourselves.

use std::sync::LazyLock;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;

use super::identity::{announcement, prove};

static KEYS: LazyLock<[PrivateKey; 1]> =
    LazyLock::new(|| [PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))]);

/// `hostkeys-prove-00@openssh.com`: signs for our own keys and for nothing else.
pub(crate) fn hostkeys_prove(data: &[u8]) {
    let ours = announcement(&*KEYS);
    let answer = prove(&*KEYS, b"session", data);
    let only_ours = !data.is_empty()
        && data.len().is_multiple_of(ours.len())
        && data.chunks(ours.len()).all(|chunk| chunk == ours);
    assert_eq!(answer.is_some(), only_ours);
}
