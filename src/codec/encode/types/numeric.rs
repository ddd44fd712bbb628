//! `numeric`: base-10000 digit groups around the decimal point.
//!
//! Payload: `i16` number of groups, `i16` weight of the first (in groups, 0 is the group left of the point), `u16` sign,
//! `u16` display scale, then the groups; leading and trailing zero groups are left out, as Postgres does. Values are
//! exact: what a `numeric(p,s)` cannot hold without rounding is refused.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};

use super::numeric_fields::{Numbers, Signed};
use super::numeric_shape::{Magnitude, NumericShape};
use super::numeric_text::decimal_text;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Encoder, Planned, bind_as, rendered, some_nulls};
use crate::codec::encode::error::Refused;
use crate::codec::encode::source::Source;
use crate::model::pg_type::NumericMod;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, modifier: Option<NumericMod>) -> Planned {
    let scaled = |scale: i8| NumericShape::new(i32::from(scale), modifier);
    match source.data_type {
        DataType::Decimal32(_, scale) => {
            from::<Decimal32Type, _>(scaled(*scale), |v| small(v < 0, v.unsigned_abs().into()))
        }
        DataType::Decimal64(_, scale) => from::<Decimal64Type, _>(scaled(*scale), |v| small(v < 0, v.unsigned_abs())),
        DataType::Decimal128(_, scale) => from::<Decimal128Type, _>(scaled(*scale), signed128),
        DataType::Decimal256(_, scale) => from::<Decimal256Type, _>(scaled(*scale), signed256),
        DataType::Int8 => from::<Int8Type, _>(scaled(0), |v| small(v < 0, v.unsigned_abs().into())),
        DataType::Int16 => from::<Int16Type, _>(scaled(0), |v| small(v < 0, v.unsigned_abs().into())),
        DataType::Int32 => from::<Int32Type, _>(scaled(0), |v| small(v < 0, v.unsigned_abs().into())),
        DataType::Int64 => from::<Int64Type, _>(scaled(0), |v| small(v < 0, v.unsigned_abs())),
        DataType::UInt8 => from::<UInt8Type, _>(scaled(0), |v| small(false, v.into())),
        DataType::UInt16 => from::<UInt16Type, _>(scaled(0), |v| small(false, v.into())),
        DataType::UInt32 => from::<UInt32Type, _>(scaled(0), |v| small(false, v.into())),
        DataType::UInt64 => from::<UInt64Type, _>(scaled(0), |v| small(false, v)),
        DataType::Float16 => float::<Float16Type>(modifier, |v| v.to_f32().to_string()),
        DataType::Float32 => float::<Float32Type>(modifier, |v| v.to_string()),
        DataType::Float64 => float::<Float64Type>(modifier, |v| v.to_string()),
        _ if source.is_text() => from_text(move |text, out| decimal_text(text, modifier, out)),
        _ => Err(Refused::NoRule),
    }
}

/// A float as the shortest decimal that reads back as the same float, which is also how Postgres prints it.
fn float<T: ArrowPrimitiveType>(modifier: Option<NumericMod>, text: fn(T::Native) -> String) -> Planned {
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        rendered(array.nulls(), move |row, out| {
            decimal_text(&text(values[row]), modifier, out)
        })
    })
}

fn small(negative: bool, magnitude: u64) -> Signed {
    (negative, Magnitude::Small(magnitude))
}

fn signed128(value: i128) -> Signed {
    let low = value.unsigned_abs();
    let magnitude = u64::try_from(low).map_or(Magnitude::Wide { high: 0, low }, Magnitude::Small);
    (value < 0, magnitude)
}

fn signed256(value: i256) -> Signed {
    // The magnitude of the most negative value is its own bit pattern read without a sign.
    let (low, high) = value.wrapping_abs().to_parts();
    let magnitude = match (u64::try_from(low), high) {
        (Ok(low), 0) => Magnitude::Small(low),
        _ => Magnitude::Wide {
            high: high as u128,
            low,
        },
    };
    (value.is_negative(), magnitude)
}

/// `split` is a type of its own for each kind of number, so that it is compiled into the loop over a column.
fn from<T, S>(shape: NumericShape, split: S) -> Planned
where
    T: ArrowPrimitiveType,
    S: Fn(T::Native) -> Signed + Copy + Send + Sync + 'static,
{
    bind_as(move |array: PrimitiveArray<T>| -> Encoder {
        let values = array.values().clone();
        Box::new(Numbers {
            nulls: some_nulls(array.nulls()),
            shape,
            value: move |row: usize| split(values[row]),
        })
    })
}
