//! Row types: `i32` number of attributes, per attribute `u32` type OID and the field. Given as a struct with the same
//! attributes under the same names, in order.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;

use crate::codec::decode::column::{ColumnDecoder, Decoder, PlanPart, Planned, append};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};
use crate::model::pg_type::CompositeType;

pub(in crate::codec::decode) fn plan(ty: &CompositeType, field: &Field, plan_part: PlanPart) -> Planned {
    let DataType::Struct(fields) = field.data_type() else {
        return Err(Refused::NoRule);
    };
    let names = ty.fields.iter().map(|(name, _)| name.as_str());
    if !names.eq(fields.iter().map(|field| field.name().as_str())) {
        return Err(Refused::Because(
            "the struct's fields are not the attributes of the type, by name and in order".to_owned(),
        ));
    }
    let children = ty
        .fields
        .iter()
        .zip(fields)
        .map(|((_, ty), field)| plan_part(ty, field));
    Ok(Box::new(Structs {
        fields: fields.clone(),
        children: children.collect::<Result<_, _>>()?,
        nulls: NullBufferBuilder::new(0),
    }))
}

struct Structs {
    fields: Fields,
    children: Vec<Decoder>,
    nulls: NullBufferBuilder,
}

impl ColumnDecoder for Structs {
    fn null(&mut self) -> usize {
        self.nulls.append_null();
        self.children.iter_mut().map(|child| child.null()).sum()
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        let mut cursor = Cursor::new(payload);
        if cursor.count()? != self.children.len() {
            return Err(Fault::Malformed(
                "a row value has another number of attributes than its type",
            ));
        }
        let mut bytes = 0;
        for (child, field) in self.children.iter_mut().zip(&self.fields) {
            let _type_oid = cursor.i32()?;
            bytes += append(&mut **child, field.is_nullable(), cursor.field()?)?;
        }
        cursor.end()?;
        self.nulls.append_non_null();
        Ok(bytes)
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.nulls.len();
        let arrays = self
            .children
            .iter_mut()
            .map(|child| child.finish())
            .collect::<Result<Vec<_>, _>>()?;
        let nulls = self.nulls.finish();
        let array = StructArray::try_new_with_length(self.fields.clone(), arrays, nulls, rows)?;
        Ok(Arc::new(array))
    }
}
