//! The text of every Arrow type that is not nested, in both styles, as a column's text and inside JSON.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::form::{Quoting, Style, Write};
use super::number::{Float, put_decimal, put_go_decimal};
use super::temporal::{go_duration, interval, temporal};
use crate::codec::encode::cells::{Binaries, Strings};
use crate::codec::encode::error::{CellReason, WrongArray};
use crate::codec::encode::rendered::Text;
use crate::codec::encode::unfolded::is_encoded;
use crate::literal::digits::{put_hex, put_whole};
use crate::model::extension::Extension;

/// Where a text appears; a few of the Go plugin's forms differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole value of a text column.
    Column,
    /// Inside a JSON document.
    Json,
}

pub(super) type Scalar = Result<Option<(Quoting, Write)>, WrongArray>;

/// The text of a scalar column, or nothing for a nested type, a dictionary and runs.
pub(super) fn scalar(field: &Field, array: &ArrayRef, style: Style, place: Place) -> Scalar {
    if is_encoded(array.data_type()) {
        return Ok(None);
    }
    if let Some(writer) = extension(field, array)? {
        return Ok(Some(writer));
    }
    let native = style == Style::Native;
    let found = match array.data_type() {
        DataType::Boolean => of(Quoting::Bare, boolean(array)?),
        DataType::Int8 => integer::<Int8Type>(array)?,
        DataType::Int16 => integer::<Int16Type>(array)?,
        DataType::Int32 => integer::<Int32Type>(array)?,
        DataType::Int64 => integer::<Int64Type>(array)?,
        DataType::UInt8 => integer::<UInt8Type>(array)?,
        DataType::UInt16 => integer::<UInt16Type>(array)?,
        DataType::UInt32 => integer::<UInt32Type>(array)?,
        DataType::UInt64 => integer::<UInt64Type>(array)?,
        DataType::Float16 => float::<Float16Type>(array, style, place, |v| {
            // Go prints a half through the shortest form of the single.
            Float {
                value: v.to_f64(),
                scientific: format!("{:e}", v.to_f32()),
            }
        })?,
        DataType::Float32 => float::<Float32Type>(array, style, place, Float::from)?,
        DataType::Float64 => float::<Float64Type>(array, style, place, Float::from)?,
        DataType::Decimal32(_, scale) => decimal::<Decimal32Type>(array, *scale, style)?,
        DataType::Decimal64(_, scale) => decimal::<Decimal64Type>(array, *scale, style)?,
        DataType::Decimal128(_, scale) => decimal::<Decimal128Type>(array, *scale, style)?,
        DataType::Decimal256(_, scale) => decimal::<Decimal256Type>(array, *scale, style)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = Strings::of(array)?;
            of(Quoting::Escaped, move |row, out| out.put(texts.get(row).as_bytes()))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            binary(array, style)?
        }
        DataType::Null => of(Quoting::Bare, |_, out| {
            out.extend_from_slice(b"null");
            Ok(())
        }),
        DataType::Interval(_) => interval(array, style, place)?,
        other if native || !matches!(other, DataType::Duration(_)) => match temporal(array, style, place)? {
            Some(writer) => writer,
            None => return Ok(None),
        },
        _ => go_duration(array)?,
    };
    Ok(Some(found))
}

pub(super) fn of<F>(quoting: Quoting, write: F) -> (Quoting, Write)
where
    F: Fn(usize, &mut Text) -> Result<(), CellReason> + Send + Sync + 'static,
{
    (quoting, Box::new(write))
}

fn extension(field: &Field, array: &ArrayRef) -> Scalar {
    Ok(match Extension::of(field) {
        Some(Extension::Uuid) => {
            let cells = Binaries::of(array)?;
            Some(of(Quoting::Plain, move |row, out| {
                put_uuid(out, cells.get(row));
                Ok(())
            }))
        }
        Some(Extension::Mac) => {
            let cells = Binaries::of(array)?;
            Some(of(Quoting::Plain, move |row, out| {
                for (at, byte) in cells.get(row).iter().enumerate() {
                    if at > 0 {
                        out.push(b':');
                    }
                    put_hex(out, *byte);
                }
                Ok(())
            }))
        }
        Some(Extension::Json) => Some(json_text(array)?),
        Some(Extension::Inet) => Some(of(Quoting::Escaped, utf8(array)?)),
        Some(Extension::Bool8) => {
            let values = primitive::<Int8Type>(array)?.values().clone();
            Some(of(Quoting::Bare, move |row, out| {
                put_boolean(out, values[row] != 0);
                Ok(())
            }))
        }
        _ => None,
    })
}

fn json_text(array: &ArrayRef) -> Result<(Quoting, Write), WrongArray> {
    let write = if Strings::of(array).is_ok() {
        let texts = Strings::of(array)?;
        Box::new(move |row, out: &mut Text| out.put(texts.get(row).as_bytes())) as Write
    } else {
        Box::new(utf8(array)?)
    };
    Ok(of(Quoting::Bare, move |row, out| {
        let start = out.len();
        write(row, out)?;
        let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&out[start..]);
        parsed.map(|_| ()).map_err(|_| CellReason::NotA("JSON"))
    }))
}

fn utf8(array: &ArrayRef) -> Result<impl Fn(usize, &mut Text) -> Result<(), CellReason> + use<>, WrongArray> {
    let cells = Binaries::of(array)?;
    Ok(move |row, out: &mut Text| {
        let text = std::str::from_utf8(cells.get(row)).map_err(|_| CellReason::NotA("UTF-8"))?;
        out.put(text.as_bytes())
    })
}

pub(super) fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<PrimitiveArray<T>, WrongArray> {
    array
        .as_primitive_opt::<T>()
        .cloned()
        .ok_or_else(|| WrongArray::Type(array.data_type().clone()))
}

fn boolean(array: &ArrayRef) -> Result<impl Fn(usize, &mut Text) -> Result<(), CellReason> + use<>, WrongArray> {
    let array: BooleanArray = array
        .as_boolean_opt()
        .cloned()
        .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
    Ok(move |row, out: &mut Text| {
        put_boolean(out, array.value(row));
        Ok(())
    })
}

/// Writes 16 bytes as a UUID.
pub(super) fn put_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        put_hex(out, *byte);
    }
}

/// Writes bytes as Postgres prints `bytea`.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        put_hex(out, *byte);
    }
}

pub(super) fn put_boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn integer<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<(Quoting, Write), WrongArray>
where
    T::Native: Into<i128>,
{
    let values = primitive::<T>(array)?.values().clone();
    Ok(of(Quoting::Bare, move |row, out| {
        put_whole(out, values[row].into());
        Ok(())
    }))
}

fn float<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    style: Style,
    place: Place,
    split: fn(T::Native) -> Float,
) -> Result<(Quoting, Write), WrongArray> {
    let values = primitive::<T>(array)?.values().clone();
    // Postgres switches to exponents where a value has more digits than its type keeps: 6 and 15.
    let plain_digits = if matches!(T::DATA_TYPE, DataType::Float64) {
        15
    } else {
        6
    };
    Ok(of(Quoting::Bare, move |row, out| {
        let float = split(values[row]);
        match (style, place) {
            (Style::Native, Place::Column) => float.put(out, plain_digits),
            (Style::Native, Place::Json) => float.put_json(out, |float, out| float.put(out, plain_digits)),
            (Style::Cloudquery, Place::Column) => float.put_go(out, -4, 21),
            (Style::Cloudquery, Place::Json) => float.put_json(out, |float, out| float.put_go(out, -6, 21)),
        }
        Ok(())
    }))
}

fn decimal<T: DecimalType>(array: &ArrayRef, scale: i8, style: Style) -> Result<(Quoting, Write), WrongArray>
where
    T::Native: std::fmt::Display,
{
    let values = primitive::<T>(array)?.values().clone();
    Ok(match style {
        Style::Native => of(Quoting::Bare, move |row, out| {
            put_decimal(out, &values[row].to_string(), scale.into());
            Ok(())
        }),
        Style::Cloudquery => of(Quoting::Plain, move |row, out| {
            put_go_decimal(out, &values[row].to_string(), scale.into());
            Ok(())
        }),
    })
}

fn binary(array: &ArrayRef, style: Style) -> Result<(Quoting, Write), WrongArray> {
    let cells = Binaries::of(array)?;
    Ok(match style {
        Style::Native => of(Quoting::Escaped, move |row, out| {
            out.room(2 + 2 * cells.get(row).len())?;
            put_bytes(out, cells.get(row));
            Ok(())
        }),
        Style::Cloudquery => of(Quoting::Plain, move |row, out| {
            let (bytes, start) = (cells.get(row), out.len());
            let length = base64::encoded_len(bytes.len(), true).ok_or(CellReason::FieldTooLarge(bytes.len()))?;
            out.room(length)?;
            out.resize(start + length, 0);
            match STANDARD.encode_slice(bytes, &mut out[start..]) {
                Ok(_) => Ok(()),
                Err(_) => Err(CellReason::FieldTooLarge(bytes.len())),
            }
        }),
    })
}
