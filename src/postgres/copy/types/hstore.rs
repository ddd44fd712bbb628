//! `hstore`: `i32` pairs; per pair `i32` length and text of the key, `i32` length (-1 for NULL) and text of the value.
//!
//! Taken from maps of texts. A key that comes twice is refused, because hstore would keep one of them.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use crate::model::extension::is_text;
use crate::postgres::copy::EncodeOptions;
use crate::postgres::copy::cells::{ByteCheck, NoNul, Strings};
use crate::postgres::copy::column::{NULL_FIELD, Planned, fits, length_word, rendered};
use crate::postgres::copy::error::{CellReason, Refused, WrongArray};
use crate::postgres::copy::source::Source;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, _: &EncodeOptions) -> Planned {
    let DataType::Map(entries, _) = source.data_type else {
        return Err(Refused::NoRule);
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Refused::NoRule);
    };
    if !fields.iter().all(|field| is_text(field.data_type())) {
        return Err(Refused::NoRule);
    }
    Ok(Box::new(move |array| {
        let map = array
            .as_map_opt()
            .ok_or_else(|| WrongArray(array.data_type().clone()))?
            .clone();
        let (keys, values) = (Strings::of(map.keys())?, Strings::of(map.values())?);
        Ok(rendered(array.nulls(), move |row, out| {
            let entries = map.offsets()[row] as usize..map.offsets()[row + 1] as usize;
            out.extend_from_slice(&(entries.len() as i32).to_be_bytes());
            let mut seen = HashSet::new();
            for entry in entries {
                if !seen.insert(keys.get(entry)) {
                    return Err(CellReason::NotA("a map of distinct keys"));
                }
                put_text(keys.get(entry), out)?;
                if map.values().is_valid(entry) {
                    put_text(values.get(entry), out)?;
                } else {
                    out.extend_from_slice(&NULL_FIELD);
                }
            }
            Ok(())
        }))
    }))
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Result<(), CellReason> {
    NoNul.cell(text.as_bytes())?;
    fits(text.len())?;
    out.extend_from_slice(&length_word(text.len()));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
