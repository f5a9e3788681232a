//! P1: the application re-opens the windows, and nothing waits for an unread channel.

use russh::server::Config;
use russh::{ChannelMsg, kex};
use tokio::sync::mpsc;

use crate::harness::{
    CHANNEL_CLOSE, CHANNEL_EXTENDED_DATA, CHANNEL_SUCCESS, CHANNEL_WINDOW_ADJUST, Event, KEXINIT,
    Packet, Peer, Reporter, channel_request, config, opened, soon,
};
use crate::library_client::logged_in;

const WINDOW: u32 = 4096;

fn small_window(kex: kex::Name) -> Config {
    Config {
        window_size: WINDOW,
        ..config(kex)
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_stays_closed_until_the_application_credits_it() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(small_window(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    let channel = opened(&mut events).await;

    peer.data(number, WINDOW as usize).await;
    peer.expect_silence().await;
    assert!(
        matches!(events.recv().await, Some(Event::Data(None, data)) if data.len() == WINDOW as usize)
    );

    session.handle().credit(channel.id(), 1000).unwrap();
    session.handle().credit(channel.id(), 500).unwrap();
    let mut adjust = peer.expect(CHANNEL_WINDOW_ADJUST).await;
    assert_eq!(
        (adjust.u32(), adjust.u32()),
        (7, 1500),
        "both credits, in one message"
    );
    peer.data(number, 1500).await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn the_window_is_never_credited_beyond_its_configured_size() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(small_window(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    let channel = opened(&mut events).await;

    session.handle().credit(channel.id(), 1).unwrap();
    peer.expect_silence().await;
    peer.data(number, 100).await;
    peer.expect_silence().await;
    session.handle().credit(channel.id(), u32::MAX).unwrap();
    session.handle().credit(channel.id(), u32::MAX).unwrap();
    let mut adjust = peer.expect(CHANNEL_WINDOW_ADJUST).await;
    assert_eq!((adjust.u32(), adjust.u32()), (7, 100));
}

#[tokio::test(start_paused = true)]
async fn credit_for_a_closed_channel_is_ignored() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(small_window(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    let channel = opened(&mut events).await;

    peer.data(number, 100).await;
    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    peer.expect(CHANNEL_CLOSE).await;
    session.handle().credit(channel.id(), 100).unwrap();
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn data_beyond_the_window_ends_the_connection() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(small_window(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;

    peer.data(number, WINDOW as usize).await;
    peer.data(number, 1).await;
    peer.expect_end().await;
    assert!(soon(session).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn credit_given_during_a_key_exchange_is_sent_after_it() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(small_window(kex::CURVE25519), reporter).await;
    let number = peer.open_session(7, 0).await;
    let channel = opened(&mut events).await;
    peer.data(number, 100).await;
    soon(events.recv()).await;

    let kexinit = peer.kexinit();
    peer.send(kexinit).await;
    peer.expect(KEXINIT).await;
    session.handle().credit(channel.id(), 100).unwrap();
    peer.finish_kex().await;
    let mut adjust = peer.expect(CHANNEL_WINDOW_ADJUST).await;
    assert_eq!((adjust.u32(), adjust.u32()), (7, 100));
}

#[tokio::test(start_paused = true)]
async fn a_channel_nobody_reads_does_not_hold_up_another() {
    let (reporter, mut events) = Reporter::new();
    let config = Config {
        channel_buffer_size: 1,
        ..config(kex::NONE)
    };
    let (mut peer, _session) = Peer::log_in(config, reporter).await;
    let unread = peer.open_session(1, 0).await;
    let other = peer.open_session(2, 0).await;
    let _kept = (opened(&mut events).await, opened(&mut events).await);

    for _ in 0..4 {
        peer.data(unread, 10).await;
        peer.send(
            Packet::new(CHANNEL_EXTENDED_DATA)
                .u32(unread)
                .u32(1)
                .string("stderr"),
        )
        .await;
        peer.send(
            channel_request(unread, "env")
                .string("NAME")
                .string("value"),
        )
        .await;
        peer.expect(CHANNEL_SUCCESS).await;
    }
    peer.send(Packet::new(96).u32(unread)).await;
    peer.send(channel_request(other, "exec").string("true"))
        .await;
    let mut success = peer.expect(CHANNEL_SUCCESS).await;
    assert_eq!(success.u32(), 2);
    peer.send(Packet::new(CHANNEL_CLOSE).u32(unread)).await;
    peer.expect(CHANNEL_CLOSE).await;
}

/// `ssh host cat` with more on stdin than all queues hold together.
#[tokio::test]
async fn echoing_more_than_all_queues_hold_does_not_deadlock() {
    const TOTAL: usize = 24 << 20;
    let (reporter, mut events) = Reporter::new();
    let config = Config {
        preferred: russh::Preferred::DEFAULT,
        ..config(kex::NONE)
    };
    // Larger than the two windows: both sides of russh stop reading while they write.
    let (client, session) = logged_in(config, reporter, 1 << 23).await;
    let server = tokio::spawn(async move {
        let handle = session.handle();
        let (_read, write) = opened(&mut events).await.split();
        let (inbox, mut outbox) = mpsc::unbounded_channel();
        let echo = tokio::spawn(async move {
            while let Some(data) = outbox.recv().await {
                let data: bytes::Bytes = data;
                let len = data.len() as u32;
                write.data_bytes(data).await.unwrap();
                handle.credit(write.id(), len).unwrap();
            }
            write.close().await.unwrap();
        });
        loop {
            match events.recv().await {
                Some(Event::Data(_, data)) => inbox.send(data).unwrap(),
                Some(Event::Eof) => break,
                Some(_) => {}
                None => panic!("the session ended"),
            }
        }
        drop(inbox);
        echo.await.unwrap();
    });

    let test = async {
        let (mut read, write) = client.channel_open_session().await.unwrap().split();
        let sender = tokio::spawn(async move {
            let chunk = bytes::Bytes::from(vec![b'x'; 1 << 16]);
            for _ in 0..TOTAL / chunk.len() {
                write.data_bytes(chunk.clone()).await.unwrap();
            }
            write.eof().await.unwrap();
        });
        let mut received = 0;
        while let Some(message) = read.wait().await {
            if let ChannelMsg::Data { data } = message {
                received += data.len();
            }
        }
        assert_eq!(received, TOTAL);
        sender.await.unwrap();
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), test)
        .await
        .expect("deadlock");
    soon(server).await.unwrap();
}
