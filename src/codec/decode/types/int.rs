//! Whole numbers: `int2`, `int4`, `int8`, `money` (minor units) with a sign; `oid`, `xid`, `cid`, `xid8`, `pg_lsn` without.
//!
//! Any Arrow integer type can be asked for; each value is checked against its range.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    DataType, Field, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::model::pg_type::PgType;

pub(in crate::codec::decode) fn plan(ty: &PgType, field: &Field) -> Planned {
    match ty {
        PgType::Int2 => from(field, |payload| Ok(i16::from_be_bytes(exactly(payload)?).into())),
        PgType::Int4 => from(field, |payload| Ok(i32::from_be_bytes(exactly(payload)?).into())),
        PgType::Int8 | PgType::Money(_) => from(field, |payload| Ok(i64::from_be_bytes(exactly(payload)?).into())),
        PgType::Oid | PgType::Xid | PgType::Cid => {
            from(field, |payload| Ok(u32::from_be_bytes(exactly(payload)?).into()))
        }
        PgType::Xid8 | PgType::PgLsn => from(field, |payload| Ok(u64::from_be_bytes(exactly(payload)?).into())),
        _ => Err(Refused::NoRule),
    }
}

/// A decoder of any integer type out of a wide number.
fn from(field: &Field, read: fn(&[u8]) -> Result<i128, Fault>) -> Planned {
    match field.data_type() {
        DataType::Int8 => into::<Int8Type>(field, read),
        DataType::Int16 => into::<Int16Type>(field, read),
        DataType::Int32 => into::<Int32Type>(field, read),
        DataType::Int64 => into::<Int64Type>(field, read),
        DataType::UInt8 => into::<UInt8Type>(field, read),
        DataType::UInt16 => into::<UInt16Type>(field, read),
        DataType::UInt32 => into::<UInt32Type>(field, read),
        DataType::UInt64 => into::<UInt64Type>(field, read),
        _ => Err(Refused::NoRule),
    }
}

fn into<T>(field: &Field, read: fn(&[u8]) -> Result<i128, Fault>) -> Planned
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128>,
{
    primitive::<T, _>(field.data_type(), move |payload| {
        T::Native::try_from(read(payload)?).map_err(|_| Fault::OutOfRange)
    })
}
