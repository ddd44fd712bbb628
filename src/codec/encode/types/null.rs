//! Columns of Arrow's null type: every cell is NULL, whatever the target is.

use std::ops::Range;

use arrow::array::NullArray;

use crate::codec::encode::column::{ColumnEncoder, Faults, Planned, Scratch, bind_as, put_null};

struct Nulls;

pub(in crate::codec::encode) fn plan() -> Planned {
    bind_as(|_: NullArray| Box::new(Nulls))
}

impl ColumnEncoder for Nulls {
    fn measure(&self, _: Range<usize>, lengths: &mut [usize], _: &mut Scratch, _: &mut Faults) {
        lengths.iter_mut().for_each(|length| *length += 4);
    }

    fn write(&self, _: Range<usize>, cursors: &mut [usize], _: &mut Scratch, out: &mut [u8]) {
        for cursor in cursors {
            put_null(cursor, out);
        }
    }
}
