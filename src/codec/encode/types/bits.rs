//! `bit` and `varbit`: `i32` number of bits, then the bits from the highest of each byte on, padded with 0.
//!
//! Taken from lists of booleans and from texts of `0` and `1`.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::source::Source;
use crate::model::pg_type::PgType;

/// How many bits a column takes.
#[derive(Clone, Copy)]
enum Length {
    Exactly(usize),
    AtMost(usize),
    Any,
}

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    let length = match target {
        PgType::Bit(Some(length)) => Length::Exactly(*length as usize),
        PgType::VarBit(Some(length)) => Length::AtMost(*length as usize),
        // Declared as `bit` it would be bit(1); without a length it comes from CREATE TABLE AS.
        PgType::Bit(None) | PgType::VarBit(None) => Length::Any,
        _ => return Err(Refused::NoRule),
    };
    if source.is_text() {
        return from_text(move |text, out| {
            if !text.bytes().all(|byte| matches!(byte, b'0' | b'1')) {
                return Err(CellReason::NotA("a text of 0 and 1"));
            }
            put(text.bytes().map(|byte| byte == b'1'), text.len(), length, out)
        });
    }
    match element_field(source.data_type) {
        Some(element) if element.data_type() == &DataType::Boolean => Ok(Box::new(move |array| {
            let lists = Lists::of(array)?;
            let bits = lists.elements.as_boolean().clone();
            Ok(rendered(lists.nulls.clone().as_ref(), move |row, out| {
                let list = lists.starts[row]..lists.starts[row + 1];
                if list.clone().any(|element| bits.is_null(element)) {
                    return Err(CellReason::NullInside(
                        "an element is NULL, which a bit string cannot hold",
                    ));
                }
                put(list.clone().map(|element| bits.value(element)), list.len(), length, out)
            }))
        })),
        _ => Err(Refused::NoRule),
    }
}

fn put(bits: impl Iterator<Item = bool>, found: usize, length: Length, out: &mut Vec<u8>) -> Result<(), CellReason> {
    match length {
        Length::Exactly(expected) if expected != found => {
            return Err(CellReason::WrongLength {
                found,
                expected,
                unit: "bits",
            });
        }
        Length::AtMost(limit) if found > limit => {
            return Err(CellReason::TooLong {
                found,
                limit,
                unit: "bits",
            });
        }
        _ => {}
    }
    out.extend_from_slice(&(found as i32).to_be_bytes());
    let start = out.len();
    out.resize(start + found.div_ceil(8), 0);
    for (at, _) in bits.enumerate().filter(|(_, bit)| *bit) {
        out[start + at / 8] |= 0x80 >> (at % 8);
    }
    Ok(())
}
