//! `hstore`: `i32` pairs; per pair `i32` length and text of the key, `i32` length (-1 for NULL) and text of the value.
//!
//! Taken from maps of texts, and from text in the form in which it is printed. A key that comes twice is refused, because hstore would keep one of them.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use crate::model::extension::is_text;
use crate::postgres::copy::EncodeOptions;
use crate::postgres::copy::cells::{ByteCheck, NoNul, Strings, from_text};
use crate::postgres::copy::column::{NULL_FIELD, Planned, fits, length_word, rendered};
use crate::postgres::copy::error::{CellReason, Refused, WrongArray};
use crate::postgres::copy::parse;
use crate::postgres::copy::source::Source;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, _: &EncodeOptions) -> Planned {
    if source.is_text() {
        return from_text(|text, out| {
            let pairs = parse::pairs(text).ok_or(CellReason::NotA("pairs in the form \"key\"=>\"value\""))?;
            put(pairs.iter().map(|(key, value)| (key.as_str(), value.as_deref())), out)
        });
    }
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
            let value = |entry| map.values().is_valid(entry).then(|| values.get(entry));
            put(entries.map(|entry| (keys.get(entry), value(entry))), out)
        }))
    }))
}

fn put<'a>(
    pairs: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>,
    out: &mut Vec<u8>,
) -> Result<(), CellReason> {
    out.extend_from_slice(&(pairs.len() as i32).to_be_bytes());
    let mut seen = HashSet::new();
    for (key, value) in pairs {
        if !seen.insert(key) {
            return Err(CellReason::NotA("a map of distinct keys"));
        }
        put_text(key, out)?;
        match value {
            Some(value) => put_text(value, out)?,
            None => out.extend_from_slice(&NULL_FIELD),
        }
    }
    Ok(())
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Result<(), CellReason> {
    NoNul.cell(text.as_bytes())?;
    fits(text.len())?;
    out.extend_from_slice(&length_word(text.len()));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
