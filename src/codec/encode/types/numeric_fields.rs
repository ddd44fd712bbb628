//! Numbers of an array as `numeric` fields: what pass 1 works out for a value of a machine word is kept, so that pass 2 only copies it.
//!
//! A kept field is 24 bytes in the column's scratch: the length word, the payload of at most five groups, and two bytes that are not
//! used. Wider values are marked there and divided again by pass 2, as they are rare. Knows no Arrow type: values come from a closure.

use std::ops::Range;

use arrow::buffer::NullBuffer;

use super::numeric_shape::{Magnitude, NumericShape};
use crate::codec::encode::column::{ColumnEncoder, Faults, NULL_FIELD, Scratch, put_field};
use crate::codec::encode::error::CellReason;
use crate::codec::wire::NULL_LENGTH;

/// Bytes kept for a value.
const KEPT: usize = 24;
/// The first byte of what is kept for a value that is written by the long way: neither a length nor NULL begins so.
const WIDE: u8 = 0x80;

/// Sign and magnitude of an unscaled value.
pub(super) type Signed = (bool, Magnitude);

/// Numbers that `value` gives by their row.
pub(super) struct Numbers<V> {
    pub(super) nulls: Option<NullBuffer>,
    pub(super) shape: NumericShape,
    pub(super) value: V,
}

impl<V: Fn(usize) -> Signed + Send + Sync> Numbers<V> {
    /// What pass 2 needs of a row, and the size of its field.
    fn keep(&self, row: usize) -> Result<([u8; KEPT], usize), CellReason> {
        let mut kept = [0; KEPT];
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            kept[..4].copy_from_slice(&NULL_FIELD);
            return Ok((kept, NULL_FIELD.len()));
        }
        let (negative, magnitude) = (self.value)(row);
        if let Magnitude::Small(low) = magnitude
            && let Some((field, size)) = self.shape.small_field(negative, low)
        {
            kept[..field.len()].copy_from_slice(&field);
            return Ok((kept, size));
        }
        self.shape.check(magnitude)?;
        kept[0] = WIDE;
        Ok((kept, 4 + self.shape.size(magnitude)))
    }

    #[cold]
    fn put_wide(&self, row: usize, cursor: &mut usize, out: &mut [u8]) {
        let (negative, magnitude) = (self.value)(row);
        let mut payload = [0; NumericShape::MAX_PAYLOAD];
        let size = self.shape.put(negative, magnitude, &mut payload);
        put_field(&payload[..size], cursor, out);
    }
}

impl<V: Fn(usize) -> Signed + Send + Sync> ColumnEncoder for Numbers<V> {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults) {
        let bytes = KEPT * rows.len();
        // What is kept describes itself, so that nothing has to be cleared.
        if scratch.bytes.len() < bytes {
            scratch.bytes.resize(bytes, 0);
        }
        let (places, _) = scratch.bytes.as_chunks_mut::<KEPT>();
        for ((length, place), row) in lengths.iter_mut().zip(places).zip(rows) {
            match self.keep(row) {
                Ok((kept, size)) => {
                    *place = kept;
                    *length += size;
                }
                Err(reason) => faults.push(row, reason),
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        let (places, _) = scratch.bytes.as_chunks::<KEPT>();
        for ((cursor, kept), row) in cursors.iter_mut().zip(places).zip(rows) {
            let [a, b, c, d, ..] = *kept;
            // A match by size, because a copy of a size that is known takes two moves, and one of any size a call.
            match i32::from_be_bytes([a, b, c, d]) {
                NULL_LENGTH => copy::<4>(kept, cursor, out),
                8 => copy::<12>(kept, cursor, out),
                10 => copy::<14>(kept, cursor, out),
                12 => copy::<16>(kept, cursor, out),
                14 => copy::<18>(kept, cursor, out),
                16 => copy::<20>(kept, cursor, out),
                18 => copy::<22>(kept, cursor, out),
                _ => self.put_wide(row, cursor, out),
            }
        }
    }
}

fn copy<const N: usize>(kept: &[u8; KEPT], cursor: &mut usize, out: &mut [u8]) {
    out[*cursor..*cursor + N].copy_from_slice(&kept[..N]);
    *cursor += N;
}
