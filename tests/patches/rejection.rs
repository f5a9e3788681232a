//! A refused login is answered at its time, and no later.

use std::time::Duration;

use russh::kex;
use russh::server::{Config, Handler};
use tokio::time::Instant;

use crate::harness::{Packet, Peer, USERAUTH_FAILURE, USERAUTH_REQUEST, config};

/// Lets nobody in, as the library does by default.
struct Refuses;

impl Handler for Refuses {
    type Error = russh::Error;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_the_time_that_is_set_for_it_and_none_when_that_is_zero() {
    for delay in [Duration::ZERO, Duration::from_millis(50)] {
        let refusing = Config {
            auth_rejection_time: delay,
            ..config(kex::NONE)
        };
        let (mut peer, _session) = Peer::connect(refusing, Refuses).await;
        peer.request_userauth().await;
        // Between two ticks of the clock, as any real moment is.
        tokio::time::advance(Duration::from_micros(500)).await;
        let start = Instant::now();
        let none = Packet::new(USERAUTH_REQUEST).string("user");
        peer.send(none.string("ssh-connection").string("none"))
            .await;
        peer.expect(USERAUTH_FAILURE).await;
        let took = start.elapsed();
        assert!(
            took >= delay && took < delay + Duration::from_millis(3),
            "{took:?}"
        );
        assert!(!delay.is_zero() || took.is_zero(), "{took:?}");
    }
}
