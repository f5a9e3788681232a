//! What somebody who has not logged in may make the server do: little.

use russh::kex;

use crate::harness::{KEXINIT, Packet, Peer, Reporter, config};

const IGNORE: u8 = 2;
/// The longest packet before authentication, as its length field says it; cut to whole blocks, 34,996.
const LONGEST: usize = 35_000;
const IN_BLOCKS: usize = 34_996;

/// An IGNORE in a packet whose length field says `length`: one of padding's length, 12 of padding, the
/// message's number and the length of its string come on top of the string.
fn ignored(length: usize) -> Packet {
    Packet::new(IGNORE).string(vec![0; length - 1 - 12 - 5])
}

#[tokio::test(start_paused = true)]
async fn a_packet_longer_than_35000_bytes_is_refused_before_authentication() {
    for length in [LONGEST as u32 + 1, 262_144] {
        // The header alone: nobody is to wait for the rest of it.
        let start = [&length.to_be_bytes()[..], &[0; 4]].concat();
        let (reporter, _events) = Reporter::new();
        let (mut peer, _session) = Peer::greet(config(kex::NONE), reporter).await;
        peer.send_bytes(&start).await;
        peer.expect_end().await;
        let (reporter, _events) = Reporter::new();
        let (mut peer, _session) = Peer::connect(config(kex::NONE), reporter).await;
        peer.send_bytes(&start).await;
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_nearly_35000_bytes_is_read_before_it_and_a_longer_one_afterwards() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::connect(config(kex::NONE), reporter).await;
    peer.send(ignored(IN_BLOCKS)).await;
    peer.request_userauth().await;
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    peer.send(ignored(100_004)).await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_exchanged_once_before_authentication_and_again_after_it() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::connect(config(kex::CURVE25519), reporter).await;
    let kexinit = peer.kexinit();
    peer.send(kexinit).await;
    peer.expect_end().await;
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::CURVE25519), reporter).await;
    let kexinit = peer.kexinit();
    peer.send(kexinit).await;
    peer.expect(KEXINIT).await;
    peer.finish_kex().await;
    peer.expect_silence().await;
}
