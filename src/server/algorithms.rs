//! Which algorithms are offered, in our order, and the figures of the SSH library.
//!
//! Post-quantum key exchange first; never SHA-1, never CBC; what else is for older clients has to be
//! asked for by `--compat`. No finite-field groups otherwise: they cost a stranger little and us
//! much (DHEat, CVE-2002-20001). The client's order decides among what both have (RFC 4253 section 7.1).

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::Config;
use russh::{
    Limits as RekeyLimits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac,
};

use crate::config::{Compat, Limits};
use crate::keys::{HostKey, HostKeys};

/// What one channel may be sent before it is read: the bound of a channel's memory, and 40 MB/s at
/// a round trip of 50 ms. OpenSSH's own.
pub(super) const WINDOW: u32 = 2 * 1024 * 1024;
/// Data in one packet; OpenSSH's own is half of it.
const PACKET: u32 = 64 * 1024;
/// Messages of a connection's sessions waiting to be encrypted: few, so that a keystroke's echo
/// does not queue behind much of a bulk transfer.
const QUEUE: usize = 8;
/// Unanswered keepalives that end a connection.
const KEEPALIVES: usize = 3;
/// The library's watchdog; keepalives are answered long before.
const WATCHDOG: Duration = Duration::from_secs(15 * 60);
/// Each refused key costs an honest agent this long; there is nothing to guess.
const REJECTION: Duration = Duration::from_millis(5);

/// Who we are, never somebody else. What follows the version is for npm's ssh2, of which VS Code's agent
/// host and others are made: it asks for forwards of unix sockets only where the name is OpenSSH's or
/// holds two digits in a row.
const IDENTIFICATION: &str = concat!("SSH-2.0-podssh_", env!("CARGO_PKG_VERSION"), "_rfc4254");

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::SNTRUP761X25519_SHA512,
    kex::SNTRUP761X25519_SHA512_OPENSSH,
];
/// From `--compat=current` on.
const KEX_CURRENT: &[kex::Name] = &[kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
/// With `--compat=old`.
const KEX_OLD: &[kex::Name] = &[
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
];
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
/// With `--compat=old`: encrypt-and-MAC, for libssh2 before 1.11 (Debian 12's curl), which has no other
/// that sshd would take either.
const MACS_OLD: &[mac::Name] = &[mac::HMAC_SHA256, mac::HMAC_SHA512];
/// Never `zlib`: its decoder would run before login.
const COMPRESSIONS: &[compression::Name] = &[compression::NONE, compression::ZLIB_LEGACY];

/// Host key algorithms, and what `server-sig-algs` tells a client it may sign with; in OpenSSH's order.
fn signatures() -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        Algorithm::SkEd25519,
        Algorithm::SkEcdsaSha2NistP256,
        rsa(HashAlg::Sha512),
        rsa(HashAlg::Sha256),
    ]
}

fn key_exchanges(compat: Compat) -> Vec<kex::Name> {
    let current = KEX_CURRENT.iter().filter(|_| compat >= Compat::Current);
    let old = KEX_OLD.iter().filter(|_| compat >= Compat::Old);
    KEX.iter()
        .chain(current)
        .chain(old)
        .chain(EXTENSIONS)
        .copied()
        .collect()
}

fn macs(compat: Compat) -> Vec<mac::Name> {
    let old = MACS_OLD.iter().filter(|_| compat >= Compat::Old);
    MACS.iter().chain(old).copied().collect()
}

pub(super) fn config(host_keys: &HostKeys, limits: &Limits, compat: Compat) -> Config {
    // An ECDSA signature with a bad random number gives its key away. One that was mounted is served:
    // clients may know the host by it.
    let wanted = |key: &&HostKey| compat >= Compat::Old || !key.spare;
    let keys: Vec<_> = host_keys.keys().iter().filter(wanted).collect();
    Config {
        server_id: SshId::Standard(IDENTIFICATION.into()),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: limits.max_auth_tries,
        keys: keys.iter().map(|key| key.private.clone()).collect(),
        certificates: keys
            .iter()
            .filter_map(|key| key.certificate.clone())
            .collect(),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        manual_flow_control: true,
        event_buffer_size: QUEUE,
        limits: RekeyLimits {
            rekey_write_limit: limits.rekey.bytes,
            rekey_read_limit: limits.rekey.bytes,
            rekey_time_limit: limits.rekey.time,
        },
        inactivity_timeout: Some(WATCHDOG.max(limits.keepalive * (KEEPALIVES as u32 + 2))),
        keepalive_interval: Some(limits.keepalive),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        preferred: Preferred {
            kex: Cow::Owned(key_exchanges(compat)),
            key: Cow::Owned(signatures()),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Owned(macs(compat)),
            compression: Cow::Borrowed(COMPRESSIONS),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}
