//! sntrup761x25519-sha512: the library's client and server agree on keys, and what a hostile client
//! sends in place of its public key is an error and no more.

use std::borrow::Cow;

use rand::Rng;
use russh::server::Config;
use russh::{Preferred, kex};

use crate::harness::{KEX_ECDH_INIT, Packet, Peer, Reporter, config};
use crate::library_client::logged_in;

/// An sntrup761 public key and a point of Curve25519.
const INIT_BYTES: usize = 1158 + 32;

#[tokio::test]
async fn both_names_of_the_exchange_lead_to_a_login() {
    for name in [
        kex::SNTRUP761X25519_SHA512,
        kex::SNTRUP761X25519_SHA512_OPENSSH,
    ] {
        let preferred = Preferred {
            kex: Cow::Owned(vec![name]),
            ..Preferred::DEFAULT
        };
        let config = Config {
            preferred,
            ..config(name)
        };
        let (reporter, _events) = Reporter::new();
        logged_in(config, reporter, 1 << 16).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_bytes_in_place_of_the_public_key_do_more_than_end_the_connection() {
    let mut random = rand::rng();
    for length in [0, 1, 32, INIT_BYTES - 1, INIT_BYTES, INIT_BYTES + 1] {
        for round in 0..8_u8 {
            let mut init = vec![0; length];
            match round {
                0 => {}
                1 => init.fill(0xff),
                _ => random.fill_bytes(&mut init),
            }
            let (reporter, _events) = Reporter::new();
            let config = config(kex::SNTRUP761X25519_SHA512);
            let (mut peer, _session) = Peer::greet(config, reporter).await;
            peer.send(Packet::new(KEX_ECDH_INIT).string(&init)).await;
            // A key of the right length is answered, whatever it holds; then it is garbage's turn.
            peer.send(Packet::new(KEX_ECDH_INIT).string(&init)).await;
            peer.expect_end().await;
        }
    }
}
