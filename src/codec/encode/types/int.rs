//! `smallint`, `integer`, `bigint` and the unsigned system types: two's complement of 2, 4 or 8 bytes.
//!
//! Any Arrow integer goes into any of them; a pair that can overflow is checked cell by cell. Whole floats and decimals
//! and integers written as text are taken too.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed, fixed_any, rendered};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::pg_type::PgType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    match source.data_type {
        DataType::Int8 => from::<Int8Type>(target),
        DataType::Int16 => from::<Int16Type>(target),
        DataType::Int32 => from::<Int32Type>(target),
        DataType::Int64 => from::<Int64Type>(target),
        DataType::UInt8 => from::<UInt8Type>(target),
        DataType::UInt16 => from::<UInt16Type>(target),
        DataType::UInt32 => from::<UInt32Type>(target),
        DataType::UInt64 => from::<UInt64Type>(target),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => float(source, target),
        DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _) => decimal(source, target),
        _ if source.is_text() && target == &PgType::PgLsn => from_text(|text, out| {
            let place = literal::log_place(text).ok_or(CellReason::NotA("a log position in the form 16/B374D848"))?;
            out.extend_from_slice(&place.to_be_bytes());
            Ok(())
        }),
        _ if source.is_text() => {
            let target = target.clone();
            from_text(move |text, out| {
                let value = literal::integer(text).ok_or(CellReason::NotA("an integer"))?;
                payload(value, &target, out)
            })
        }
        _ => Err(Refused::NoRule),
    }
}

/// Appends the payload of `value`.
pub(super) fn payload(value: i128, target: &PgType, out: &mut Vec<u8>) -> Result<(), CellReason> {
    fn narrow<I: TryFrom<i128>>(value: i128) -> Result<I, CellReason> {
        I::try_from(value).map_err(|_| CellReason::OutOfRange)
    }
    match target {
        PgType::Int2 => out.extend_from_slice(&narrow::<i16>(value)?.to_be_bytes()),
        PgType::Int4 => out.extend_from_slice(&narrow::<i32>(value)?.to_be_bytes()),
        PgType::Oid | PgType::Xid | PgType::Cid => out.extend_from_slice(&narrow::<u32>(value)?.to_be_bytes()),
        PgType::Xid8 | PgType::PgLsn => out.extend_from_slice(&narrow::<u64>(value)?.to_be_bytes()),
        _ => out.extend_from_slice(&narrow::<i64>(value)?.to_be_bytes()),
    }
    Ok(())
}

/// Whole numbers in floats, as table tools store integers with gaps.
fn float(source: &Source<'_>, target: &PgType) -> Planned {
    if !matches!(target, PgType::Int2 | PgType::Int4 | PgType::Int8) {
        return Err(Refused::NoRule);
    }
    let (target, source) = (target.clone(), source.data_type.clone());
    Ok(Box::new(move |array| {
        let wrong = || WrongArray::Type(array.data_type().clone());
        if array.data_type() != &source {
            return Err(wrong());
        }
        let wide = cast(array, &DataType::Float64).map_err(|_| wrong())?;
        let values = wide.as_primitive::<Float64Type>().values().clone();
        let target = target.clone();
        Ok(rendered(array.nulls(), move |row, out| {
            let value = values[row];
            if value.fract() != 0.0 || !value.is_finite() {
                return Err(CellReason::Inexact("the number is not whole"));
            }
            // Out of i128's range the conversion saturates, which no target holds either.
            payload(value as i128, &target, out)
        }))
    }))
}

/// Whole decimals.
fn decimal(source: &Source<'_>, target: &PgType) -> Planned {
    let (DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale)) =
        source.data_type
    else {
        return Err(Refused::NoRule);
    };
    let (target, source, scale) = (target.clone(), source.data_type.clone(), *scale);
    Ok(Box::new(move |array| {
        let values = unscaled(array, &source, scale)?;
        let target = target.clone();
        let power = 10i128.checked_pow(scale.unsigned_abs().into()).unwrap_or(i128::MAX);
        Ok(rendered(array.nulls(), move |row, out| {
            let value = values[row];
            if scale <= 0 {
                return payload(value.checked_mul(power).ok_or(CellReason::OutOfRange)?, &target, out);
            }
            if value % power != 0 {
                return Err(CellReason::Inexact("the number is not whole"));
            }
            payload(value / power, &target, out)
        }))
    }))
}

/// The unscaled numbers of an array of 32-, 64- or 128-bit decimals, planned as `source`.
pub(super) fn unscaled(array: &ArrayRef, source: &DataType, scale: i8) -> Result<ScalarBuffer<i128>, WrongArray> {
    let wrong = || WrongArray::Type(array.data_type().clone());
    if array.data_type() != source {
        return Err(wrong());
    }
    let wide = cast(array, &DataType::Decimal128(38, scale)).map_err(|_| wrong())?;
    Ok(wide.as_primitive::<Decimal128Type>().values().clone())
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
        PgType::Int8 => into::<T, i64, 8>(i64::to_be_bytes),
        PgType::Oid | PgType::Xid | PgType::Cid => into::<T, u32, 4>(u32::to_be_bytes),
        PgType::Xid8 | PgType::PgLsn => into::<T, u64, 8>(u64::to_be_bytes),
        _ => Err(Refused::NoRule),
    }
}

/// `bytes` is a type of its own for each kind of integer, so that it is compiled into the loop over a column.
fn into<T, I, const N: usize>(bytes: impl Fn(I) -> [u8; N] + Copy + Send + Sync + 'static) -> Planned
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
