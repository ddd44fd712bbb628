//! A body for readers that block: they run on a thread of their own, get bytes as these come, and hand over batches one by one.

use std::io::{self, BufRead, Read};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::formats::{BodyFormat, Contents, SourceError, TextOptions, open_body};

/// What a reader found.
#[derive(Debug)]
pub(super) enum Event {
    /// The schema of all batches.
    Opened(SchemaRef),
    /// Rows.
    Batch(RecordBatch),
    /// There are no more, and the body is whole.
    End,
    /// What is wrong with it.
    Failed(SourceError),
}

/// Starts a reader. What it finds waits for whoever asks; its channel closes without an end where it panicked.
pub(super) fn start(contents: Contents, format: BodyFormat, text: TextOptions) -> mpsc::Receiver<Event> {
    let (to, events) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let tell = |event| to.blocking_send(event).is_ok();
        let source = match open_body(contents, format, &text) {
            Ok(source) => source,
            Err(error) => {
                tell(Event::Failed(error));
                return;
            }
        };
        if !tell(Event::Opened(SchemaRef::clone(source.schema()))) {
            return;
        }
        for batch in source {
            let (event, failed) = match batch {
                Ok(batch) => (Event::Batch(batch), false),
                Err(error) => (Event::Failed(error), true),
            };
            // Nobody waits any more where the request is over.
            if !tell(event) || failed {
                return;
            }
        }
        tell(Event::End);
    });
    events
}

/// The bytes of a body as a reader takes them.
#[derive(Debug)]
pub(super) struct Piped {
    from: mpsc::Receiver<Bytes>,
    piece: Bytes,
    ended: bool,
}

/// A pipe: what is sent is read, up to an empty piece, which is the body's end. Where there is none, the request is over, and the reader has
/// nothing more to do.
pub(super) fn pipe() -> (mpsc::Sender<Bytes>, Piped) {
    let (to, from) = mpsc::channel(1);
    let piece = Bytes::new();
    let ended = false;
    (to, Piped { from, piece, ended })
}

impl BufRead for Piped {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() && !self.ended {
            self.piece = self.from.blocking_recv().ok_or(io::ErrorKind::ConnectionAborted)?;
            self.ended = self.piece.is_empty();
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
    }
}

impl Read for Piped {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let bytes = piece.len().min(to.len());
        let (taken, _) = piece.split_at(bytes);
        let (place, _) = to.split_at_mut(bytes);
        place.copy_from_slice(taken);
        self.consume(bytes);
        Ok(bytes)
    }
}
