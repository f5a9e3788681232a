//! P2 to P4: what is left of a channel, and of its writers, when it is closed.

use bytes::Bytes;
use russh::server::Config;
use russh::{ChannelMsg, ChannelWriteHalf, kex, server};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::harness::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION,
    CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_WINDOW_ADJUST, Event, Packet, Peer, Reporter,
    config, opened, soon,
};

/// Two writers of each kind; none has any window.
fn start_writers(write: &ChannelWriteHalf<server::Msg>) -> Vec<JoinHandle<bool>> {
    let (one, two) = (write.make_writer(), write.make_writer());
    let mut tasks: Vec<_> = [one, two]
        .into_iter()
        .map(|mut writer| tokio::spawn(async move { writer.write_all(b"blocked").await.is_err() }))
        .collect();
    let (three, four) = (
        write.make_writer_ext(Some(1)),
        write.make_writer_ext(Some(1)),
    );
    tasks.extend([three, four].into_iter().map(|mut writer| {
        tokio::spawn(async move { writer.write_all(b"blocked").await.is_err() })
    }));
    tasks
}

async fn assert_all_fail(writers: Vec<JoinHandle<bool>>) {
    for writer in writers {
        assert!(soon(writer).await.unwrap(), "the write succeeded");
    }
}

#[tokio::test(start_paused = true)]
async fn writers_waiting_for_the_window_fail_when_the_peer_closes_the_channel() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    let (_read, write) = opened(&mut events).await.split();
    let mut writers = start_writers(&write);
    writers.push(tokio::spawn(async move {
        let (one, two) = tokio::join!(
            write.data_bytes("blocked"),
            write.extended_data_bytes(1, "blocked")
        );
        one.is_err() && two.is_err()
    }));

    peer.expect_silence().await;
    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    peer.expect(CHANNEL_CLOSE).await;
    assert_all_fail(writers).await;
}

#[tokio::test(start_paused = true)]
async fn writers_waiting_for_the_window_fail_when_the_connection_ends() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    peer.open_session(7, 0).await;
    let (_read, write) = opened(&mut events).await.split();
    let mut writers = start_writers(&write);
    writers.push(tokio::spawn(async move {
        let (one, two) = tokio::join!(
            write.data_bytes("blocked"),
            write.extended_data_bytes(1, "blocked")
        );
        one.is_err() && two.is_err()
    }));

    peer.expect_silence().await;
    drop(peer);
    let _ = soon(session).await;
    assert_all_fail(writers).await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_closed_by_the_server_is_forgotten_when_the_peer_closes_it_too() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    let channel = opened(&mut events).await;
    let id = channel.id();
    let (mut read, write) = channel.split();
    let writer = tokio::spawn(async move { write.data_bytes("blocked").await.is_err() });
    peer.expect_silence().await;

    session.handle().close(id).await.unwrap();
    peer.expect(CHANNEL_CLOSE).await;
    assert!(
        soon(writer).await.unwrap(),
        "a write to a closed channel fails"
    );
    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    assert!(matches!(soon(events.recv()).await, Some(Event::Closed(closed)) if closed == id));
    // The session holds the sender of this queue for as long as it knows of the channel.
    assert!(soon(read.wait()).await.is_none());

    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    peer.expect_silence().await;
    assert!(events.is_empty(), "the close is reported once");
}

#[tokio::test(start_paused = true)]
async fn a_close_for_a_channel_that_is_being_opened_is_ignored() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let handle = session.handle();
    let opening = tokio::spawn(async move { handle.channel_open_agent().await });
    let mut open = peer.expect(CHANNEL_OPEN).await;
    open.string();
    let number = open.u32();

    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    peer.expect_silence().await;
    peer.send(
        Packet::new(CHANNEL_OPEN_CONFIRMATION)
            .u32(number)
            .u32(3)
            .u32(1)
            .u32(32768),
    )
    .await;
    assert!(soon(opening).await.unwrap().is_ok());
    assert!(matches!(soon(events.recv()).await, Some(Event::Confirmed)));
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_nobody_waits_for_closes_the_channel() {
    let (reporter, events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let handle = session.handle();
    let opening = tokio::spawn(async move { handle.channel_open_agent().await });
    let mut open = peer.expect(CHANNEL_OPEN).await;
    open.string();
    let number = open.u32();
    opening.abort();
    assert!(soon(opening).await.unwrap_err().is_cancelled());

    peer.send(
        Packet::new(CHANNEL_OPEN_CONFIRMATION)
            .u32(number)
            .u32(3)
            .u32(1)
            .u32(32768),
    )
    .await;
    let mut close = peer.expect(CHANNEL_CLOSE).await;
    assert_eq!(close.u32(), 3);
    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    peer.expect_silence().await;
    assert!(events.is_empty(), "the handler never heard of it");
}

/// Needs P1: the failure is not awaited into the queue.
#[tokio::test(start_paused = true)]
async fn an_open_failure_nobody_waits_for_is_ignored() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let handle = session.handle();
    let opening = tokio::spawn(async move { handle.channel_open_agent().await });
    let mut open = peer.expect(CHANNEL_OPEN).await;
    open.string();
    let number = open.u32();
    opening.abort();
    assert!(soon(opening).await.unwrap_err().is_cancelled());

    peer.send(
        Packet::new(CHANNEL_OPEN_FAILURE)
            .u32(number)
            .u32(1)
            .string("no")
            .string(""),
    )
    .await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_failure_for_an_open_channel_ends_the_connection() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let number = peer.open_session(7, 0).await;
    peer.send(
        Packet::new(CHANNEL_OPEN_FAILURE)
            .u32(number)
            .u32(1)
            .string("no")
            .string(""),
    )
    .await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn closing_a_channel_with_pending_data_does_not_stall_the_others() {
    let (reporter, mut events) = Reporter::new();
    let config = Config {
        event_buffer_size: 1,
        ..config(kex::NONE)
    };
    let (mut peer, session) = Peer::log_in(config, reporter).await;
    let stalled = peer.open_session(1, 0).await;
    let (one, two) = (opened(&mut events).await, {
        peer.open_session(2, 100).await;
        opened(&mut events).await
    });
    session
        .handle()
        .data(one.id(), Bytes::from_static(b"pending"))
        .await
        .unwrap();
    session.handle().eof(one.id()).await.unwrap();
    peer.expect_silence().await;

    peer.send(Packet::new(CHANNEL_CLOSE).u32(stalled)).await;
    let mut close = peer.expect(CHANNEL_CLOSE).await;
    assert_eq!(close.u32(), 1);
    soon(two.data_bytes("alive")).await.unwrap();
    let mut data = peer.expect(CHANNEL_DATA).await;
    assert_eq!((data.u32(), data.string()), (2, b"alive".to_vec()));
}

/// The number of the message after the end of file, with a client that answers that with CLOSE while the
/// closed window of another channel holds up what the server has to say.
async fn after_the_end_of_file(together: bool) -> u8 {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let number = peer.open_session(7, 1000).await;
    let closing = opened(&mut events).await;
    let blocked = peer.open_session(8, 0).await;
    let stuck = opened(&mut events).await;
    let (id, other) = (closing.id(), stuck.id());
    let handle = session.handle();
    let status = ChannelMsg::ExitStatus { exit_status: 6 };
    let first = if together {
        vec![ChannelMsg::Eof, status]
    } else {
        vec![ChannelMsg::Eof]
    };
    soon(handle.together(id, first)).await.unwrap();
    soon(handle.data(other, "waits")).await.unwrap();
    peer.expect(CHANNEL_EOF).await;
    peer.send(Packet::new(CHANNEL_CLOSE).u32(number)).await;
    let mut next = peer.receive().await.unwrap();
    if !together {
        soon(handle.exit_status_request(id, 6)).await.unwrap();
        peer.send(Packet::new(CHANNEL_WINDOW_ADJUST).u32(blocked).u32(1000))
            .await;
        peer.expect(CHANNEL_DATA).await;
        peer.expect_silence().await;
    }
    next.byte()
}

#[tokio::test(start_paused = true)]
async fn a_status_handed_over_with_the_end_of_file_reaches_a_client_that_closes() {
    assert_eq!(after_the_end_of_file(true).await, CHANNEL_REQUEST);
    // The reason for it.
    assert_eq!(after_the_end_of_file(false).await, CHANNEL_CLOSE);
}
