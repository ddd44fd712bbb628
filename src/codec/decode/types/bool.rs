//! `bool`: one byte, 0 or 1.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder};
use arrow::datatypes::{DataType, Field, Int8Type};
use arrow::error::ArrowError;

use crate::codec::decode::column::{ColumnDecoder, Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::model::extension::Extension;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    match field.data_type() {
        DataType::Boolean => Ok(Box::new(Booleans(BooleanBuilder::new()))),
        DataType::Int8 if Extension::of(field) == Some(Extension::Bool8) => {
            primitive::<Int8Type, _>(field.data_type(), |payload| read(payload).map(i8::from))
        }
        _ => Err(Refused::NoRule),
    }
}

fn read(payload: &[u8]) -> Result<bool, Fault> {
    match exactly(payload)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [_] => Err(Fault::Malformed("a bool is neither 0 nor 1")),
    }
}

struct Booleans(BooleanBuilder);

impl ColumnDecoder for Booleans {
    fn null(&mut self) -> usize {
        self.0.append_null();
        1
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        self.0.append_value(read(payload)?);
        Ok(1)
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.0.finish()))
    }
}
