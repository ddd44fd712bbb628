//! The messages of an Arrow IPC stream or file, cut out of a body: what Flight sends one by one. A message waits before its body, as a
//! part of the connection's window, until there is memory for all of it. Reads no message.
//!
//! Format: Arrow columnar format, "Encapsulated message format", "IPC Streaming Format", "IPC File Format". The messages of a file stand in
//! it as in a stream, so it is read from its beginning, and its end proves that it is whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow_flight::FlightData;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};

use super::unpacked::Unpacked;
use crate::server::arrow_ipc::body_length;
use crate::server::flight::pump::Lost;
use crate::server::upload::Gate;

/// What a file begins with, with the padding behind it, and ends with.
const MAGIC: (&[u8], &[u8]) = (b"ARROW1\0\0", b"ARROW1");
/// Marks the length of a message since Arrow 0.15; before, the length stood alone.
const CONTINUATION: &[u8] = &[0xff; 4];
/// Words that a file may have before its first message: writers align it to 64 bytes at most.
const MOST_PADDING: usize = 16;
/// A longer header is no header: 1,600 columns take some hundred KiB.
const MOST_HEADER: usize = 16 << 20;

/// What comes next.
#[derive(Debug)]
enum Place {
    /// The file's beginning.
    Magic,
    /// Zeros behind it, of which so many words came.
    Padding(usize),
    /// The mark before a length, or the length.
    Mark,
    /// The length behind its mark.
    Length,
    /// A header of so many bytes.
    Header(usize),
    /// The body of so many bytes that belongs to a header.
    Body(Bytes, usize),
    /// What follows the last message of a file.
    Footer,
    /// Nothing.
    Behind,
}

/// A body as a stream of messages.
#[derive(Debug)]
pub(super) struct Messages {
    body: Unpacked,
    gate: Gate,
    is_file: bool,
    most: usize,
    place: Place,
    /// What came and is not taken.
    came: Bytes,
    part: BytesMut,
    /// Whether the message whose body comes was let in.
    let_in: bool,
    over: bool,
}

impl Messages {
    /// Of a body; a message has at most so many bytes.
    pub(super) fn new(body: Unpacked, gate: Gate, is_file: bool, most: usize) -> Self {
        Self {
            body,
            gate,
            is_file,
            most,
            place: if is_file { Place::Magic } else { Place::Mark },
            came: Bytes::new(),
            part: BytesMut::new(),
            let_in: false,
            over: false,
        }
    }

    /// So many bytes; `None` where the body ends before the first of them.
    fn poll_part(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Lost>> {
        if self.part.is_empty() {
            self.part.reserve(bytes);
        }
        while self.part.len() < bytes {
            let taken = self.came.split_to((bytes - self.part.len()).min(self.came.len()));
            self.part.extend_from_slice(&taken);
            if self.part.len() < bytes && !ready!(self.poll_more(cx))? {
                return Poll::Ready(match self.part.is_empty() {
                    true => Ok(None),
                    false => Err(cut_off()),
                });
            }
        }
        Poll::Ready(Ok(Some(std::mem::take(&mut self.part).freeze())))
    }

    /// Waits for more bytes; `false` at the body's end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Lost>> {
        match ready!(self.body.poll_next_unpin(cx)) {
            Some(came) => {
                self.came = came?;
                self.gate.heard();
                Poll::Ready(Ok(true))
            }
            None => Poll::Ready(Ok(false)),
        }
    }

    /// The next message, or `None` behind the last one.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<FlightData>, Lost>> {
        loop {
            self.place = match &self.place {
                Place::Magic => match ready!(self.poll_part(MAGIC.0.len(), cx))? {
                    Some(magic) if magic == MAGIC.0 => Place::Padding(0),
                    _ => return malformed("the body does not begin as an Arrow file"),
                },
                Place::Padding(words) => {
                    let words = *words;
                    ready!(self.poll_padding(words, cx))?
                }
                Place::Mark => match ready!(self.poll_part(CONTINUATION.len(), cx))? {
                    None if self.is_file => return Poll::Ready(Err(cut_off())),
                    None => Place::Behind,
                    Some(mark) if mark == CONTINUATION => Place::Length,
                    Some(length) => self.behind_length(&length)?,
                },
                Place::Length => match ready!(self.poll_part(CONTINUATION.len(), cx))? {
                    None => return Poll::Ready(Err(cut_off())),
                    Some(length) => self.behind_length(&length)?,
                },
                Place::Header(length) => {
                    let length = *length;
                    ready!(self.poll_header(length, cx))?
                }
                Place::Body(header, length) => {
                    let (header, length) = (header.clone(), *length);
                    let message = ready!(self.poll_body(header, length, cx))?;
                    self.place = Place::Mark;
                    return Poll::Ready(Ok(Some(message)));
                }
                Place::Footer => {
                    ready!(self.poll_footer(cx))?;
                    return Poll::Ready(Ok(None));
                }
                Place::Behind => {
                    if self.came.has_remaining() || ready!(self.poll_more(cx))? {
                        return malformed("something follows the end of the Arrow stream");
                    }
                    return Poll::Ready(Ok(None));
                }
            };
        }
    }

    /// Zeros between a file's beginning and its first message, or the mark of that.
    fn poll_padding(&mut self, words: usize, cx: &mut Context<'_>) -> Poll<Result<Place, Lost>> {
        Poll::Ready(match ready!(self.poll_part(CONTINUATION.len(), cx))? {
            Some(zeros) if zeros == [0; 4][..] && words < MOST_PADDING => Ok(Place::Padding(words + 1)),
            Some(mark) if mark == CONTINUATION => Ok(Place::Length),
            Some(length) => self.behind_length(&length),
            None => Err(cut_off()),
        })
    }

    fn poll_header(&mut self, length: usize, cx: &mut Context<'_>) -> Poll<Result<Place, Lost>> {
        let Some(header) = ready!(self.poll_part(length, cx))? else {
            return Poll::Ready(Err(cut_off()));
        };
        let body = body_length(&header).map_err(Lost::Malformed)?;
        let body = usize::try_from(body).unwrap_or(usize::MAX);
        self.check_size(length.saturating_add(body))?;
        Poll::Ready(Ok(Place::Body(header, body)))
    }

    /// The body of a message, once it was let in.
    fn poll_body(&mut self, header: Bytes, length: usize, cx: &mut Context<'_>) -> Poll<Result<FlightData, Lost>> {
        if !self.let_in && !self.gate.passes(header.len() + length) {
            return Poll::Pending;
        }
        self.let_in = true;
        let data_body = match ready!(self.poll_part(length, cx))? {
            None if length > 0 => return Poll::Ready(Err(cut_off())),
            body => body.unwrap_or_default(),
        };
        self.gate.came();
        self.let_in = false;
        Poll::Ready(Ok(FlightData {
            data_header: header,
            data_body,
            ..FlightData::default()
        }))
    }

    /// What follows the last message of a file: only its last bytes count, which prove that it is whole.
    fn poll_footer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            let came = std::mem::take(&mut self.came);
            self.part.extend_from_slice(&came);
            let more = self.part.len().saturating_sub(MAGIC.1.len());
            self.part.advance(more);
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(match self.part == MAGIC.1 {
                    true => Ok(()),
                    false => Err(cut_off()),
                });
            }
        }
    }

    fn behind_length(&self, length: &[u8]) -> Result<Place, Lost> {
        let length = length
            .iter()
            .rev()
            .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        match length {
            0 if self.is_file => Ok(Place::Footer),
            0 => Ok(Place::Behind),
            _ if length > MOST_HEADER.min(self.most) => Err(Lost::Malformed(
                "where the length of a message should be is none; the body is no Arrow data".to_owned(),
            )),
            _ => Ok(Place::Header(length)),
        }
    }

    fn check_size(&self, bytes: usize) -> Result<(), Lost> {
        match bytes > self.most {
            true => Err(Lost::TooLarge(format!(
                "a message has {bytes} bytes; at most {} are taken (limits.max_message_bytes)",
                self.most
            ))),
            false => Ok(()),
        }
    }
}

fn cut_off() -> Lost {
    Lost::Malformed("the body ends in the middle; it may be cut off".to_owned())
}

fn malformed<T>(reason: &str) -> Poll<Result<T, Lost>> {
    Poll::Ready(Err(Lost::Malformed(reason.to_owned())))
}

impl Stream for Messages {
    type Item = Result<FlightData, Lost>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let message = ready!(this.poll_message(cx)).transpose();
        this.over = !matches!(message, Some(Ok(_)));
        Poll::Ready(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::unpacked::Packing;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use arrow::ipc::MetadataVersion;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use axum::body::Body;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef)]).unwrap()
    }

    fn stream() -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch().schema()).unwrap();
        writer.write(&batch()).unwrap();
        writer.write(&batch()).unwrap();
        writer.into_inner().unwrap()
    }

    /// Writers align messages differently, the first one too.
    fn file(alignment: usize) -> Vec<u8> {
        let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5).unwrap();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch().schema(), options).unwrap();
        writer.write(&batch()).unwrap();
        writer.into_inner().unwrap()
    }

    async fn read(bytes: &[u8], is_file: bool) -> Result<usize, String> {
        let pieces: Vec<_> = bytes
            .chunks(5)
            .map(|piece| std::io::Result::Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Unpacked::new(Body::from_stream(futures::stream::iter(pieces)), Packing::None).unwrap();
        let mut messages = Messages::new(body, Gate::default(), is_file, 1 << 20);
        let mut count = 0;
        while let Some(message) = messages.next().await {
            message.map_err(|lost| format!("{lost:?}"))?;
            count += 1;
        }
        Ok(count)
    }

    #[tokio::test]
    async fn the_messages_of_streams_and_files_are_told_apart() {
        assert_eq!(read(&stream(), false).await.unwrap(), 3);
        for alignment in [8, 64] {
            assert_eq!(read(&file(alignment), true).await.unwrap(), 2, "{alignment}");
        }
        let without_end = &stream()[..stream().len() - 8];
        assert_eq!(
            read(without_end, false).await.unwrap(),
            3,
            "the mark of the end may be left out"
        );
        assert_eq!(read(b"", false).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_body_that_ends_in_the_middle_goes_on_behind_its_end_or_is_too_large_is_refused() {
        for (bytes, is_file) in [(stream(), false), (file(64), true)] {
            let ends = [1, bytes.len() / 2, bytes.len() - if is_file { 1 } else { 9 }];
            for end in ends {
                let error = read(&bytes[..end], is_file).await.unwrap_err();
                assert!(
                    error.contains("cut off") || error.contains("does not begin"),
                    "{end}: {error}"
                );
            }
        }
        let longer = [stream(), vec![0]].concat();
        assert!(read(&longer, false).await.unwrap_err().contains("something follows"));
        assert!(
            read(b"garbage that is long enough", false)
                .await
                .unwrap_err()
                .contains("no Arrow data")
        );
        assert!(
            read(b"garbage that is long enough", true)
                .await
                .unwrap_err()
                .contains("does not begin")
        );
    }
}
