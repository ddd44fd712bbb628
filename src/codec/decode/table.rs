//! COPY BINARY of a whole table as record batches of bounded size: bytes in pieces that split anywhere, complete rows out.
//!
//! Header: 11 bytes of signature, `u32` flags, `u32` length of an extension that is skipped. Row: `i16` number of fields,
//! each an `i32` length (-1 for NULL) and that many bytes. Trailer: an `i16` of -1. Source: "Binary Format" in the
//! COPY page of the Postgres manual. A row is looked at only when all of its bytes are there.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use bytes::{Buf, Bytes, BytesMut};

use super::column::{Decoder, append};
use super::cursor::Cursor;
use super::fault::{DecodeError, Fault};
use crate::codec::wire::SIGNATURE;

/// Flags of the header whose meaning a reader must know; none is defined today (16 was "has OIDs").
const CRITICAL_FLAGS: u32 = 0xFFFF_0000;
/// Postgres sends no message of 1 GiB or more, and a row is one message.
const MAX_ROW_BYTES: usize = 1 << 30;

/// How large a batch becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most rows.
    pub rows: usize,
    /// Most bytes; a single row above it is a batch of its own.
    pub bytes: usize,
}

impl BatchLimits {
    /// Above this, offsets of 32 bits could not count what one more row may bring.
    pub const LARGEST: Self = Self {
        rows: 1 << 20,
        bytes: 256 << 20,
    };
}

impl Default for BatchLimits {
    /// Batches that travel in one message under the 4 MiB that gRPC clients take by default.
    fn default() -> Self {
        Self {
            rows: 1 << 16,
            bytes: 2 << 20,
        }
    }
}

/// A column as it is read.
pub(crate) struct ReadColumn {
    /// The Postgres type in words, for messages.
    pub(crate) pg: String,
    /// Its decoder, planned for the field of the same position in the schema.
    pub(crate) decoder: Decoder,
}

/// Turns COPY BINARY into record batches.
pub struct TableDecoder {
    schema: SchemaRef,
    columns: Vec<ReadColumn>,
    limits: BatchLimits,
    place: Place,
    /// The start of a row whose end has not come yet.
    held: BytesMut,
    /// Bytes that follow `held`; looked at in place where nothing is held.
    piece: Bytes,
    rows_done: u64,
    batch_rows: usize,
    batch_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Rows,
    End,
}

/// What looking at some bytes brought.
enum Step {
    /// So many bytes were used, and there may be more to use.
    Used(usize),
    /// The batch is full.
    Full,
    /// The bytes are a part of something.
    Partial,
}

impl std::fmt::Debug for TableDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableDecoder")
            .field("schema", &self.schema)
            .field("place", &self.place)
            .field("rows_done", &self.rows_done)
            .finish_non_exhaustive()
    }
}

impl TableDecoder {
    /// A decoder for rows of these columns, one for each field of `schema`.
    pub(crate) fn new(schema: SchemaRef, columns: Vec<ReadColumn>, limits: BatchLimits) -> Self {
        Self {
            schema,
            columns,
            limits: BatchLimits {
                rows: limits.rows.clamp(1, BatchLimits::LARGEST.rows),
                bytes: limits.bytes.clamp(1, BatchLimits::LARGEST.bytes),
            },
            place: Place::Header,
            held: BytesMut::new(),
            piece: Bytes::new(),
            rows_done: 0,
            batch_rows: 0,
            batch_bytes: 0,
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows decoded so far.
    pub fn rows(&self) -> u64 {
        self.rows_done
    }

    /// Takes the next piece. Call [`Self::batch`] until it has none before feeding more, else pieces are copied.
    pub fn feed(&mut self, piece: Bytes) {
        if self.piece.is_empty() {
            self.piece = piece;
        } else {
            self.held.extend_from_slice(&self.piece);
            self.held.extend_from_slice(&piece);
            self.piece = Bytes::new();
        }
    }

    /// The next full batch out of what was fed; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no COPY BINARY of these columns, or a value does not fit its Arrow type. The decoder is then of no
    /// further use.
    pub fn batch(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        if !self.held.is_empty() && !self.piece.is_empty() {
            self.held.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
        }
        let from_held = !self.held.is_empty();
        let bytes = if from_held {
            std::mem::take(&mut self.held).freeze()
        } else {
            std::mem::take(&mut self.piece)
        };
        let mut used = 0;
        let full = loop {
            match self.step(bytes.get(used..).unwrap_or_default())? {
                Step::Used(count) => used += count,
                Step::Full => break true,
                Step::Partial => break false,
            }
        };
        let mut rest = bytes;
        rest.advance(used);
        // Also without another row: it may wait until this batch is gone.
        if full || (self.batch_rows > 0 && self.batch_bytes >= self.limits.bytes) {
            self.piece = rest;
            return self.cut().map(Some);
        }
        // Unique bytes change their owner without being copied, so that a row in many pieces is not copied for each.
        self.held = match rest.is_empty() {
            true => BytesMut::new(),
            false => BytesMut::from(rest),
        };
        Ok(None)
    }

    /// The last batch, once all bytes were fed and [`Self::batch`] has no more.
    ///
    /// # Errors
    /// The stream ended without its trailer: rows may be missing.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        if self.place != Place::End {
            return Err(self.frame("it ends without the trailer"));
        }
        if self.batch_rows == 0 {
            return Ok(None);
        }
        self.cut().map(Some)
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, DecodeError> {
        match self.place {
            Place::Header => self.header(bytes),
            Place::Rows => self.row(bytes),
            Place::End if bytes.is_empty() => Ok(Step::Partial),
            Place::End => Err(self.frame("there are bytes after the trailer")),
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Step, DecodeError> {
        let known = bytes.len().min(SIGNATURE.len());
        if bytes.get(..known) != SIGNATURE.get(..known) {
            return Err(self.frame("it does not start with the signature"));
        }
        let mut cursor = Cursor::new(bytes.get(known..).unwrap_or_default());
        let (Ok(flags), Ok(extension)) = (cursor.array::<4>(), cursor.array::<4>()) else {
            return Ok(Step::Partial);
        };
        if u32::from_be_bytes(flags) & CRITICAL_FLAGS != 0 {
            return Err(self.frame("its header has flags that are not known"));
        }
        let extension = u32::from_be_bytes(extension) as usize;
        if extension > MAX_ROW_BYTES {
            return Err(self.frame("its header has an extension of more than 1 GiB"));
        }
        if cursor.take(extension).is_err() {
            return Ok(Step::Partial);
        }
        self.place = Place::Rows;
        Ok(Step::Used(bytes.len() - cursor.rest().len()))
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Step, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let Ok(count) = cursor.i16() else {
            return Ok(Step::Partial);
        };
        if count == -1 {
            self.place = Place::End;
            return Ok(Step::Used(2));
        }
        if usize::try_from(count).ok() != Some(self.columns.len()) {
            let expected = self.columns.len();
            return Err(self.frame(format!("a row has {count} fields, {expected} were asked for")));
        }
        let fields = cursor;
        for _ in 0..self.columns.len() {
            match cursor.field() {
                Ok(_) => {}
                Err(Fault::Malformed(reason)) => return Err(self.frame(reason)),
                Err(_) if bytes.len() > MAX_ROW_BYTES => return Err(self.frame("a row exceeds 1 GiB")),
                Err(_) => return Ok(Step::Partial),
            }
        }
        let size = bytes.len() - cursor.rest().len();
        let crowded = self.batch_rows > 0 && self.batch_bytes + size > self.limits.bytes;
        if crowded || self.batch_rows >= self.limits.rows || self.batch_bytes >= self.limits.bytes {
            return Ok(Step::Full);
        }
        self.batch_bytes += self.fields(fields)?.max(size);
        self.batch_rows += 1;
        self.rows_done += 1;
        Ok(Step::Used(size))
    }

    /// Appends the fields of a row that is known to be complete.
    fn fields(&mut self, mut cursor: Cursor<'_>) -> Result<usize, DecodeError> {
        let mut bytes = 0;
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let appended = cursor
                .field()
                .and_then(|payload| append(&mut *column.decoder, field.is_nullable(), payload));
            bytes += appended.map_err(|fault| DecodeError::Field {
                column: field.name().clone(),
                row: self.rows_done,
                pg: column.pg.clone(),
                arrow: field.data_type().to_string(),
                fault,
            })?;
        }
        Ok(bytes)
    }

    fn cut(&mut self) -> Result<RecordBatch, DecodeError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.batch_rows));
        self.batch_rows = 0;
        self.batch_bytes = 0;
        let arrays = self.columns.iter_mut().map(|column| column.decoder.finish());
        arrays
            .collect::<Result<Vec<_>, _>>()
            .and_then(|arrays| RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options))
            .map_err(|error| DecodeError::Batch {
                row: self.rows_done,
                reason: error.to_string(),
            })
    }

    fn frame(&self, reason: impl Into<String>) -> DecodeError {
        DecodeError::Frame {
            row: self.rows_done,
            reason: reason.into(),
        }
    }
}
