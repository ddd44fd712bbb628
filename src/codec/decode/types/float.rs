//! `float4` and `float8`: IEEE 754 bits. A narrower Arrow type is given only where no value changes.

use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type};
use half::f16;

use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::model::pg_type::PgType;

const INEXACT: Fault = Fault::Inexact("the value has more digits than the type keeps; ask for a wider type");

pub(in crate::codec::decode) fn plan(ty: &PgType, field: &Field) -> Planned {
    let read: fn(&[u8]) -> Result<f64, Fault> = match ty {
        PgType::Float4 => |payload| Ok(f32::from_be_bytes(exactly(payload)?).into()),
        PgType::Float8 => |payload| Ok(f64::from_be_bytes(exactly(payload)?)),
        _ => return Err(Refused::NoRule),
    };
    match field.data_type() {
        // Bits are kept, so that a NaN stays the NaN it was.
        DataType::Float32 if *ty == PgType::Float4 => {
            primitive::<Float32Type, _>(field.data_type(), |payload| Ok(f32::from_be_bytes(exactly(payload)?)))
        }
        DataType::Float64 => primitive::<Float64Type, _>(field.data_type(), read),
        DataType::Float32 => primitive::<Float32Type, _>(field.data_type(), move |payload| {
            let wide = read(payload)?;
            let narrow = wide as f32;
            same(wide, narrow.into()).map(|()| narrow)
        }),
        DataType::Float16 => primitive::<Float16Type, _>(field.data_type(), move |payload| {
            let wide = read(payload)?;
            let narrow = f16::from_f64(wide);
            same(wide, narrow.into()).map(|()| narrow)
        }),
        _ => Err(Refused::NoRule),
    }
}

fn same(wide: f64, narrow: f64) -> Result<(), Fault> {
    if wide == narrow || (wide.is_nan() && narrow.is_nan()) {
        Ok(())
    } else {
        Err(INEXACT)
    }
}
