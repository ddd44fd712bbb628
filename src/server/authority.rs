//! Makes grpc-go's calls over a unix socket readable: it sends the socket's path as `:authority`, percent-encoded
//! (`%2Ftmp%2Fcq.sock`), which is no host name, so that the HTTP/2 library resets the stream before any door sees it. The
//! CloudQuery CLI calls local plugins this way.
//!
//! Every `%` or `/` in an `:authority` value becomes a `-` on its way in. All three have the same length in HPACK's Huffman
//! code (RFC 7541, appendix B: six bits), so that no frame changes its size and both ends' tables stay alike. Only unix
//! sockets pass through here.

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
        if index == 0 {
            let Some((length, start)) = integer(payload, at, 7) else {
                return;
            };
            at = start + length;
        }
        let coded = payload.get(at).is_some_and(|byte| byte & 0x80 != 0);
        let Some((length, start)) = integer(payload, at, 7) else {
            return;
        };
        at = start + length;
        if index == AUTHORITY
            && let Some(value) = payload.get_mut(start..at)
        {
            if coded {
                rename_coded(value)
            } else {
                rename_plain(value)
            }
        }
    }
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
    for byte in value.iter_mut().filter(|byte| matches!(byte, b'%' | b'/')) {
        *byte = b'-';
    }
}

/// Walks the code symbol by symbol; symbols of more than eight bits are in no path that a plugin is called at.
fn rename_coded(value: &mut [u8]) {
    const PERCENT: u32 = 0b010_101;
    const SLASH: u32 = 0b011_000;
    const HYPHEN: u32 = 0b010_110;
    let mut at = 0;
    while at + 5 <= value.len() * 8 {
        let window = bits(value, at);
        let length = match window {
            0..=0b0100_1111 => 5,
            0b0101_0000..=0b1011_0111 => 6,
            0b1011_1000..=0b1111_0111 => 7,
            0b1111_1000..=0b1111_1101 => 8,
            _ => return,
        };
        if length == 6 && matches!(window >> 2, PERCENT | SLASH) && at + 6 <= value.len() * 8 {
            for bit in 0..6 {
                set(value, at + bit, HYPHEN >> (5 - bit) & 1 == 1);
            }
        }
        at += length;
    }
}

/// Eight bits from `at` on; what lies behind the end counts as ones, as HPACK's padding does.
fn bits(value: &[u8], at: usize) -> u32 {
    let byte = |index: usize| u32::from(value.get(index).copied().unwrap_or(0xff));
    let both = byte(at / 8) << 8 | byte(at / 8 + 1);
    both >> (8 - at % 8) & 0xff
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

    #[test]
    fn only_the_authority_of_a_header_block_is_changed() {
        // :method GET (indexed 2), :path literal "/a%", :authority literal "/x".
        let mut block = vec![0x82, 0x44, 3, b'/', b'a', b'%', 0x41, 2, b'/', b'x'];
        rename(&mut block, 0);
        assert_eq!(block, [0x82, 0x44, 3, b'/', b'a', b'%', 0x41, 2, b'-', b'x']);
    }
}
