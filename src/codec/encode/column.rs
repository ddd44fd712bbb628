//! How one column becomes fields: the two passes, and the encoder of cells of one size.
//!
//! Pass 1 ([`ColumnEncoder::measure`]) checks every cell of a row range and adds the field's size to its row; pass 2
//! ([`ColumnEncoder::write`]) puts the fields at the rows' cursors and cannot fail. A field is a big-endian `i32` length
//! (-1 for NULL) and the payload, in tuples and inside arrays and composites alike, so encoders nest.

use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;

use super::error::{CellReason, Refused, WrongArray};
use super::rendered::Meter;
pub(crate) use super::rendered::{rendered, rendered_text};
use crate::codec::wire::NULL_LENGTH;

/// Largest payload of one field: Postgres' 1 GiB allocation limit less the header of a `text` value.
pub(crate) const MAX_FIELD: usize = 0x3FFF_FFFB;

/// The length word of a NULL field.
pub(crate) const NULL_FIELD: [u8; 4] = NULL_LENGTH.to_be_bytes();

/// Encodes the cells of one array.
pub(crate) trait ColumnEncoder: Send + Sync {
    /// Adds `4 + payload` to `lengths[i]` for row `rows.start + i` and reports every cell that cannot be stored.
    /// What is costly to find twice is left in `scratch` for [`Self::write`].
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults);

    /// Writes the fields of `rows` at `cursors` and moves the cursors behind them. `rows` starts where the measured
    /// range started and is no longer than it; no measured cell was at fault.
    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]);

    /// The field of one row that was measured alone and takes `length` bytes, in two parts that may be empty: a large payload that
    /// is there already is given away and not copied.
    fn field(&self, row: usize, length: usize, scratch: &mut Scratch) -> (Vec<u8>, Vec<u8>) {
        let mut field = vec![0; length];
        self.write(row..row + 1, &mut [0], scratch, &mut field);
        (field, Vec::new())
    }
}

/// An encoder bound to an array.
pub(crate) type Encoder = Box<dyn ColumnEncoder>;

/// A planned column: makes an encoder for each batch's array.
pub(crate) type Bind = Box<dyn Fn(&ArrayRef) -> Result<Encoder, WrongArray> + Send + Sync>;

/// The outcome of planning a column.
pub(crate) type Planned = Result<Bind, Refused>;

/// Working memory of one column between the passes.
#[derive(Default, Debug)]
pub(crate) struct Scratch {
    /// Payloads found in pass 1.
    pub(crate) bytes: Vec<u8>,
    /// Ends of the payloads in `bytes`, or lengths and later cursors of child cells.
    pub(crate) marks: Vec<usize>,
    /// Working memory of child columns.
    pub(crate) children: Vec<Scratch>,
    /// What may be made in this turn.
    pub(crate) meter: Meter,
}

impl Scratch {
    /// Working memory for the same turn.
    pub(crate) fn of(meter: &Meter) -> Self {
        Self {
            meter: meter.clone(),
            ..Self::default()
        }
    }
}

/// Cells that cannot be stored, one per row at most, in row order.
#[derive(Debug)]
pub(crate) struct Faults {
    limit: usize,
    found: Vec<(usize, CellReason)>,
}

impl Faults {
    /// Keeps the first `limit` faulty rows.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            found: Vec::new(),
        }
    }

    /// Notes that `row` cannot be stored; rows come in ascending order, later faults of a row are dropped.
    #[cold]
    pub(crate) fn push(&mut self, row: usize, reason: CellReason) {
        let repeated = self.found.last().is_some_and(|(last, _)| *last == row);
        if !repeated && self.found.len() < self.limit {
            self.found.push((row, reason));
        }
    }

    /// The faults found.
    pub(crate) fn found(&self) -> &[(usize, CellReason)] {
        &self.found
    }
}

/// Makes a plan for arrays of exactly the type `A`.
pub(crate) fn bind_as<A, M>(make: M) -> Planned
where
    A: Array + Clone + 'static,
    M: Fn(A) -> Encoder + Send + Sync + 'static,
{
    Ok(Box::new(move |array| match array.as_any().downcast_ref::<A>() {
        Some(array) => Ok(make(array.clone())),
        None => Err(WrongArray::Type(array.data_type().clone())),
    }))
}

/// Nulls only where there are any, so that the common case needs no test per cell.
pub(crate) fn some_nulls(nulls: Option<&NullBuffer>) -> Option<NullBuffer> {
    nulls.filter(|nulls| nulls.null_count() > 0).cloned()
}

/// Cells of a constant payload size `N`; `value` gives the payload of a cell that is not NULL.
pub(crate) struct Fixed<F, const N: usize> {
    nulls: Option<NullBuffer>,
    checked: bool,
    value: F,
}

/// An encoder for cells of `N` bytes where any cell may be at fault.
pub(crate) fn fixed<F, const N: usize>(nulls: Option<&NullBuffer>, value: F) -> Encoder
where
    F: Fn(usize) -> Result<[u8; N], CellReason> + Send + Sync + 'static,
{
    Box::new(Fixed {
        nulls: some_nulls(nulls),
        checked: true,
        value,
    })
}

/// An encoder for cells of `N` bytes where every value fits.
pub(crate) fn fixed_any<F, const N: usize>(nulls: Option<&NullBuffer>, value: F) -> Encoder
where
    F: Fn(usize) -> [u8; N] + Send + Sync + 'static,
{
    Box::new(Fixed {
        nulls: some_nulls(nulls),
        checked: false,
        value: move |row| Ok(value(row)),
    })
}

impl<F, const N: usize> Fixed<F, N>
where
    F: Fn(usize) -> Result<[u8; N], CellReason> + Send + Sync,
{
    fn put(&self, row: usize, cursor: &mut usize, out: &mut [u8]) {
        let field = &mut out[*cursor..*cursor + 4 + N];
        field[..4].copy_from_slice(&length_word(N));
        // Pass 1 refused every cell whose value is an error here.
        field[4..].copy_from_slice(&(self.value)(row).unwrap_or([0; N]));
        *cursor += 4 + N;
    }
}

impl<F, const N: usize> ColumnEncoder for Fixed<F, N>
where
    F: Fn(usize) -> Result<[u8; N], CellReason> + Send + Sync,
{
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], _: &mut Scratch, faults: &mut Faults) {
        match &self.nulls {
            None => lengths.iter_mut().for_each(|length| *length += 4 + N),
            Some(nulls) => {
                for (length, row) in lengths.iter_mut().zip(rows.clone()) {
                    *length += 4 + N * usize::from(nulls.is_valid(row));
                }
            }
        }
        if self.checked {
            for row in rows {
                if self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
                    && let Err(reason) = (self.value)(row)
                {
                    faults.push(row, reason);
                }
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], _: &mut Scratch, out: &mut [u8]) {
        match &self.nulls {
            None => {
                for (cursor, row) in cursors.iter_mut().zip(rows) {
                    self.put(row, cursor, out);
                }
            }
            Some(nulls) => {
                for (cursor, row) in cursors.iter_mut().zip(rows) {
                    if nulls.is_valid(row) {
                        self.put(row, cursor, out);
                    } else {
                        put_null(cursor, out);
                    }
                }
            }
        }
    }
}

/// Whether a payload fits in one field.
pub(crate) fn fits(size: usize) -> Result<(), CellReason> {
    if size > MAX_FIELD {
        Err(CellReason::FieldTooLarge(size))
    } else {
        Ok(())
    }
}

/// The length word of a payload that [`fits`].
pub(crate) fn length_word(size: usize) -> [u8; 4] {
    (size as u32).to_be_bytes()
}

/// Writes a NULL field.
pub(crate) fn put_null(cursor: &mut usize, out: &mut [u8]) {
    out[*cursor..*cursor + 4].copy_from_slice(&NULL_FIELD);
    *cursor += 4;
}

/// Copies a payload to a place of its size. A copy of any size is a call, which takes longer than to move the few bytes that most texts
/// have: by two moves of a known size, which overlap.
#[inline]
pub(crate) fn copy_short(from: &[u8], to: &mut [u8]) {
    fn ends<const N: usize>(from: &[u8], to: &mut [u8]) {
        let last = from.len() - N;
        to[..N].copy_from_slice(&from[..N]);
        to[last..last + N].copy_from_slice(&from[last..last + N]);
    }
    match from.len() {
        0 => {}
        1 => to[0] = from[0],
        2..4 => ends::<2>(from, to),
        4..8 => ends::<4>(from, to),
        8..16 => ends::<8>(from, to),
        16..32 => ends::<16>(from, to),
        32..=64 => ends::<32>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Writes a field with its length.
pub(crate) fn put_field(payload: &[u8], cursor: &mut usize, out: &mut [u8]) {
    let field = &mut out[*cursor..*cursor + 4 + payload.len()];
    field[..4].copy_from_slice(&length_word(payload.len()));
    field[4..].copy_from_slice(payload);
    *cursor += 4 + payload.len();
}
