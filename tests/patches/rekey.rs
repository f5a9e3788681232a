//! P6: data in flight when the server starts a key exchange.

use russh::server::Config;
use russh::{Limits, kex};

use crate::harness::{KEXINIT, Peer, Reporter, config};

#[tokio::test(start_paused = true)]
async fn full_windows_of_several_channels_may_be_in_flight_when_the_server_rekeys() {
    const WINDOW: u32 = 4096;
    let (reporter, _events) = Reporter::new();
    let config = Config {
        window_size: WINDOW,
        // Reached by the first window of data, and not before.
        limits: Limits {
            rekey_read_limit: WINDOW as usize,
            ..Limits::default()
        },
        ..config(kex::CURVE25519)
    };
    let (mut peer, _session) = Peer::log_in(config, reporter).await;
    let mut channels = Vec::new();
    for number in 0..6 {
        channels.push(peer.open_session(number, 0).await);
    }

    peer.data(channels[0], WINDOW as usize).await;
    peer.expect(KEXINIT).await;
    for channel in &channels[1..] {
        peer.data(*channel, WINDOW as usize).await;
    }
    let kexinit = peer.kexinit();
    peer.send(kexinit).await;
    peer.finish_kex().await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_in_place_of_a_key_exchange_ends_the_connection() {
    let (reporter, _events) = Reporter::new();
    let config = Config {
        window_size: 4096,
        limits: Limits {
            rekey_read_limit: 4096,
            ..Limits::default()
        },
        ..config(kex::CURVE25519)
    };
    let (mut peer, _session) = Peer::log_in(config, reporter).await;
    let channel = peer.open_session(1, 0).await;
    peer.data(channel, 4096).await;
    peer.expect(KEXINIT).await;
    for _ in 0..100 {
        peer.send(
            crate::harness::channel_request(channel, "env")
                .string("NAME")
                .string([b'x'; 100]),
        )
        .await;
    }
    peer.expect_end().await;
}
