//! `smallint`, `integer`, `bigint` and the unsigned system types: two's complement of 2, 4 or 8 bytes.
//!
//! Any Arrow integer goes into any of them; a pair that can overflow is checked cell by cell.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};

use crate::model::pg_type::PgType;
use crate::postgres::copy::column::{Planned, bind_as, fixed, fixed_any};
use crate::postgres::copy::error::{CellReason, Refused};
use crate::postgres::copy::source::Source;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    match source.data_type {
        DataType::Int8 => from::<Int8Type>(target),
        DataType::Int16 => from::<Int16Type>(target),
        DataType::Int32 => from::<Int32Type>(target),
        DataType::Int64 => from::<Int64Type>(target),
        DataType::UInt8 => from::<UInt8Type>(target),
        DataType::UInt16 => from::<UInt16Type>(target),
        DataType::UInt32 => from::<UInt32Type>(target),
        DataType::UInt64 => from::<UInt64Type>(target),
        _ => Err(Refused::NoRule),
    }
}

fn from<T: ArrowPrimitiveType>(target: &PgType) -> Planned
where
    T::Native: ArrowNativeTypeOp,
    i16: TryFrom<T::Native>,
    i32: TryFrom<T::Native>,
    i64: TryFrom<T::Native>,
    u32: TryFrom<T::Native>,
    u64: TryFrom<T::Native>,
{
    match target {
        PgType::Int2 => into::<T, i16, 2>(i16::to_be_bytes),
        PgType::Int4 => into::<T, i32, 4>(i32::to_be_bytes),
        PgType::Int8 | PgType::Money => into::<T, i64, 8>(i64::to_be_bytes),
        PgType::Oid | PgType::Xid | PgType::Cid => into::<T, u32, 4>(u32::to_be_bytes),
        PgType::Xid8 | PgType::PgLsn => into::<T, u64, 8>(u64::to_be_bytes),
        _ => Err(Refused::NoRule),
    }
}

fn into<T, I, const N: usize>(bytes: fn(I) -> [u8; N]) -> Planned
where
    T: ArrowPrimitiveType,
    T::Native: ArrowNativeTypeOp,
    I: TryFrom<T::Native> + Default + 'static,
{
    let widens = I::try_from(T::Native::MIN_TOTAL_ORDER).is_ok() && I::try_from(T::Native::MAX_TOTAL_ORDER).is_ok();
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        if widens {
            fixed_any(array.nulls(), move |row| {
                bytes(I::try_from(values[row]).unwrap_or_default())
            })
        } else {
            fixed(array.nulls(), move |row| {
                I::try_from(values[row]).map(bytes).map_err(|_| CellReason::OutOfRange)
            })
        }
    })
}
