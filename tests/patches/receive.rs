//! P12: what is received is not copied, and what is kept of it is not more than it has to be.

use bytes::Bytes;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session};
use russh::{Channel, ChannelId, Preferred, cipher, kex};
use tokio::sync::mpsc;

use crate::harness::{CHANNEL_DATA, CHANNEL_EXTENDED_DATA, Packet, Peer, config, soon};
use crate::library_client::logged_in;

/// Keeps the data, and says whether it is a part of something larger while it is handed over.
struct Keeps(mpsc::UnboundedSender<(Option<u32>, bool, Bytes)>);

impl Handler for Keeps {
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

    async fn data_owned(
        &mut self,
        _: ChannelId,
        ext: Option<u32>,
        data: Bytes,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        // A receiver that is gone has seen enough.
        let _ = self.0.send((ext, !data.is_unique(), data));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn data_is_a_slice_of_the_packet_it_came_in() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), Keeps(sender)).await;
    let channel = peer.open_session(7, 0).await;
    peer.data(channel, 30000).await;
    peer.send(
        Packet::new(CHANNEL_EXTENDED_DATA)
            .u32(channel)
            .u32(1)
            .string(vec![b'y'; 20000]),
    )
    .await;
    peer.expect_silence().await;

    for (ext, byte, len) in [(None, b'x', 30000), (Some(1), b'y', 20000)] {
        let (code, part, data) = soon(received.recv()).await.unwrap();
        assert_eq!((code, data.len()), (ext, len));
        assert!(data.iter().all(|found| *found == byte));
        assert!(part, "the data was copied out of its packet");
    }
}

#[tokio::test(start_paused = true)]
async fn small_data_does_not_keep_a_large_buffer() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let (mut peer, _session) = Peer::log_in(config(kex::NONE), Keeps(sender)).await;
    let channel = peer.open_session(7, 0).await;
    for len in [30000, 5, 2000, 5] {
        peer.data(channel, len).await;
    }
    peer.expect_silence().await;
    for len in [30000, 5, 2000, 5] {
        let (_, _, data) = soon(received.recv()).await.unwrap();
        assert_eq!(data.len(), len);
        let buffer = data.try_into_mut().expect("the packet is gone");
        assert!(
            buffer.capacity() < len + 100,
            "{} bytes for {len}",
            buffer.capacity()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn data_with_a_wrong_length_ends_the_connection() {
    for length in [99, 101] {
        let (sender, _received) = mpsc::unbounded_channel();
        let (mut peer, _session) = Peer::log_in(config(kex::NONE), Keeps(sender)).await;
        let channel = peer.open_session(7, 0).await;
        // The first message after authentication takes another way.
        peer.expect_silence().await;
        let mut packet = Packet::new(CHANNEL_DATA).u32(channel).u32(length);
        packet.0.extend_from_slice(&[b'x'; 100]);
        peer.send(packet).await;
        peer.expect_end().await;
    }
}

/// Every length near the sizes at which a packet is read or kept in another way.
#[tokio::test]
async fn data_of_any_size_arrives_whole_under_each_cipher() {
    for cipher in [
        cipher::AES_256_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
    ] {
        let preferred = Preferred {
            cipher: vec![cipher].into(),
            ..Preferred::DEFAULT
        };
        let (sender, mut received) = mpsc::unbounded_channel();
        let config = Config {
            preferred,
            ..config(kex::NONE)
        };
        let (client, _session) = logged_in(config, Keeps(sender), 1 << 22).await;
        let channel = soon(client.channel_open_session()).await.unwrap();
        let sizes = (1..40).chain(990..1040).chain([32767, 32768]);
        let content = |size: usize| {
            (0..size)
                .map(|at| (at * 31 + size) as u8)
                .collect::<Vec<_>>()
        };
        for size in sizes.clone() {
            soon(channel.data_bytes(content(size))).await.unwrap();
        }
        for size in sizes {
            let (_, _, data) = soon(received.recv()).await.unwrap();
            assert_eq!(data, content(size));
        }
    }
}
