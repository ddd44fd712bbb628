//! Dictionary and run-end encoded columns: each distinct value is encoded once, rows copy the finished field.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AnyDictionaryArray, Array, ArrayRef, AsArray, RunArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};

use crate::model::pg_type::PgType;
use crate::postgres::copy::EncodeOptions;
use crate::postgres::copy::column::{ColumnEncoder, Encoder, Faults, Planned, Scratch, put_null};
use crate::postgres::copy::error::{CellReason, Refused, WrongArray};
use crate::postgres::copy::registry;
use crate::postgres::copy::source::Source;

/// The index of a row that is NULL by its key.
const NULL_INDEX: usize = usize::MAX;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    let values = match source.data_type {
        DataType::Dictionary(_, values) => values.as_ref(),
        DataType::RunEndEncoded(_, values) => values.data_type(),
        _ => return Err(Refused::NoRule),
    };
    let bind_values = registry::plan(&source.stored_as(values), target, options)?;
    let expected = source.data_type.clone();
    Ok(Box::new(move |array| {
        if array.data_type() != &expected {
            return Err(WrongArray(array.data_type().clone()));
        }
        let (indexes, values) = split(array).ok_or_else(|| WrongArray(array.data_type().clone()))?;
        let encoder = bind_values(&values)?;
        Ok(Box::new(Indexed {
            indexes,
            fields: Fields::of(encoder.as_ref(), values.len()),
        }) as Encoder)
    }))
}

/// The value index of each row, and the values.
pub(in crate::postgres::copy) fn split(array: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            Some((keys(dictionary), dictionary.values().clone()))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            DataType::Int64 => runs::<Int64Type>(array),
            _ => None,
        },
        _ => None,
    }
}

/// Whether values lie behind a dictionary or in runs.
pub(in crate::postgres::copy) fn is_encoded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _))
}

/// The value of each row, without dictionary or runs.
pub(in crate::postgres::copy) fn flat(array: &ArrayRef) -> Result<ArrayRef, WrongArray> {
    if !is_encoded(array.data_type()) {
        return Ok(ArrayRef::clone(array));
    }
    let wrong = || WrongArray(array.data_type().clone());
    let (indexes, values) = split(array).ok_or_else(wrong)?;
    let positions: UInt32Array = indexes.iter().map(|index| u32::try_from(*index).ok()).collect();
    take(&values, &positions, None).map_err(|_| wrong())
}

fn keys(dictionary: &dyn AnyDictionaryArray) -> Vec<usize> {
    // An empty dictionary has nothing but NULL keys, which `normalized_keys` cannot clamp into it.
    if dictionary.values().is_empty() {
        return vec![NULL_INDEX; dictionary.len()];
    }
    let mut keys = dictionary.normalized_keys();
    if let Some(nulls) = dictionary
        .keys()
        .nulls()
        .filter(|nulls: &&NullBuffer| nulls.null_count() > 0)
    {
        for (row, key) in keys.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *key = NULL_INDEX;
            }
        }
    }
    keys
}

fn runs<R: RunEndIndexType>(array: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    let runs = array.as_any().downcast_ref::<RunArray<R>>()?;
    let mut indexes = Vec::with_capacity(runs.len());
    let mut index = if runs.is_empty() { 0 } else { runs.get_physical_index(0) };
    let ends = runs.run_ends();
    for row in 0..runs.len() {
        while index < ends.values().len() && ends.values()[index].as_usize() <= row + ends.offset() {
            index += 1;
        }
        indexes.push(index);
    }
    Some((indexes, runs.values().clone()))
}

/// The finished field of every value.
struct Fields {
    bytes: Arc<[u8]>,
    ends: Vec<usize>,
    faults: Vec<(usize, CellReason)>,
}

impl Fields {
    fn of(encoder: &dyn ColumnEncoder, count: usize) -> Self {
        let mut ends = vec![0; count];
        let mut scratch = Scratch::default();
        let mut faults = Faults::new(usize::MAX);
        encoder.measure(0..count, &mut ends, &mut scratch, &mut faults);
        let mut cursors = Vec::with_capacity(count);
        let mut total = 0;
        for end in &mut ends {
            cursors.push(total);
            total += *end;
            *end = total;
        }
        let mut bytes = vec![0; total];
        let faults = faults.found().to_vec();
        // A value at fault has no bytes; rows that use it are refused, the rest are written around it.
        let mut start = 0;
        for bad in faults.iter().map(|(value, _)| *value).chain([count]) {
            if start == 0 && bad == count {
                encoder.write(0..count, &mut cursors, &mut scratch, &mut bytes);
            } else if start < bad {
                let mut lengths = vec![0; bad - start];
                encoder.measure(start..bad, &mut lengths, &mut scratch, &mut Faults::new(0));
                encoder.write(start..bad, &mut cursors[start..bad], &mut scratch, &mut bytes);
            }
            start = bad + 1;
        }
        Self {
            bytes: bytes.into(),
            ends,
            faults,
        }
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
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
                self.fields.get(*index).len()
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

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], _: &mut Scratch, out: &mut [u8]) {
        for (cursor, index) in cursors.iter_mut().zip(&self.indexes[rows]) {
            if *index == NULL_INDEX {
                put_null(cursor, out);
                continue;
            }
            let field = self.fields.get(*index);
            out[*cursor..*cursor + field.len()].copy_from_slice(field);
            *cursor += field.len();
        }
    }
}
