//! Bytes from the client cut into packets, without copying what can stay where it is.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::Failure;
use super::codec::{MAX_PACKET, kind};

/// Length field, kind, id, handle of eight bytes with its length, offset, data length.
const WRITE_HEAD: usize = 4 + 1 + 4 + (4 + 8) + 8 + 4;
/// Where the handle's length stands in it.
const HANDLE_LENGTH: usize = 4 + 1 + 4;

/// One packet without its length field.
#[derive(Debug)]
pub(super) struct Packet {
    /// The packet, or of a WRITE that arrived in pieces, everything before the data.
    pub(super) head: Bytes,
    /// The data of such a WRITE, as it arrived; empty otherwise.
    pub(super) data: Vec<Bytes>,
}

/// What has arrived and was not yet cut.
///
/// Not bounded here: the channel's window bounds it, since bytes are credited when they leave. The
/// one exception is [`Input::advance`].
#[derive(Debug, Default)]
pub(super) struct Input {
    chunks: VecDeque<Bytes>,
    length: usize,
    /// Bytes at the front that were credited before they left.
    advanced: usize,
    /// Bytes that left since [`Input::settle`].
    left: usize,
}

impl Input {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// Whether [`Input::packet`] has something to say.
    pub(super) fn is_ready(&self) -> bool {
        self.length >= 4 && {
            let length = self.packet_length();
            length == 0 || length > MAX_PACKET || self.length >= 4 + length as usize
        }
    }

    /// The next whole packet. Fails on a length no packet can have: the stream is out of step.
    pub(super) fn packet(&mut self) -> Result<Option<Packet>, Failure> {
        if !self.is_ready() {
            return Ok(None);
        }
        match self.packet_length() {
            0 => Err(Failure::Empty),
            length if length > MAX_PACKET => Err(Failure::Oversized(length)),
            length => {
                let length = length as usize;
                self.skip(4);
                let packet = self.cut(length);
                self.left += 4 + length;
                Ok(Some(packet))
            }
        }
    }

    /// Bytes of packets taken since [`Input::settle`].
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Bytes that may be credited now because a packet they belong to left.
    pub(super) fn settle(&mut self) -> usize {
        let left = std::mem::take(&mut self.left);
        let known = left.min(self.advanced);
        self.advanced -= known;
        left - known
    }

    /// Bytes to credit although they have not left: the beginning of one packet, at most
    /// [`MAX_PACKET`]. Without it a window smaller than a packet would never open again.
    pub(super) fn advance(&mut self) -> usize {
        let fresh = self.length.saturating_sub(self.advanced);
        self.advanced += fresh;
        fresh
    }

    fn packet_length(&self) -> u32 {
        u32::from_be_bytes(self.peek(0))
    }

    fn cut(&mut self, length: usize) -> Packet {
        let whole = self
            .chunks
            .front()
            .is_some_and(|chunk| chunk.len() >= length);
        let head = WRITE_HEAD - 4;
        if !whole && length > head && self.is_write_of_ours() {
            let head = self.take(head);
            return Packet {
                data: self.pieces(length - head.len()),
                head,
            };
        }
        Packet {
            head: self.take(length),
            data: Vec::new(),
        }
    }

    /// Whether the packet at the front (its length field gone) is a WRITE with a handle as long as
    /// ours.
    fn is_write_of_ours(&self) -> bool {
        let [first] = self.peek(0);
        first == kind::WRITE && u32::from_be_bytes(self.peek(HANDLE_LENGTH - 4)) == 8
    }

    /// `N` bytes at `offset`; zeros where there are none.
    fn peek<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut found = [0; N];
        let bytes = self.chunks.iter().flat_map(|chunk| chunk.iter());
        for (to, from) in found.iter_mut().zip(bytes.skip(offset)) {
            *to = *from;
        }
        found
    }

    fn skip(&mut self, mut length: usize) {
        while length > 0 {
            let piece = self.piece(length);
            length -= piece.len();
        }
    }

    /// `length` bytes in one piece; copied only if they lie in several. They must be there.
    fn take(&mut self, length: usize) -> Bytes {
        let first = self.piece(length);
        if first.len() == length {
            return first;
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while whole.len() < length {
            let piece = self.piece(length - whole.len());
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }

    fn pieces(&mut self, length: usize) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(length / 32_768 + 2);
        let mut taken = 0;
        while taken < length {
            let piece = self.piece(length - taken);
            taken += piece.len();
            pieces.push(piece);
        }
        pieces
    }

    /// At most `most` bytes from the first chunk. There must be one.
    fn piece(&mut self, most: usize) -> Bytes {
        let Some(chunk) = self.chunks.front_mut() else {
            // Unreachable: every caller has compared with `length`. An endless loop would be worse
            // than a short packet of zeros, which no request parses as.
            debug_assert!(false, "input shorter than its length");
            return Bytes::from(vec![0; most]);
        };
        let piece = chunk.split_to(most.min(chunk.len()));
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        self.length -= piece.len();
        piece
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes(), body].concat()
    }

    #[test]
    fn impossible_lengths_end_the_session() {
        let mut input = Input::default();
        input.push(Bytes::from_static(&[0, 0, 0, 0]));
        assert!(matches!(input.packet(), Err(Failure::Empty)));
        let mut input = Input::default();
        input.push(Bytes::from((MAX_PACKET + 1).to_be_bytes().to_vec()));
        assert!(matches!(input.packet(), Err(Failure::Oversized(_))));
    }

    #[test]
    fn a_packet_longer_than_the_window_is_credited_before_it_is_whole_and_only_once() {
        let mut input = Input::default();
        let wire = framed(&[9; 1000]);
        input.push(Bytes::copy_from_slice(&wire[..600]));
        assert_eq!(input.advance(), 600);
        assert_eq!(input.advance(), 0);
        input.push(Bytes::copy_from_slice(&wire[600..]));
        assert!(input.packet().unwrap().is_some());
        assert_eq!(input.settle(), 404);
        assert_eq!(input.settle(), 0);
    }

    #[test]
    fn data_of_a_write_in_pieces_is_not_copied() {
        let mut body = vec![kind::WRITE, 0, 0, 0, 7, 0, 0, 0, 8];
        body.extend([0; 8 + 8]);
        body.extend(2000u32.to_be_bytes());
        body.extend([5; 2000]);
        let wire = Bytes::from(framed(&body));
        let mut input = Input::default();
        input.push(wire.slice(..500));
        input.push(wire.slice(500..));
        let packet = input.packet().unwrap().unwrap();
        assert_eq!(packet.head.len(), WRITE_HEAD - 4);
        assert_eq!(packet.data.len(), 2);
        assert_eq!(packet.data[1].as_ptr(), wire[500..].as_ptr());
    }

    proptest! {
        #[test]
        fn packets_come_out_whole_however_they_were_cut(
            bodies in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 1..200), 1..20),
            cut in 1..60usize,
        ) {
            let wire: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            let (mut input, mut credited) = (Input::default(), 0);
            let mut found = Vec::new();
            for chunk in wire.chunks(cut) {
                input.push(Bytes::copy_from_slice(chunk));
                while let Some(packet) = input.packet().unwrap() {
                    let mut body = packet.head.to_vec();
                    packet.data.iter().for_each(|piece| body.extend_from_slice(piece));
                    found.push(body);
                }
                credited += input.settle() + input.advance();
            }
            prop_assert_eq!(found, bodies);
            prop_assert_eq!(credited, wire.len());
        }
    }
}
