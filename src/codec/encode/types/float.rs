//! `real` and `double precision`: IEEE bits, NaN and infinities included.
//!
//! A wider float or an integer goes into a narrower float only where the value is the same afterwards.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed, fixed_any};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::pg_type::PgType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    match (source.data_type, target) {
        (DataType::Float16, PgType::Float4) => exact::<Float16Type, 4>(|v| v.to_f32().to_be_bytes()),
        (DataType::Float32, PgType::Float4) => exact::<Float32Type, 4>(f32::to_be_bytes),
        (DataType::Float64, PgType::Float4) => checked::<Float64Type, 4>(|v| {
            let narrow = v as f32;
            (f64::from(narrow).to_bits() == v.to_bits() || v.is_nan()).then(|| narrow.to_be_bytes())
        }),
        (DataType::Float16, PgType::Float8) => exact::<Float16Type, 8>(|v| v.to_f64().to_be_bytes()),
        (DataType::Float32, PgType::Float8) => exact::<Float32Type, 8>(|v| f64::from(v).to_be_bytes()),
        (DataType::Float64, PgType::Float8) => exact::<Float64Type, 8>(f64::to_be_bytes),
        (DataType::Int8, _) => integer::<Int8Type>(target),
        (DataType::Int16, _) => integer::<Int16Type>(target),
        (DataType::Int32, _) => integer::<Int32Type>(target),
        (DataType::Int64, _) => integer::<Int64Type>(target),
        (DataType::UInt8, _) => integer::<UInt8Type>(target),
        (DataType::UInt16, _) => integer::<UInt16Type>(target),
        (DataType::UInt32, _) => integer::<UInt32Type>(target),
        (DataType::UInt64, _) => integer::<UInt64Type>(target),
        // Decimal text becomes the nearest float, as Postgres reads it; a float has no other exact text.
        (_, PgType::Float4) if source.is_text() => from_text(|text, out| {
            let value: f32 = literal::float(text).ok_or(CellReason::NotA("a number"))?;
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        }),
        (_, PgType::Float8) if source.is_text() => from_text(|text, out| {
            let value: f64 = literal::float(text).ok_or(CellReason::NotA("a number"))?;
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

fn exact<T: ArrowPrimitiveType, const N: usize>(
    bytes: impl Fn(T::Native) -> [u8; N] + Copy + Send + Sync + 'static,
) -> Planned {
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed_any(array.nulls(), move |row| bytes(values[row]))
    })
}

fn checked<T: ArrowPrimitiveType, const N: usize>(
    bytes: impl Fn(T::Native) -> Option<[u8; N]> + Copy + Send + Sync + 'static,
) -> Planned {
    const REASON: CellReason = CellReason::Inexact("the number has no exact form in the narrower float");
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed(array.nulls(), move |row| bytes(values[row]).ok_or(REASON))
    })
}

fn integer<T: ArrowPrimitiveType>(target: &PgType) -> Planned
where
    T::Native: Into<i128>,
{
    // Both conversions round; they are exact where the way back gives the same integer.
    match target {
        PgType::Float4 => checked::<T, 4>(|v| {
            let wide: i128 = v.into();
            let float = wide as f32;
            (float as i128 == wide).then(|| float.to_be_bytes())
        }),
        PgType::Float8 => checked::<T, 8>(|v| {
            let wide: i128 = v.into();
            let float = wide as f64;
            (float as i128 == wide).then(|| float.to_be_bytes())
        }),
        _ => Err(Refused::NoRule),
    }
}
