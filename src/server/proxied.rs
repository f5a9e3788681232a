//! The PROXY protocol, versions 1 and 2: where a connection through a trusted proxy comes from.
//!
//! A trusted proxy always begins with a header, as the protocol demands: were it optional, a client
//! could write one of its own. Nothing is read beyond what one packet of a proxy brings.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A header of version 1 is a line of at most this many bytes.
const LINE: usize = 107;
/// A header of version 2 with all that a proxy may attach; ours attach some hundred bytes.
const MOST: usize = 4096;
const PREFIX: &[u8] = b"PROXY ";
/// The fixed part of version 2: signature, command, family, and the length of the rest.
const FIXED: usize = 16;

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// It left before it had sent a byte, as a probe does.
    #[error("left at once")]
    Left,
    /// What came is no header.
    #[error("{0}")]
    Malformed(String),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Read the header off `stream`: the source it names, or `None` where the proxy speaks for itself
/// (a health check) or does not know. What follows the header stays in `ahead`.
pub(super) async fn source(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: &mut BytesMut,
) -> Result<Option<SocketAddr>, NoHeader> {
    loop {
        if let Some(length) = length(ahead)? {
            let source = parse(ahead.get(..length).unwrap_or_default())?;
            ahead.advance(length);
            return Ok(source);
        }
        if stream.read_buf(ahead).await? == 0 {
            return Err(if ahead.is_empty() {
                NoHeader::Left
            } else {
                malformed("it ended within its header")
            });
        }
    }
}

/// The length of the header that `bytes` begin with, once all of it is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, NoHeader> {
    let may_become = |start: &[u8]| start.iter().zip(bytes).all(|(one, other)| one == other);
    if may_become(v2::PROTOCOL_PREFIX) {
        let rest = match bytes.get(FIXED - 2..FIXED) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Ok(None),
        };
        if FIXED + rest > MOST {
            return Err(malformed("its header is too long"));
        }
        Ok((bytes.len() >= FIXED + rest).then_some(FIXED + rest))
    } else if may_become(PREFIX) {
        let line = bytes.get(..LINE.min(bytes.len())).unwrap_or_default();
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) if ends_as_it_must(line.get(..=end).unwrap_or_default()) => Ok(Some(end + 1)),
            Some(_) => Err(malformed("its header does not end with CR and LF")),
            None if line.len() == LINE => Err(malformed("its header does not end")),
            None => Ok(None),
        }
    } else {
        Err(malformed("it does not begin with a PROXY header"))
    }
}

/// With CR and LF, and without another CR: the library takes that for a space, and either for an end.
fn ends_as_it_must(line: &[u8]) -> bool {
    let words = line.strip_suffix(b"\r\n".as_slice());
    words.is_some_and(|words| !words.contains(&b'\r'))
}

fn parse(header: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ends) => Some((ends.source_address, ends.source_port).into()),
            v1::Addresses::Tcp6(ends) => Some((ends.source_address, ends.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => {
            // The proxy's own connection, or one of another protocol, whose addresses are not ours to believe.
            let forwarded = header.command == v2::Command::Proxy;
            Ok(match header.addresses {
                _ if !forwarded || header.protocol != v2::Protocol::Stream => None,
                v2::Addresses::IPv4(ends) => Some((ends.source_address, ends.source_port).into()),
                v2::Addresses::IPv6(ends) => Some((ends.source_address, ends.source_port).into()),
                v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
            })
        }
        HeaderResult::V1(Err(error)) => Err(malformed(&error.to_string())),
        HeaderResult::V2(Err(error)) => Err(malformed(&error.to_string())),
    }
}

fn malformed(reason: &str) -> NoHeader {
    NoHeader::Malformed(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 22\r\n";
    const V6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 22\r\n";

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    const ENDS: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 0, 22];

    async fn read(bytes: &[u8]) -> (Result<Option<SocketAddr>, NoHeader>, Vec<u8>) {
        let mut ahead = BytesMut::new();
        let source = source(&mut &*bytes, &mut ahead).await;
        (source, ahead.to_vec())
    }

    #[tokio::test]
    async fn both_versions_name_their_source_and_keep_what_follows() {
        let tlv = [ENDS, &[4, 0, 3, 1, 2, 3]].concat();
        for (header, source) in [
            (V4.to_vec(), Some("192.0.2.7:56324")),
            (V6.to_vec(), Some("[2001:db8::7]:56324")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f whatever 1 2\r\n".to_vec(), None),
            (version_2(0x21, 0x11, ENDS), Some("192.0.2.7:56324")),
            (version_2(0x21, 0x11, &tlv), Some("192.0.2.7:56324")),
            (version_2(0x20, 0x00, b""), None),
            (version_2(0x20, 0x11, ENDS), None),
            (version_2(0x21, 0x00, b""), None),
            (version_2(0x21, 0x10, ENDS), None),
            (version_2(0x21, 0x12, ENDS), None),
        ] {
            let (found, rest) = read(&[&header[..], b"SSH-2.0-x\r\n"].concat()).await;
            let found = found.unwrap();
            assert_eq!(
                found,
                source.map(|text| text.parse().unwrap()),
                "{header:?}"
            );
            assert_eq!(rest, b"SSH-2.0-x\r\n");
        }
    }

    #[tokio::test]
    async fn a_header_may_come_byte_by_byte() {
        for header in [V4.to_vec(), V6.to_vec(), version_2(0x21, 0x11, ENDS)] {
            let (mut one, mut other) = tokio::io::duplex(1);
            let write = async {
                use tokio::io::AsyncWriteExt;
                one.write_all(&header).await.unwrap();
            };
            let mut ahead = BytesMut::new();
            let ((), found) = tokio::join!(write, source(&mut other, &mut ahead));
            assert!(found.unwrap().is_some() && ahead.is_empty());
        }
    }

    #[tokio::test]
    async fn rubbish_is_told_from_a_probe() {
        assert!(matches!(read(b"").await.0, Err(NoHeader::Left)));
        let unending = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"SSH-2.0-x\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 22\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.700 10.0.0.1 1 22\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1 22\r\n".to_vec(),
            b"PROXY\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 22 \n".to_vec(),
            b"PROXY TCP4\r192.0.2.7 10.0.0.1 1 22\r\n".to_vec(),
            b"PROXX TCP4".to_vec(),
            unending,
            version_2(0x31, 0x11, ENDS),
            version_2(0x21, 0x11, &ENDS[..5]),
            version_2(0x21, 0x11, &[0; 5000]),
            v2::PROTOCOL_PREFIX.to_vec(),
        ] {
            let found = read(&bytes).await.0;
            assert!(matches!(found, Err(NoHeader::Malformed(_))), "{bytes:?}");
        }
    }
}
