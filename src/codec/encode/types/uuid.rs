//! `uuid`: 16 bytes in network order, from 16-byte binaries of any layout and from text in the forms Postgres reads.

use arrow::datatypes::DataType;

use crate::codec::encode::cells::{Binaries, Strings};
use crate::codec::encode::column::{Planned, fixed};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;

pub(in crate::codec::encode) fn plan(source: &Source<'_>) -> Planned {
    match source.data_type {
        DataType::FixedSizeBinary(16) | DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Ok(Box::new(|array| {
                let cells = Binaries::of(array)?;
                Ok(fixed(array.nulls(), move |row| {
                    let value = cells.get(row);
                    let wrong = CellReason::WrongLength {
                        found: value.len(),
                        expected: 16,
                        unit: "bytes",
                    };
                    <[u8; 16]>::try_from(value).map_err(|_| wrong)
                }))
            }))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Box::new(|array| {
            let cells = Strings::of(array)?;
            Ok(fixed(array.nulls(), move |row| {
                parse(cells.get(row)).ok_or(CellReason::NotA("a UUID"))
            }))
        })),
        _ => Err(Refused::NoRule),
    }
}

/// 32 hexadecimal digits of either case, a hyphen allowed after every fourth, braces around it allowed.
fn parse(text: &str) -> Option<[u8; 16]> {
    let text = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => text,
    };
    let mut bytes = [0; 16];
    let mut digits = 0;
    let mut previous = b'-';
    for byte in text.bytes() {
        if byte == b'-' {
            if digits == 0 || digits % 4 != 0 || digits == 32 || previous == b'-' {
                return None;
            }
        } else {
            let digit = char::from(byte).to_digit(16)? as u8;
            let place = bytes.get_mut(digits / 2)?;
            *place = (*place << 4) | digit;
            digits += 1;
        }
        previous = byte;
    }
    (digits == 32).then_some(bytes)
}
