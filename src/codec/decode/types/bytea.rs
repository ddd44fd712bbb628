//! `bytea`, payloads that are passed on as they are, and whatever else becomes bytes: into any of Arrow's binary layouts.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewBuilder, FixedSizeBinaryBuilder, GenericBinaryBuilder, OffsetSizeTrait};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use crate::codec::decode::column::{ColumnDecoder, Decoder, Planned};
use crate::codec::decode::fault::{Fault, Refused};

/// Finds the bytes in a payload.
pub(in crate::codec::decode) type Carve = for<'a> fn(&'a [u8]) -> Result<&'a [u8], Fault>;

/// The payload as it is.
pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    carved(field.data_type(), |payload| Ok(payload))
}

/// A decoder of bytes in any layout.
pub(in crate::codec::decode) fn carved(data_type: &DataType, carve: Carve) -> Planned {
    match data_type {
        DataType::Binary => Ok(binaries(GenericBinaryBuilder::<i32>::new(), carve)),
        DataType::LargeBinary => Ok(binaries(GenericBinaryBuilder::<i64>::new(), carve)),
        DataType::BinaryView => Ok(binaries(BinaryViewBuilder::new(), carve)),
        DataType::FixedSizeBinary(size) if *size >= 0 => Ok(binaries(
            Fixed {
                size: *size,
                builder: FixedSizeBinaryBuilder::new(*size),
            },
            carve,
        )),
        _ => Err(Refused::NoRule),
    }
}

fn binaries<B: BinaryBuilder + 'static>(builder: B, carve: Carve) -> Decoder {
    Box::new(Binaries { builder, carve })
}

/// What the binary layouts have in common.
trait BinaryBuilder: Send {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    fn push_null(&mut self);
    fn array(&mut self) -> ArrayRef;
    fn size_of_null(&self) -> usize {
        4
    }
}

impl<O: OffsetSizeTrait> BinaryBuilder for GenericBinaryBuilder<O> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        O::from_usize(self.values_slice().len() + bytes.len()).ok_or(Fault::TooLarge)?;
        self.append_value(bytes);
        Ok(())
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn array(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl BinaryBuilder for BinaryViewBuilder {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.try_append_value(bytes).map_err(|_| Fault::TooLarge)
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn array(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

struct Fixed {
    size: i32,
    builder: FixedSizeBinaryBuilder,
}

impl BinaryBuilder for Fixed {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.builder.append_value(bytes).map_err(|_| Fault::WrongLength {
            found: bytes.len(),
            expected: usize::try_from(self.size).unwrap_or(0),
            unit: "bytes",
        })
    }

    fn push_null(&mut self) {
        self.builder.append_null();
    }

    fn array(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }

    fn size_of_null(&self) -> usize {
        usize::try_from(self.size).unwrap_or(0)
    }
}

struct Binaries<B> {
    builder: B,
    carve: Carve,
}

impl<B: BinaryBuilder> ColumnDecoder for Binaries<B> {
    fn null(&mut self) -> usize {
        self.builder.push_null();
        self.builder.size_of_null()
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        let bytes = (self.carve)(payload)?;
        self.builder.push(bytes)?;
        Ok(4 + bytes.len())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(self.builder.array())
    }
}
