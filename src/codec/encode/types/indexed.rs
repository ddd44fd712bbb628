//! Dictionary and run-end encoded columns: each distinct value is encoded once, rows copy the finished field.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::DataType;

use crate::codec::encode::column::{ColumnEncoder, Encoder, Faults, Planned, Scratch, put_null};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::codec::encode::unfolded::{NULL_INDEX, split};
use crate::model::pg_type::PgType;

/// Most bytes of finished fields. Values may themselves share bytes (views), so a small dictionary can stand for more than memory
/// holds; over this, rows encode their value again.
const FINISHED_BYTES: usize = 256 << 20;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType, rules: &Rules<'_>) -> Planned {
    let values = match source.data_type {
        DataType::Dictionary(_, values) => values.as_ref(),
        DataType::RunEndEncoded(_, values) => values.data_type(),
        _ => return Err(Refused::NoRule),
    };
    let bind_values = rules.plan(&source.stored_as(values), target)?;
    let expected = source.data_type.clone();
    Ok(Box::new(move |array| {
        if array.data_type() != &expected {
            return Err(WrongArray::Type(array.data_type().clone()));
        }
        let (indexes, values) = split(array).ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
        let encoder = bind_values(&values)?;
        Ok(Box::new(Indexed {
            indexes,
            fields: Fields::of(encoder, values.len(), FINISHED_BYTES),
        }) as Encoder)
    }))
}

/// The field of every value, finished unless they are too many.
struct Fields {
    bytes: Arc<[u8]>,
    ends: Vec<usize>,
    faults: Vec<(usize, CellReason)>,
    /// Encodes values anew where `bytes` would have become too long.
    unfinished: Option<Encoder>,
}

impl Fields {
    fn of(encoder: Encoder, count: usize, limit: usize) -> Self {
        let mut ends = vec![0; count];
        let mut scratch = Scratch::default();
        let mut faults = Faults::new(usize::MAX);
        encoder.measure(0..count, &mut ends, &mut scratch, &mut faults);
        let mut cursors = Vec::with_capacity(count);
        let mut total: usize = 0;
        for end in &mut ends {
            cursors.push(total);
            total = total.saturating_add(*end);
            *end = total;
        }
        let faults = faults.found().to_vec();
        let mut fields = Self {
            bytes: Arc::default(),
            ends,
            faults,
            unfinished: None,
        };
        if total > limit {
            fields.unfinished = Some(encoder);
            return fields;
        }
        let mut bytes = vec![0; total];
        // A value at fault has no bytes; rows that use it are refused, the rest are written around it.
        let mut start = 0;
        for bad in fields.faults.iter().map(|(value, _)| *value).chain([count]) {
            if start == 0 && bad == count {
                encoder.write(0..count, &mut cursors, &mut scratch, &mut bytes);
            } else if start < bad {
                let mut lengths = vec![0; bad - start];
                encoder.measure(start..bad, &mut lengths, &mut scratch, &mut Faults::new(0));
                encoder.write(start..bad, &mut cursors[start..bad], &mut scratch, &mut bytes);
            }
            start = bad + 1;
        }
        fields.bytes = bytes.into();
        fields
    }

    fn place(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }
}

struct Indexed {
    indexes: Vec<usize>,
    fields: Fields,
}

impl ColumnEncoder for Indexed {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], _: &mut Scratch, faults: &mut Faults) {
        for (length, index) in lengths.iter_mut().zip(&self.indexes[rows.clone()]) {
            *length += if *index == NULL_INDEX {
                4
            } else {
                self.fields.place(*index).len()
            };
        }
        if self.fields.faults.is_empty() {
            return;
        }
        for row in rows {
            let known = self
                .fields
                .faults
                .binary_search_by_key(&self.indexes[row], |(value, _)| *value);
            if let Ok(position) = known {
                faults.push(row, self.fields.faults[position].1.clone());
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        for (cursor, index) in cursors.iter_mut().zip(&self.indexes[rows]) {
            if *index == NULL_INDEX {
                put_null(cursor, out);
                continue;
            }
            if let Some(encoder) = &self.fields.unfinished {
                let value = *index..*index + 1;
                encoder.measure(value.clone(), &mut [0], scratch, &mut Faults::new(0));
                encoder.write(value, std::slice::from_mut(cursor), scratch, out);
                continue;
            }
            let field = &self.fields.bytes[self.fields.place(*index)];
            out[*cursor..*cursor + field.len()].copy_from_slice(field);
            *cursor += field.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, StringViewArray};

    use super::*;
    use crate::codec::encode::column::rendered;

    fn written(limit: usize) -> (usize, Vec<u8>) {
        let values = StringViewArray::from(vec![
            Some("a"),
            None,
            Some("at fault"),
            Some(""),
            Some("a text of its own"),
        ]);
        let nulls = values.nulls().cloned();
        let encoder = rendered(nulls.as_ref(), move |row, out| match values.value(row) {
            "at fault" => Err(CellReason::UnknownLabel),
            text => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
        });
        let rows = vec![4, 0, NULL_INDEX, 1, 4, 3, 0];
        let (count, fields) = (rows.len(), Fields::of(encoder, 5, limit));
        let kept = fields.bytes.len();
        let indexed = Indexed { indexes: rows, fields };
        let (mut lengths, mut scratch, mut faults) = (vec![0; count], Scratch::default(), Faults::new(1));
        indexed.measure(0..count, &mut lengths, &mut scratch, &mut faults);
        assert!(faults.found().is_empty());
        let starts = lengths
            .iter()
            .scan(0, |next, length| Some(std::mem::replace(next, *next + length)));
        let (mut cursors, mut out) = (starts.collect::<Vec<_>>(), vec![0xff; lengths.iter().sum()]);
        indexed.write(0..count, &mut cursors, &mut scratch, &mut out);
        (kept, out)
    }

    #[test]
    fn values_that_would_take_too_much_are_not_all_kept() {
        let (kept, expected) = written(usize::MAX);
        assert!(kept > 0 && expected.ends_with(b"\0\0\0\x11a text of its own\0\0\0\0\0\0\0\x01a"));
        assert_eq!(written(kept - 1), (0, expected));
    }
}
