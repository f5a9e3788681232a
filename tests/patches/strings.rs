//! P9: a string that is not UTF-8 fails its request, not the connection.

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session};
use russh::{Channel, ChannelId, kex};
use tokio::sync::mpsc;

use crate::harness::{
    CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS, Event,
    GLOBAL_REQUEST, Packet, Peer, REQUEST_FAILURE, Reporter, channel_request, config, soon,
};

const LATIN1: &[u8] = b"caf\xe9";

fn pty_request(channel: u32, term: &[u8], modes: &[u8]) -> Packet {
    channel_request(channel, "pty-req")
        .string(term)
        .u32(80)
        .u32(24)
        .u32(0)
        .u32(0)
        .string(modes)
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_string_that_is_not_utf8_fails_alone() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let channel = peer.open_session(7, 0).await;
    assert!(matches!(soon(events.recv()).await, Some(Event::Opened(_))));

    for request in [
        channel_request(channel, "env")
            .string("NAME")
            .string(LATIN1),
        channel_request(channel, "env")
            .string(LATIN1)
            .string("value"),
        channel_request(channel, "subsystem").string(LATIN1),
        channel_request(channel, "signal").string(LATIN1),
        channel_request(channel, "x11-req")
            .byte(0)
            .string(LATIN1)
            .string("cookie")
            .u32(0),
        channel_request(channel, "x11-req")
            .byte(0)
            .string("MIT")
            .string(LATIN1)
            .u32(0),
        pty_request(channel, LATIN1, &[0]),
    ] {
        peer.send(request).await;
        peer.expect(CHANNEL_FAILURE).await;
    }
    assert!(events.is_empty(), "no request reached the handler");
    peer.send(
        channel_request(channel, "env")
            .string("NAME")
            .string("café"),
    )
    .await;
    peer.expect(CHANNEL_SUCCESS).await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_mode_list_fails_its_pty_request_alone() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let channel = peer.open_session(7, 0).await;
    assert!(matches!(soon(events.recv()).await, Some(Event::Opened(_))));

    let too_many = [1, 0, 0, 0, 3].repeat(131);
    for modes in [&[1, 0, 0][..], &[0, 0][..], &too_many] {
        peer.send(pty_request(channel, b"xterm", modes)).await;
        peer.expect(CHANNEL_FAILURE).await;
    }
    assert!(events.is_empty(), "no request reached the handler");
    for modes in [&[][..], &[0], &[1, 0, 0, 0, 3, 0]] {
        peer.send(pty_request(channel, b"xterm", modes)).await;
        peer.expect(CHANNEL_SUCCESS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_open_with_a_path_that_is_not_utf8_fails_alone() {
    let (reporter, events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let open = |kind| {
        Packet::new(CHANNEL_OPEN)
            .string(kind)
            .u32(7)
            .u32(100)
            .u32(100)
    };
    for packet in [
        open("direct-streamlocal@openssh.com")
            .string(LATIN1)
            .string("")
            .u32(0),
        open("direct-tcpip").string(LATIN1).u32(1).string("").u32(2),
        open("x11").string(LATIN1).u32(1),
    ] {
        peer.send(packet).await;
        let mut failure = peer.expect(CHANNEL_OPEN_FAILURE).await;
        assert_eq!(
            (failure.u32(), failure.u32()),
            (7, 2),
            "our channel could not connect"
        );
        peer.expect_silence().await;
    }
    assert!(events.is_empty(), "no request reached the handler");
}

#[tokio::test(start_paused = true)]
async fn a_forwarding_request_with_a_path_that_is_not_utf8_fails_alone() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let request = |name| {
        Packet::new(GLOBAL_REQUEST)
            .string(name)
            .byte(1)
            .string(LATIN1)
    };
    for packet in [
        request("streamlocal-forward@openssh.com"),
        request("cancel-streamlocal-forward@openssh.com"),
        request("tcpip-forward").u32(0),
        request("cancel-tcpip-forward").u32(0),
    ] {
        peer.send(packet).await;
        peer.expect(REQUEST_FAILURE).await;
    }
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn wrong_framing_still_ends_the_connection() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    let channel = peer.open_session(7, 0).await;
    peer.send(
        Packet::new(CHANNEL_REQUEST)
            .u32(channel)
            .string("env")
            .byte(1)
            .string("NAME")
            .u32(99),
    )
    .await;
    peer.expect_end().await;
}

struct TakesBytes(mpsc::UnboundedSender<(Vec<u8>, Vec<u8>)>);

impl Handler for TakesBytes {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn env_request_bytes(
        &mut self,
        channel: ChannelId,
        name: &[u8],
        value: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.0.send((name.to_vec(), value.to_vec())).unwrap();
        session.channel_success(channel)
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_may_take_an_environment_variable_as_bytes() {
    let (sender, mut variables) = mpsc::unbounded_channel();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), TakesBytes(sender)).await;
    let channel = peer.open_session(7, 0).await;
    peer.send(
        channel_request(channel, "env")
            .string("NAME")
            .string(LATIN1),
    )
    .await;
    peer.expect(CHANNEL_SUCCESS).await;
    assert_eq!(
        soon(variables.recv()).await,
        Some((b"NAME".to_vec(), LATIN1.to_vec()))
    );
}
