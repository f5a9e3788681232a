//! P10 and P11: pings, requests of our own in both directions, and what nobody knows.

use std::borrow::Cow;

use russh::server::{Auth, ChannelOpenHandle, Config, GlobalReply, Handler, Msg, Session};
use russh::{Channel, ChannelId, Preferred, compression, kex};

use crate::harness::{
    CHANNEL_DATA, CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST,
    CHANNEL_SUCCESS, EXT_INFO, GLOBAL_REQUEST, Packet, Peer, REQUEST_FAILURE, REQUEST_SUCCESS,
    Reporter, SERVICE_ACCEPT, SERVICE_REQUEST, channel_request, config, opened, soon,
};
use crate::library_client::logged_in;

const UNIMPLEMENTED: u8 = 3;
const PING: u8 = 192;
const PONG: u8 = 193;

#[tokio::test(start_paused = true)]
async fn a_ping_is_announced_and_answered_after_authentication() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::connect(config(kex::NONE), reporter).await;
    peer.send(Packet::new(PING).string("too early")).await;
    peer.send(Packet::new(SERVICE_REQUEST).string("ssh-userauth"))
        .await;
    let mut info = peer.receive().await.unwrap();
    assert_eq!(info.byte(), EXT_INFO);
    let extensions: Vec<_> = (0..info.u32())
        .map(|_| (info.string(), info.string()))
        .collect();
    assert!(
        extensions.contains(&(b"ping@openssh.com".to_vec(), b"0".to_vec())),
        "{extensions:?}"
    );
    peer.expect(SERVICE_ACCEPT).await;

    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    peer.send(Packet::new(PING).string("hello")).await;
    let mut pong = peer.expect(PONG).await;
    assert_eq!(pong.string(), b"hello");
}

/// Knows `prove@example.com` and `break`, and remembers the session identifier.
struct Knows;

impl Handler for Knows {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        session.send_global_request("welcome@example.com", false, &[b'w'; 100])
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

    async fn global_request(
        &mut self,
        name: &str,
        _: bool,
        data: &[u8],
        session: &mut Session,
    ) -> Result<GlobalReply, Self::Error> {
        Ok(match name {
            "prove@example.com" => GlobalReply::Success([data, session.session_id()].concat()),
            _ => GlobalReply::Failure,
        })
    }

    async fn unknown_channel_request(
        &mut self,
        _: ChannelId,
        name: &str,
        want_reply: bool,
        data: &[u8],
        _: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(name == "break" && want_reply && data == [0, 0, 1, 0])
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_answers_a_global_request_of_its_own() {
    let (mut peer, _session) = Peer::log_in(config(kex::CURVE25519), Knows).await;
    let mut welcome = peer.expect(GLOBAL_REQUEST).await;
    assert_eq!(
        (welcome.string(), welcome.byte()),
        (b"welcome@example.com".to_vec(), 0)
    );
    assert_eq!(welcome.rest(), [b'w'; 100]);

    peer.send(
        Packet::new(GLOBAL_REQUEST)
            .string("prove@example.com")
            .byte(1)
            .string("key"),
    )
    .await;
    let mut success = peer.expect(REQUEST_SUCCESS).await;
    assert_eq!(success.string(), b"key");
    assert_eq!(success.rest().len(), 32, "the session identifier");
    peer.send(
        Packet::new(GLOBAL_REQUEST)
            .string("prove@example.com")
            .byte(0),
    )
    .await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn the_handler_answers_a_channel_request_of_its_own() {
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), Knows).await;
    peer.expect(GLOBAL_REQUEST).await;
    let channel = peer.open_session(7, 0).await;
    peer.send(channel_request(channel, "break").u32(0x100))
        .await;
    peer.expect(CHANNEL_SUCCESS).await;
    peer.send(channel_request(channel, "unheard-of@example.com"))
        .await;
    peer.expect(CHANNEL_FAILURE).await;
    peer.send(
        Packet::new(CHANNEL_REQUEST)
            .u32(channel)
            .string("eow@openssh.com")
            .byte(0),
    )
    .await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_our_global_request_is_not_taken_for_another() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    let handle = session.handle();
    handle
        .send_global_request("one@example.com", true, "payload")
        .unwrap();
    handle
        .send_global_request("silent@example.com", false, "")
        .unwrap();
    handle
        .send_global_request("two@example.com", true, "")
        .unwrap();
    for name in ["one@example.com", "silent@example.com", "two@example.com"] {
        assert_eq!(peer.expect(GLOBAL_REQUEST).await.string(), name.as_bytes());
    }
    let forward = tokio::spawn(async move { handle.forward_tcpip("localhost".into(), 0).await });
    assert_eq!(peer.expect(GLOBAL_REQUEST).await.string(), b"tcpip-forward");

    peer.send(Packet::new(REQUEST_SUCCESS).string("an answer nobody looks at"))
        .await;
    peer.send(Packet::new(REQUEST_FAILURE)).await;
    peer.send(Packet::new(REQUEST_SUCCESS).u32(4711)).await;
    assert_eq!(soon(forward).await.unwrap(), Ok(4711));
}

#[tokio::test(start_paused = true)]
async fn a_channel_request_follows_the_data_sent_before_it() {
    let (reporter, mut events) = Reporter::new();
    let (mut peer, session) = Peer::log_in(config(kex::NONE), reporter).await;
    peer.open_session(7, 100).await;
    let channel = opened(&mut events).await;
    let handle = session.handle();
    channel.data_bytes("before").await.unwrap();
    handle
        .send_channel_request(channel.id(), "eow@openssh.com", "")
        .await
        .unwrap();
    channel.data_bytes("after").await.unwrap();

    let mut data = peer.expect(CHANNEL_DATA).await;
    assert_eq!((data.u32(), data.string()), (7, b"before".to_vec()));
    let mut request = peer.expect(CHANNEL_REQUEST).await;
    assert_eq!(
        (request.u32(), request.string(), request.byte()),
        (7, b"eow@openssh.com".to_vec(), 0)
    );
    peer.expect(CHANNEL_DATA).await;
}

#[tokio::test]
async fn a_request_sent_at_once_after_authentication_is_compressed() {
    let preferred = Preferred {
        compression: Cow::Owned(vec![compression::ZLIB_LEGACY]),
        ..Preferred::DEFAULT
    };
    let config = Config {
        preferred,
        ..config(kex::NONE)
    };
    let (client, _session) = logged_in(config, Knows, 1 << 20).await;
    // The client has read the request by now, if it could.
    soon(client.channel_open_session()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_channel_of_an_unknown_type_is_refused_once() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), reporter).await;
    for (kind, reason) in [("tun@openssh.com", 3), ("auth-agent@openssh.com", 1)] {
        peer.send(
            Packet::new(CHANNEL_OPEN)
                .string(kind)
                .u32(7)
                .u32(100)
                .u32(100),
        )
        .await;
        let mut failure = peer.expect(CHANNEL_OPEN_FAILURE).await;
        assert_eq!((failure.u32(), failure.u32()), (7, reason));
        peer.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_message_is_answered_with_unimplemented() {
    let (reporter, _events) = Reporter::new();
    let (mut peer, _session) = Peer::connect(config(kex::NONE), reporter).await;
    // Before it: the KEXINIT and NEWKEYS. Their numbers are 0 and 1.
    for (number, message) in [(2, 0), (3, 42), (4, 191), (5, 255)] {
        peer.send(Packet::new(message)).await;
        assert_eq!(peer.expect(UNIMPLEMENTED).await.u32(), number);
    }
    peer.request_userauth().await;
}
