//! Fuzzed: the one global request whose body we take apart ourselves, and the PROXY protocol.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::FutureExt as _;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;

use tokio::io::{AsyncRead, ReadBuf};

use super::identity::{announcement, prove};
use super::proxied::{NoHeader, source};

static KEYS: LazyLock<[PrivateKey; 1]> =
    LazyLock::new(|| [PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))]);

/// `hostkeys-prove-00@openssh.com`: signs for our own keys and for nothing else.
pub(crate) fn hostkeys_prove(data: &[u8]) {
    let ours = announcement(&*KEYS);
    let answer = prove(&*KEYS, b"session", data);
    let only_ours = !data.is_empty()
        && data.len().is_multiple_of(ours.len())
        && data.chunks(ours.len()).all(|chunk| chunk == ours);
    assert_eq!(answer.is_some(), only_ours);
}

/// Yields its bytes a few at a time, and is never late.
struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.1.min(buffer.remaining()).min(self.0.len());
        let (piece, rest) = self.0.split_at(most);
        buffer.put_slice(piece);
        self.0 = rest;
        Poll::Ready(Ok(()))
    }
}

/// What a header says, and all that followed it, read or not; `None` where there is no header.
type Said = Option<(Option<SocketAddr>, Vec<u8>)>;

fn said(data: &[u8], step: usize) -> Said {
    let (mut stream, mut ahead) = (Pieces(data, step), BytesMut::new());
    let found = source(&mut stream, &mut ahead).now_or_never();
    let read = data.len() - stream.0.len();
    // What one read brought may have gone beyond the longest header, and no more.
    assert!(read <= 2 * 4096 + step, "{read} bytes read");
    let stuck = matches!(found, None | Some(Err(NoHeader::Io(_))));
    assert!(!stuck, "it waits for something else than bytes, or fails");
    match found? {
        Ok(source) => Some((source, [ahead.as_ref(), stream.0].concat())),
        Err(reason) => {
            let left = matches!(reason, NoHeader::Left);
            assert_eq!(left, data.is_empty(), "{reason}");
            None
        }
    }
}

/// The first byte says in how large pieces a stream comes; that must not matter. A source is believed
/// only where the header's own bytes say it, and what follows is kept to the last byte.
pub(crate) fn proxy_header(data: &[u8]) {
    let Some((step, stream)) = data.split_first() else {
        return;
    };
    let whole = said(stream, stream.len().max(1));
    assert_eq!(said(stream, usize::from(*step) + 1), whole);
    let Some((source, rest)) = whole else { return };
    assert!(stream.ends_with(&rest));
    let (header, _) = stream.split_at(stream.len() - rest.len());
    if let Some(source) = source {
        assert_eq!(spelt_out(header), Some(source));
    }
}

/// The source as the specification has it in a header, read in another way than ours: in version 1 the
/// third and the fifth word of a line, in version 2 the first address and port at a fixed place; of a TCP
/// connection only.
fn spelt_out(header: &[u8]) -> Option<SocketAddr> {
    if let Some(line) = header.strip_suffix(b"\r\n".as_slice())
        && line.starts_with(b"PROXY TCP")
    {
        let words: Vec<_> = std::str::from_utf8(line).ok()?.split(' ').collect();
        let ["PROXY", family, source, _, port, _] = words[..] else {
            return None;
        };
        let source = SocketAddr::new(source.parse().ok()?, port.parse().ok()?);
        return (family == if source.is_ipv4() { "TCP4" } else { "TCP6" }).then_some(source);
    }
    let (fixed, rest) = header.split_at_checked(16)?;
    let port = |at: usize| Some(u16::from_be_bytes(*rest.get(at..)?.first_chunk()?));
    match fixed.get(12..14)? {
        [0x21, 0x11] => Some((*rest.first_chunk::<4>()?, port(8)?).into()),
        [0x21, 0x21] => Some((*rest.first_chunk::<16>()?, port(32)?).into()),
        _ => None,
    }
}
