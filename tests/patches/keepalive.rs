//! P7: keepalives wait for authentication.

use std::time::Duration;

use russh::kex;
use russh::server::Config;
use tokio::time::{Instant, timeout};

use crate::harness::{
    GLOBAL_REQUEST, Packet, Peer, Reporter, USERAUTH_REQUEST, USERAUTH_SUCCESS, config, soon,
};

const INTERVAL: Duration = Duration::from_secs(2);

fn with_keepalive() -> Config {
    Config {
        keepalive_interval: Some(INTERVAL),
        keepalive_max: 2,
        ..config(kex::NONE)
    }
}

#[tokio::test(start_paused = true)]
async fn no_keepalive_is_sent_before_authentication() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::connect(with_keepalive(), reporter).await;
    peer.request_userauth().await;
    assert!(
        timeout(INTERVAL * 5, peer.receive()).await.is_err(),
        "the server said something"
    );

    peer.send(
        Packet::new(USERAUTH_REQUEST)
            .string("user")
            .string("ssh-connection")
            .string("none"),
    )
    .await;
    peer.expect(USERAUTH_SUCCESS).await;
    let start = Instant::now();
    let mut keepalive = peer.expect(GLOBAL_REQUEST).await;
    assert_eq!(keepalive.string(), b"keepalive@openssh.com");
    assert!(start.elapsed() <= INTERVAL + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_is_sent_one_interval_after_the_last_packet_received() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(with_keepalive(), reporter).await;
    for _ in 0..5 {
        assert!(
            timeout(INTERVAL * 3 / 4, peer.receive()).await.is_err(),
            "too early"
        );
        peer.expect_silence().await;
    }
    let start = Instant::now();
    peer.expect(GLOBAL_REQUEST).await;
    let waited = start.elapsed();
    assert!(
        waited > INTERVAL * 9 / 10 && waited < INTERVAL * 11 / 10,
        "{waited:?}"
    );

    // Nobody answers: the connection ends, without a word.
    peer.expect(GLOBAL_REQUEST).await;
    assert!(matches!(
        soon(session).await,
        Err(russh::Error::KeepaliveTimeout)
    ));
}
