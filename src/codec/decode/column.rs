//! How one column is built: a decoder per column takes field after field and gives an Arrow array.
//!
//! Decoders nest: those of lists, structs and maps own the decoders of their children. After a fault a decoder is of no
//! further use, since its children may be of different lengths.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, PrimitiveBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::fault::{Fault, Refused};
use crate::model::pg_type::PgType;

/// Builds one Arrow array out of fields.
pub(crate) trait ColumnDecoder: Send {
    /// Appends NULL; answers how many bytes it takes in the array.
    fn null(&mut self) -> usize;

    /// Appends the value in `payload`; answers how many bytes it takes in the array.
    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault>;

    /// The array of what was appended; the decoder starts anew.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError>;
}

/// A decoder of some type.
pub(crate) type Decoder = Box<dyn ColumnDecoder>;

/// The outcome of planning a column.
pub(crate) type Planned = Result<Decoder, Refused>;

/// Plans the element of a list or the attribute of a row by its own type's rule: the registry, handed in because it knows the types
/// and they do not know it.
pub(crate) type PlanPart = fn(&PgType, &Field) -> Planned;

/// Appends a field that may be NULL.
pub(crate) fn append(decoder: &mut dyn ColumnDecoder, nullable: bool, field: Option<&[u8]>) -> Result<usize, Fault> {
    match field {
        Some(payload) => decoder.value(payload),
        None if nullable => Ok(decoder.null()),
        None => Err(Fault::Null),
    }
}

struct Primitive<T: ArrowPrimitiveType, F> {
    builder: PrimitiveBuilder<T>,
    value: F,
}

/// A decoder of values of one width; `value` reads one.
pub(crate) fn primitive<T, F>(data_type: &DataType, value: F) -> Planned
where
    T: ArrowPrimitiveType,
    F: Fn(&[u8]) -> Result<T::Native, Fault> + Send + 'static,
{
    if !PrimitiveArray::<T>::is_compatible(data_type) {
        return Err(Refused::NoRule);
    }
    Ok(Box::new(Primitive::<T, F> {
        builder: PrimitiveBuilder::new().with_data_type(data_type.clone()),
        value,
    }))
}

impl<T, F> ColumnDecoder for Primitive<T, F>
where
    T: ArrowPrimitiveType,
    F: Fn(&[u8]) -> Result<T::Native, Fault> + Send,
{
    fn null(&mut self) -> usize {
        self.builder.append_null();
        size_of::<T::Native>()
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        self.builder.append_value((self.value)(payload)?);
        Ok(size_of::<T::Native>())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.builder.finish()))
    }
}
