//! The bytes of a body, unpacked piece by piece as somebody takes them: what stands for much more than it has bytes is never more than
//! a piece ahead. A body that ends before its end is an error. Knows nothing of what the bytes mean.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use futures::Stream;
use hyper::body::Body as _;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use crate::server::flight::pump::Lost;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Bytes that are given to the decoder of gzip at once: they become a thousand times as many at most.
const GZIP_STEP: usize = 256;
/// Bytes that the decoder of Zstandard makes at once.
const ZSTD_STEP: usize = 128 << 10;
/// The largest window that a client may ask for, as RFC 9659 bounds it for bodies: 8 MiB, as a power of two.
const ZSTD_WINDOW: u32 = 23;

enum Unpacker {
    None,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Box<Decoder<'static>>,
        in_frame: bool,
    },
}

/// A body as a stream of plain bytes.
pub(super) struct Unpacked {
    body: Body,
    unpacker: Unpacker,
    /// What came and is not unpacked.
    packed: Bytes,
    /// Whether anything came at all.
    began: bool,
    over: bool,
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked")
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Unpacked {
    pub(super) fn new(body: Body, packing: Packing) -> io::Result<Self> {
        let unpacker = match packing {
            Packing::None => Unpacker::None,
            Packing::Gzip => Unpacker::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Packing::Zstd => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
                let (decoder, in_frame) = (Box::new(decoder), false);
                Unpacker::Zstd { decoder, in_frame }
            }
        };
        Ok(Self {
            body,
            unpacker,
            packed: Bytes::new(),
            began: false,
            over: false,
        })
    }

    /// How many plain bytes there are, where the body says so.
    pub(super) fn length(&self) -> Option<u64> {
        match self.unpacker {
            Unpacker::None => self.body.size_hint().exact(),
            Unpacker::Gzip(_) | Unpacker::Zstd { .. } => None,
        }
    }

    fn fail(&mut self, lost: Lost) -> Poll<Option<Result<Bytes, Lost>>> {
        self.over = true;
        Poll::Ready(Some(Err(lost)))
    }
}

impl Unpacker {
    /// Some plain bytes of what came; none where more has to come first.
    fn step(&mut self, packed: &mut Bytes) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(std::mem::take(packed)),
            Self::Gzip(decoder) => {
                let mut plain = Vec::new();
                while plain.is_empty() && packed.has_remaining() {
                    let piece = packed.split_to(GZIP_STEP.min(packed.len()));
                    decoder.write_all(&piece)?;
                    plain = std::mem::take(decoder.get_mut());
                }
                Ok(plain.into())
            }
            Self::Zstd { decoder, in_frame } => {
                let mut plain = vec![0; ZSTD_STEP];
                let mut written = 0;
                // Also without further input: the last step may have had no room for all of it.
                while written == 0 {
                    if !*in_frame && packed.has_remaining() {
                        decoder.reinit()?;
                        *in_frame = true;
                    }
                    if !*in_frame {
                        break;
                    }
                    let done = decoder.run_on_buffers(packed, &mut plain)?;
                    packed.advance(done.bytes_read);
                    written = done.bytes_written;
                    *in_frame = done.remaining != 0;
                    if done.bytes_read == 0 && written == 0 {
                        break;
                    }
                }
                plain.truncate(written);
                Ok(plain.into())
            }
        }
    }

    /// The body has ended.
    fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Zstd { in_frame: false, .. } => Ok(Bytes::new()),
            Self::Zstd { in_frame: true, .. } => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip(_) => "gzip",
            Self::Zstd { .. } => "zstd",
        }
    }
}

fn unpackable(name: &str, error: &io::Error) -> Lost {
    Lost::Malformed(format!("the body cannot be unpacked as {name}, or is cut off: {error}"))
}

impl Stream for Unpacked {
    type Item = Result<Bytes, Lost>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.over {
            match this.unpacker.step(&mut this.packed) {
                Ok(plain) if !plain.is_empty() => return Poll::Ready(Some(Ok(plain))),
                Ok(_) => {}
                Err(error) => {
                    let lost = unpackable(this.unpacker.name(), &error);
                    return this.fail(lost);
                }
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.began |= !data.is_empty();
                        this.packed = data;
                    }
                }
                Some(Err(error)) => {
                    let reason = told(&error);
                    return this.fail(Lost::Gone(reason));
                }
                None => {
                    this.over = true;
                    // An empty body is empty, however it is said to be packed.
                    let last = if this.began {
                        this.unpacker.finish()
                    } else {
                        Ok(Bytes::new())
                    };
                    return match last {
                        Ok(plain) if plain.is_empty() => Poll::Ready(None),
                        Ok(plain) => Poll::Ready(Some(Ok(plain))),
                        Err(error) => Poll::Ready(Some(Err(unpackable(this.unpacker.name(), &error)))),
                    };
                }
            }
        }
        Poll::Ready(None)
    }
}

/// An error with its causes.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn plain(packed: Vec<u8>, packing: Packing) -> Result<Vec<u8>, String> {
        // In pieces that cut everything.
        let pieces: Vec<_> = packed
            .chunks(7)
            .map(|piece| io::Result::Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let mut body = Unpacked::new(Body::from_stream(futures::stream::iter(pieces)), packing).unwrap();
        let (mut all, mut largest) = (Vec::new(), 0);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|lost| format!("{lost:?}"))?;
            largest = largest.max(piece.len());
            all.extend(piece);
        }
        assert!(largest <= 1 << 20, "{largest}");
        Ok(all)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn bodies_come_out_as_they_were_packed_in_small_pieces() {
        for text in [vec![0; 3_000_000], b"id\n1\n".to_vec()] {
            let zstd = zstd::encode_all(&text[..], 3).unwrap();
            assert!(plain(gzip(&text), Packing::Gzip).await.unwrap() == text);
            assert!(plain(zstd.clone(), Packing::Zstd).await.unwrap() == text);
            assert!(plain(text.clone(), Packing::None).await.unwrap() == text);
            let twice = [text.clone(), text.clone()].concat();
            assert!(plain([gzip(&text), gzip(&text)].concat(), Packing::Gzip).await.unwrap() == twice);
            assert!(plain([zstd.clone(), zstd].concat(), Packing::Zstd).await.unwrap() == twice);
        }
        assert_eq!(plain(Vec::new(), Packing::Gzip).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn what_is_cut_off_or_no_such_thing_is_an_error() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (packed, packing) in [
            (gzip(&text), Packing::Gzip),
            (zstd::encode_all(&text[..], 3).unwrap(), Packing::Zstd),
        ] {
            for cut in [1, 9, packed.len() / 2, packed.len() - 1] {
                let error = plain(packed[..cut].to_vec(), packing).await.unwrap_err();
                assert!(error.contains("cut off"), "{packing:?} {cut}: {error}");
            }
            assert!(plain(text[..1000].to_vec(), packing).await.is_err());
        }
    }
}
