//! `hstore`: `i32` pairs, per pair the key and the value as fields; a value may be NULL. Given as a map of texts.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, MapArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

use super::text;
use super::vector::offsets;
use crate::codec::decode::column::{ColumnDecoder, Decoder, Planned, append};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    let DataType::Map(entries, sorted) = field.data_type() else {
        return Err(Refused::NoRule);
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Refused::NoRule);
    };
    let [key, value] = &fields[..] else {
        return Err(Refused::NoRule);
    };
    Ok(Box::new(Maps {
        sorted: *sorted,
        keys: text::plan(key)?,
        values: text::plan(value)?,
        entries: entries.clone(),
        fields: fields.clone(),
        ends: vec![0],
        nulls: NullBufferBuilder::new(0),
    }))
}

struct Maps {
    sorted: bool,
    entries: FieldRef,
    fields: Fields,
    keys: Decoder,
    values: Decoder,
    ends: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl Maps {
    fn push(&mut self, pairs: usize) {
        self.ends.push(self.ends.last().copied().unwrap_or(0) + pairs);
    }
}

impl ColumnDecoder for Maps {
    fn null(&mut self) -> usize {
        self.nulls.append_null();
        self.push(0);
        4
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        let mut cursor = Cursor::new(payload);
        let pairs = cursor.count()?;
        let nullable = self.fields.get(1).is_some_and(|field| field.is_nullable());
        let mut bytes = 4;
        for _ in 0..pairs {
            bytes += append(&mut *self.keys, false, cursor.field()?)?;
            bytes += append(&mut *self.values, nullable, cursor.field()?)?;
        }
        cursor.end()?;
        self.nulls.append_non_null();
        self.push(pairs);
        Ok(bytes)
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let columns = vec![self.keys.finish()?, self.values.finish()?];
        let entries = StructArray::try_new(self.fields.clone(), columns, None)?;
        let nulls = self.nulls.finish();
        let array = MapArray::try_new(self.entries.clone(), offsets(&ends)?, entries, nulls, self.sorted)?;
        Ok(Arc::new(array))
    }
}
