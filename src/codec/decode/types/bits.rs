//! `bit` and `varbit`: `i32` number of bits, then the bits, the first in the highest place. Given as text of `0` and `1`.

use arrow::datatypes::Field;

use super::text;
use crate::codec::decode::column::Planned;
use crate::codec::decode::cursor::Cursor;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    text::rendered(field.data_type(), |payload, text| {
        let mut cursor = Cursor::new(payload);
        let count = cursor.count()?;
        let bytes = cursor.take(count.div_ceil(8))?;
        cursor.end()?;
        let bits = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |place| (byte >> place) & 1));
        text.extend(bits.take(count).map(|bit| if bit == 1 { '1' } else { '0' }));
        Ok(text)
    })
}
