//! `hstore`: `i32` pairs; per pair `i32` length and text of the key, `i32` length (-1 for NULL) and text of the value.
//!
//! Taken from maps of texts, and from text in the form in which it is printed. A key that comes twice is refused, because hstore would keep one of them.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::{Strings, from_text};
use crate::codec::encode::column::{NULL_FIELD, Planned, fits, length_word, rendered};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::source::Source;
use crate::codec::encode::unfolded::Unfolded;
use crate::literal;
use crate::model::extension::{is_text, unencoded};
use crate::model::options::NulBytes;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, options: &EncodeOptions) -> Planned {
    let nul_bytes = options.nul_bytes;
    if source.is_text() {
        return from_text(move |text, out| {
            let pairs = literal::pairs(text).ok_or(CellReason::NotA("pairs in the form \"key\"=>\"value\""))?;
            let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
            put(pairs, nul_bytes, out)
        });
    }
    let DataType::Map(entries, _) = source.data_type else {
        return Err(Refused::NoRule);
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Refused::NoRule);
    };
    if !fields.iter().all(|field| is_text(unencoded(field.data_type()))) {
        return Err(Refused::NoRule);
    }
    Ok(Box::new(move |array| {
        let map = array
            .as_map_opt()
            .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?
            .clone();
        let (keys, values) = (Texts::of(map.keys())?, Texts::of(map.values())?);
        Ok(rendered(array.nulls(), move |row, out| {
            let entries = map.offsets()[row] as usize..map.offsets()[row + 1] as usize;
            let mut pairs = Vec::with_capacity(entries.len());
            for entry in entries {
                let key = keys.get(entry).ok_or(CellReason::NULL_KEY)?;
                pairs.push((key, values.get(entry)));
            }
            put(pairs.into_iter(), nul_bytes, out)
        }))
    }))
}

/// Texts of any layout, encoded or not.
struct Texts {
    rows: Unfolded,
    texts: Strings,
}

impl Texts {
    fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let rows = Unfolded::of(array)?;
        let texts = Strings::of(&rows.values)?;
        Ok(Self { rows, texts })
    }

    fn get(&self, row: usize) -> Option<&str> {
        self.rows.get(row).map(|value| self.texts.get(value))
    }
}

fn put<'a>(
    pairs: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>,
    nul_bytes: NulBytes,
    out: &mut Vec<u8>,
) -> Result<(), CellReason> {
    out.extend_from_slice(&(pairs.len() as i32).to_be_bytes());
    let mut seen = HashSet::new();
    for (key, value) in pairs {
        let key = without_nul(key, nul_bytes)?;
        put_text(&key, out)?;
        if !seen.insert(key) {
            return Err(CellReason::NotA("a map of distinct keys"));
        }
        match value {
            Some(value) => put_text(&without_nul(value, nul_bytes)?, out)?,
            None => out.extend_from_slice(&NULL_FIELD),
        }
    }
    Ok(())
}

/// The text that is stored for `text`, by the option.
fn without_nul(text: &str, nul_bytes: NulBytes) -> Result<Cow<'_, str>, CellReason> {
    match nul_bytes.substitute() {
        _ if !text.contains('\0') => Ok(Cow::Borrowed(text)),
        Some(substitute) => Ok(Cow::Owned(text.replace('\0', substitute))),
        None => Err(CellReason::NulByte),
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Result<(), CellReason> {
    fits(text.len())?;
    out.extend_from_slice(&length_word(text.len()));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
