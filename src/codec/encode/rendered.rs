//! Cells whose payload is costly to make: it is made in the first pass and kept for the second, within bounds while it is made.
//!
//! A small value may stand for a long text (views of one text, control characters in a document), so what renders one asks for
//! room before it writes: the text ends at what Postgres takes, and before that where a turn has made enough.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::buffer::NullBuffer;

use super::column::{
    ColumnEncoder, Encoder, Faults, MAX_FIELD, Scratch, fits, length_word, put_field, put_null, some_nulls,
};
use super::error::CellReason;

/// Payloads that a column keeps from pass 1 to pass 2. Rows may share a value (a dictionary of one long text under structs), so a
/// small batch can stand for more than memory holds; what is over this is made again.
const KEPT_BYTES: usize = 16 << 20;
/// Bytes of all strings of a `jsonb` value: the parts of an array or object have offsets of 28 bits.
const MAX_JSONB_STRINGS: usize = (1 << 28) - 1;
/// Length from which on a text gets all the room that it may need at once: to grow by copies would take twice as much.
const GROWN: usize = 64 << 20;

/// Bytes that may be made in one turn, by all columns and their children; no bound by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Option<Arc<AtomicUsize>>);

impl Meter {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Some(Arc::new(AtomicUsize::new(bytes))))
    }

    fn left(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |left| left.load(Ordering::Relaxed))
    }

    fn spend(&self, bytes: usize) {
        if let Some(left) = &self.0 {
            left.store(self.left().saturating_sub(bytes), Ordering::Relaxed);
        }
    }
}

/// A text that is being made, behind what is there; it knows how long it may get.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    start: usize,
    left: usize,
    strings: Option<usize>,
}

impl Text {
    fn behind(bytes: Vec<u8>, left: usize) -> Self {
        Self {
            start: bytes.len(),
            bytes,
            left,
            strings: None,
        }
    }

    /// Whether so many bytes more may be written.
    pub(crate) fn room(&mut self, more: usize) -> Result<(), CellReason> {
        let size = (self.bytes.len() - self.start).saturating_add(more);
        fits(size)?;
        if size > self.left {
            return Err(CellReason::NotNow);
        }
        let grows = self.bytes.len() + more > self.bytes.capacity() && size > GROWN;
        if grows
            && self
                .bytes
                .try_reserve_exact(self.left.min(MAX_FIELD) - size + more)
                .is_err()
        {
            return Err(CellReason::NoMemory(size));
        }
        Ok(())
    }

    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), CellReason> {
        self.room(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// From now on the strings count that a `jsonb` value has.
    pub(crate) fn count_strings(&mut self) {
        self.strings = Some(0);
    }

    /// Notes a string of a document, before its characters are escaped.
    pub(crate) fn string(&mut self, bytes: usize) -> Result<(), CellReason> {
        if let Some(strings) = &mut self.strings {
            *strings = strings.saturating_add(bytes);
            if *strings > MAX_JSONB_STRINGS {
                return Err(CellReason::JsonbTooLarge);
            }
        }
        Ok(())
    }
}

impl Deref for Text {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Text {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

struct Rendered<F> {
    nulls: Option<NullBuffer>,
    render: F,
}

/// An encoder for cells whose payload is costly to make and not much longer than the value: made in pass 1, and copied in pass 2 as
/// far as it was kept.
pub(crate) fn rendered<F>(nulls: Option<&NullBuffer>, render: F) -> Encoder
where
    F: Fn(usize, &mut Vec<u8>) -> Result<(), CellReason> + Send + Sync + 'static,
{
    rendered_text(nulls, move |row, text| render(row, text))
}

/// The same for payloads that may be far longer than the value; what renders them asks for room.
pub(crate) fn rendered_text<F>(nulls: Option<&NullBuffer>, render: F) -> Encoder
where
    F: Fn(usize, &mut Text) -> Result<(), CellReason> + Send + Sync + 'static,
{
    Box::new(Rendered {
        nulls: some_nulls(nulls),
        render,
    })
}

impl<F> Rendered<F>
where
    F: Fn(usize, &mut Text) -> Result<(), CellReason> + Send + Sync,
{
    /// Appends the payload of a row, or nothing.
    fn append(&self, row: usize, left: usize, bytes: &mut Vec<u8>) -> Result<(), CellReason> {
        let mut text = Text::behind(std::mem::take(bytes), left);
        let outcome = (self.render)(row, &mut text).and_then(|()| text.room(0));
        if outcome.is_err() {
            text.bytes.truncate(text.start);
        }
        *bytes = text.bytes;
        outcome
    }
}

impl<F> ColumnEncoder for Rendered<F>
where
    F: Fn(usize, &mut Text) -> Result<(), CellReason> + Send + Sync,
{
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults) {
        scratch.bytes.clear();
        scratch.marks.clear();
        for (length, row) in lengths.iter_mut().zip(rows) {
            let start = scratch.bytes.len();
            if self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                if let Err(reason) = self.append(row, scratch.meter.left(), &mut scratch.bytes) {
                    faults.push(row, reason);
                }
                scratch.meter.spend(scratch.bytes.len() - start);
            }
            *length += 4 + scratch.bytes.len() - start;
            if start > 0 && scratch.bytes.len() > KEPT_BYTES {
                scratch.bytes.truncate(start);
            }
            scratch.marks.push(scratch.bytes.len());
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        let (mut start, mut again) = (0, Vec::new());
        for ((cursor, row), end) in cursors.iter_mut().zip(rows).zip(&scratch.marks) {
            if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                put_null(cursor, out);
            } else if start < *end {
                put_field(&scratch.bytes[start..*end], cursor, out);
            } else {
                // Not kept, or empty. Pass 1 refused every cell that is an error here.
                again.clear();
                drop(self.append(row, usize::MAX, &mut again));
                put_field(&again, cursor, out);
            }
            start = *end;
        }
    }

    fn field(&self, row: usize, _: usize, scratch: &mut Scratch) -> (Vec<u8>, Vec<u8>) {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => (super::column::NULL_FIELD.to_vec(), Vec::new()),
            _ => {
                let payload = std::mem::take(&mut scratch.bytes);
                (length_word(payload.len()).to_vec(), payload)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 0, 3, 6, .. are empty, the others have a megabyte of their number.
    fn megabytes() -> Encoder {
        let size = |row: usize| if row.is_multiple_of(3) { 0 } else { 1 << 20 };
        rendered_text(None, move |row, out: &mut Text| {
            out.room(size(row))?;
            let length = out.len() + size(row);
            out.resize(length, row as u8);
            Ok(())
        })
    }

    #[test]
    fn what_is_not_kept_between_the_passes_is_made_again() {
        let size = |row: usize| if row.is_multiple_of(3) { 0 } else { 1 << 20 };
        let encoder = megabytes();
        let (mut lengths, mut scratch, mut faults) = ([0; 60], Scratch::default(), Faults::new(1));
        encoder.measure(0..60, &mut lengths, &mut scratch, &mut faults);
        assert!(faults.found().is_empty());
        assert!(
            scratch.bytes.len() <= KEPT_BYTES,
            "{} bytes are kept",
            scratch.bytes.len()
        );
        let starts = lengths
            .iter()
            .scan(0, |next, length| Some(std::mem::replace(next, *next + length)));
        let (mut cursors, mut out) = (starts.collect::<Vec<_>>(), vec![0xff; lengths.iter().sum()]);
        encoder.write(0..60, &mut cursors, &mut scratch, &mut out);
        let mut rest = out.as_slice();
        for row in 0..60 {
            let (length, payload) = rest.split_at(4);
            assert_eq!(length, length_word(size(row)), "row {row}");
            let (payload, behind) = payload.split_at(size(row));
            assert!(payload.iter().all(|byte| *byte == row as u8), "row {row}");
            rest = behind;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_turn_ends_at_the_row_that_is_too_much_for_it() {
        let (mut lengths, mut faults) = ([0; 60], Faults::new(usize::MAX));
        let mut scratch = Scratch::of(&Meter::of(5 << 20));
        megabytes().measure(0..60, &mut lengths, &mut scratch, &mut faults);
        assert_eq!(faults.found().first(), Some(&(8, CellReason::NotNow)));
        assert!(scratch.bytes.len() <= 5 << 20);
    }

    #[test]
    fn a_text_ends_where_postgres_ends() {
        let mut text = Text::behind(vec![1, 2, 3], usize::MAX);
        assert_eq!(text.room(MAX_FIELD), Ok(()));
        assert!(matches!(text.room(MAX_FIELD + 1), Err(CellReason::FieldTooLarge(_))));
        assert_eq!(text.string(usize::MAX), Ok(()));
        text.count_strings();
        assert_eq!(text.string(MAX_JSONB_STRINGS), Ok(()));
        assert_eq!(text.string(1), Err(CellReason::JsonbTooLarge));
    }
}
