//! Makes calls over a unix socket readable: gRPC libraries send the socket's path as `:authority`, percent-encoded
//! (`%2Ftmp%2Fcq.sock`), which is no host name, so that the HTTP/2 library resets the stream before any door sees it. Go's
//! names the header by its number and writes the value in Huffman's code, as the CloudQuery CLI does for local plugins; the
//! C core's (Python, C++) spells the name out and writes the value as it is; Java's may send the path itself.
//!
//! What no host name holds becomes something that one does on its way in, symbol by symbol of the same length in HPACK's
//! Huffman code (RFC 7541, appendix B), so that no frame changes its size and both ends' tables stay alike. Only unix sockets
//! pass through here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Length of the client's connection preface.
const PREFACE: usize = 24;
/// Length of a frame's header: 24 bits of length, type, flags, stream.
const FRAME_HEADER: usize = 9;
/// Frame type HEADERS, and its flags.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Index of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;
/// The name where it is spelled out, as it is and in Huffman's code.
const NAME: (&[u8], &[u8]) = (b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]);

/// A transport whose `:authority` values are host names.
#[derive(Debug)]
pub(crate) struct NamedAuthority<Io> {
    io: Io,
    /// Bytes that came and were not looked at.
    raw: BytesMut,
    /// Bytes that may be read.
    ready: BytesMut,
    /// Bytes that pass without a look: the preface, and payloads of other frames.
    pass: usize,
}

impl<Io> NamedAuthority<Io> {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            raw: BytesMut::new(),
            ready: BytesMut::new(),
            pass: PREFACE,
        }
    }

    /// Moves everything that is complete from `raw` to `ready`.
    fn look(&mut self) {
        loop {
            let passing = self.pass.min(self.raw.len());
            self.ready.unsplit(self.raw.split_to(passing));
            self.pass -= passing;
            let Some([a, b, c, kind, flags]) = self
                .raw
                .first_chunk::<5>()
                .copied()
                .filter(|_| self.raw.len() >= FRAME_HEADER)
            else {
                return;
            };
            let length = FRAME_HEADER + u32::from_be_bytes([0, a, b, c]) as usize;
            if kind != HEADERS {
                self.pass = length;
            } else if self.raw.len() < length {
                return;
            } else {
                let mut frame = self.raw.split_to(length);
                if let Some(payload) = frame.get_mut(FRAME_HEADER..) {
                    rename(payload, flags);
                }
                self.ready.unsplit(frame);
            }
        }
    }
}

/// Changes the `:authority` of a HEADERS payload. What is not understood stays as it is: the library will refuse it.
fn rename(payload: &mut [u8], flags: u8) {
    let mut at = 0;
    at += usize::from(flags & PADDED != 0);
    at += if flags & PRIORITY != 0 { 5 } else { 0 };
    while let Some(first) = payload.get(at).copied() {
        // Indexed field; size update; literal that is indexed, not indexed, or never indexed.
        let (prefix, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let Some((index, next)) = integer(payload, at, prefix) else {
            return;
        };
        at = next;
        if !literal {
            continue;
        }
        let mut is_authority = index == AUTHORITY;
        if index == 0 {
            let Some(name) = text(payload, at) else { return };
            at = name.range.end;
            is_authority = payload.get(name.range) == Some(if name.coded { NAME.1 } else { NAME.0 });
        }
        let Some(value) = text(payload, at) else { return };
        at = value.range.end;
        if let Some(bytes) = payload.get_mut(value.range).filter(|_| is_authority) {
            match value.coded {
                true => rename_coded(bytes),
                false => rename_plain(bytes),
            }
        }
    }
}

/// A string literal of a header block: where its bytes are, and whether they are in Huffman's code.
struct Text {
    coded: bool,
    range: std::ops::Range<usize>,
}

fn text(payload: &[u8], at: usize) -> Option<Text> {
    let coded = payload.get(at)? & 0x80 != 0;
    let (length, start) = integer(payload, at, 7)?;
    Some(Text {
        coded,
        range: start..start + length,
    })
}

/// An HPACK integer with a prefix of `bits`, and where it ends.
fn integer(bytes: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let most = (1_usize << bits) - 1;
    let first = usize::from(*bytes.get(at)?) & most;
    if first < most {
        return Some((first, at + 1));
    }
    let (mut value, mut shift, mut at) = (most, 0, at + 1);
    loop {
        let byte = usize::from(*bytes.get(at)?);
        value += (byte & 0x7f) << shift;
        at += 1;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
        shift += 7;
        if shift > 21 {
            return None;
        }
    }
}

fn rename_plain(value: &mut [u8]) {
    for byte in value
        .iter_mut()
        .filter(|byte| !matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.'))
    {
        *byte = b'-';
    }
}

/// Walks the code symbol by symbol. A symbol of six bits that is neither a letter nor a digit becomes `-`, one of seven (`:`)
/// becomes `j`, one of eight (`&`, `*`, `,`, `;`) becomes `X`; longer ones are rare in paths and end the walk where they could
/// be anything.
fn rename_coded(value: &mut [u8]) {
    let mut at = 0;
    while at + 5 <= value.len() * 8 {
        let window = bits(value, at);
        let (length, symbol): (usize, Option<u32>) = match window >> 5 {
            0..0x50 => (5, None),
            0x50..0xb8 => {
                let odd = matches!(window >> 7, 0x14 | 0x15 | 0x18 | 0x20 | 0x22);
                (6, odd.then_some(0x16))
            }
            0xb8..0xf8 => (7, (window >> 6 == 0x5c).then_some(0x74)),
            code @ 0xf8..0xfe => (8, (!matches!(code, 0xfc | 0xfd)).then_some(0xfc)),
            _ if window >> 3 < 0x3fd => (10, None),
            _ if window >> 2 < 0x7fd => (11, None),
            _ if window >> 1 < 0xffc => (12, None),
            _ if window < 0x1ffe => (13, None),
            _ => return,
        };
        if let Some(symbol) = symbol.filter(|_| at + length <= value.len() * 8) {
            for bit in 0..length {
                set(value, at + bit, symbol >> (length - 1 - bit) & 1 == 1);
            }
        }
        at += length;
    }
}

/// Thirteen bits from `at` on; what lies behind the end counts as ones, as HPACK's padding does.
fn bits(value: &[u8], at: usize) -> u32 {
    let byte = |index: usize| u32::from(value.get(index).copied().unwrap_or(0xff));
    let three = byte(at / 8) << 16 | byte(at / 8 + 1) << 8 | byte(at / 8 + 2);
    three >> (11 - at % 8) & 0x1fff
}

fn set(value: &mut [u8], at: usize, one: bool) {
    let mask = 0x80 >> (at % 8);
    if let Some(byte) = value.get_mut(at / 8) {
        *byte = if one { *byte | mask } else { *byte & !mask };
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for NamedAuthority<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() {
            let mut space = [0; 16 << 10];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                // The end. What is left is no complete frame, and the library shall see it.
                this.ready = this.raw.split();
                break;
            }
            this.raw.extend_from_slice(read.filled());
            this.look();
        }
        let given = this.ready.len().min(buf.remaining());
        buf.put_slice(this.ready.get(..given).unwrap_or_default());
        this.ready.advance(given);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for NamedAuthority<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coded_path_becomes_a_name_of_the_same_length() {
        // "%2F" is 010101 00010 1100011... in the code; '2' has five bits (00010), 'F' seven (1100001).
        let mut value = vec![0b0101_0100, 0b0101_1000, 0b0111_1111];
        rename_coded(&mut value);
        assert_eq!(value, [0b0101_1000, 0b0101_1000, 0b0111_1111]);
    }

    /// What the HTTP/2 library's own decoder makes of it.
    #[test]
    fn whatever_a_path_holds_its_symbols_keep_their_lengths() {
        // Codes of RFC 7541, appendix B: symbol, code, bits.
        let codes: [(u8, u32, usize); 18] = [
            (b'a', 0x3, 5),
            (b't', 0x9, 5),
            (b'%', 0x15, 6),
            (b'-', 0x16, 6),
            (b'/', 0x18, 6),
            (b' ', 0x14, 6),
            (b'=', 0x20, 6),
            (b'_', 0x22, 6),
            (b'b', 0x23, 6),
            (b':', 0x5c, 7),
            (b'F', 0x61, 7),
            (b'j', 0x74, 7),
            (b'&', 0xf8, 8),
            (b';', 0xfb, 8),
            (b'X', 0xfc, 8),
            (b'Z', 0xfd, 8),
            (b'(', 0x3fa, 10),
            (b'~', 0x1ffd, 13),
        ];
        let code_of = |symbol: u8| codes.iter().find(|code| code.0 == symbol).copied().unwrap();
        let coded = |text: &[u8]| {
            let mut bits: Vec<bool> = Vec::new();
            for symbol in text {
                let (_, code, length) = code_of(*symbol);
                bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
            }
            let mut bytes = vec![0xff; bits.len().div_ceil(8)];
            bits.iter().enumerate().for_each(|(at, one)| set(&mut bytes, at, *one));
            bytes
        };
        fastrand::seed(7);
        for _ in 0..500 {
            let text: Vec<u8> = (0..fastrand::usize(1..40))
                .map(|_| codes[fastrand::usize(..codes.len())].0)
                .collect();
            let expected = text.iter().map(|symbol| match symbol {
                b'%' | b'/' | b' ' | b'=' | b'_' => b'-',
                b':' => b'j',
                b'&' | b';' => b'X',
                other => *other,
            });
            let mut value = coded(&text);
            rename_coded(&mut value);
            assert_eq!(
                value,
                coded(&expected.collect::<Vec<u8>>()),
                "{}",
                String::from_utf8_lossy(&text)
            );
        }
    }

    #[test]
    fn a_name_that_is_spelled_out_is_known_as_it_is_and_coded() {
        let mut plain = vec![0x82, 0x40, 10];
        plain.extend_from_slice(b":authority\x07%2Fx.so\x00\x04path\x01/");
        rename(&mut plain, 0);
        assert!(plain.ends_with(b":authority\x07-2Fx.so\x00\x04path\x01/"), "{plain:?}");
        let mut coded = vec![0x00, 0x88];
        coded.extend_from_slice(NAME.1);
        coded.extend_from_slice(b"\x04%2Fx");
        rename(&mut coded, 0);
        assert!(coded.ends_with(b"\x04-2Fx"), "{coded:?}");
    }

    #[test]
    fn only_the_authority_of_a_header_block_is_changed() {
        // :method GET (indexed 2), :path literal "/a%", :authority literal "/x".
        let mut block = vec![0x82, 0x44, 3, b'/', b'a', b'%', 0x41, 2, b'/', b'x'];
        rename(&mut block, 0);
        assert_eq!(block, [0x82, 0x44, 3, b'/', b'a', b'%', 0x41, 2, b'-', b'x']);
    }
}
