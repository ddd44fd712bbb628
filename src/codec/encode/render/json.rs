//! JSON documents from Arrow values: structs, maps, unions and lists of any depth.
//!
//! What JSON could not hold without loss is refused: a struct with two fields of one name and unsupported map keys when
//! planning, a map with one key twice when the row is met.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, UnionMode};

use super::form::{Quoting, Style, Write, or_null, stay_distinct};
use super::scalar::{Place, scalar};
use super::variant::{refuse_storage, variant};
use crate::codec::encode::error::{CellReason, WrongArray};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::rendered::Text;
use crate::codec::encode::unfolded::Unfolded;
use crate::model::extension::{Extension, meant};

/// Writes the values of `array` as JSON, NULL as `null`.
///
/// # Errors
/// An array that is not of the field's type.
pub(crate) fn json(field: &Field, array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    if let Some((quoting, write)) = scalar(field, array, style, Place::Json)? {
        let escape = style == Style::Cloudquery;
        let quoted: Write = match quoting {
            Quoting::Bare => write,
            Quoting::Plain => Box::new(move |row, out| {
                out.push(b'"');
                write(row, out)?;
                out.push(b'"');
                Ok(())
            }),
            Quoting::Escaped => Box::new(move |row, out| {
                out.push(b'"');
                let start = out.len();
                write(row, out)?;
                out.string(out.len() - start)?;
                if out[start..].iter().any(|byte| is_special(*byte, escape)) {
                    let text = out.split_off(start);
                    put_escaped(out, &text, escape)?;
                }
                out.push(b'"');
                Ok(())
            }),
        };
        return Ok(or_null(array, quoted));
    }
    let write = match array.data_type() {
        DataType::Struct(_) if Extension::of(field) == Some(Extension::Variant) => variant(array)?,
        DataType::Struct(fields) => object(fields, array, style)?,
        DataType::Map(entries, _) => map(entries, array, style)?,
        DataType::Union(_, _) => union(array, style)?,
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => return unfolded(field, array, style),
        other => match element_field(other) {
            Some(element) => list(element, array, style, lines(field, style))?,
            None => return Err(WrongArray::Type(other.clone())),
        },
    };
    Ok(or_null(array, write))
}

/// Why values of a field have no JSON of their own: two struct fields of one name, a variant that cannot be read.
pub(crate) fn refuse_unclear(field: &Field) -> Result<(), String> {
    let is_variant = Extension::of(field) == Some(Extension::Variant);
    refuse_unclear_type(field.data_type(), is_variant)
}

fn refuse_unclear_type(data_type: &DataType, is_variant: bool) -> Result<(), String> {
    match data_type {
        DataType::Struct(_) if is_variant => refuse_storage(data_type),
        DataType::Struct(fields) => {
            let mut names = HashSet::new();
            for field in fields {
                if !names.insert(field.name()) {
                    return Err(format!("the struct has two fields named {:?}", field.name()));
                }
                refuse_unclear(field)?;
            }
            if !stay_distinct(fields.iter().map(|field| field.name().as_str())) {
                return Err("the struct has two fields whose names only NUL tells apart".to_owned());
            }
            Ok(())
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().try_for_each(|field| refuse_unclear(field)),
            _ => Ok(()),
        },
        DataType::Union(fields, _) => fields.iter().try_for_each(|(_, field)| refuse_unclear(field)),
        DataType::Dictionary(_, values) => refuse_unclear_type(values, is_variant),
        DataType::RunEndEncoded(_, values) => match refuse_unclear_type(values.data_type(), is_variant) {
            Ok(()) => refuse_unclear(values),
            refused => refused,
        },
        other => element_field(other).map_or(Ok(()), |element| refuse_unclear(element)),
    }
}

fn object(fields: &arrow::datatypes::Fields, array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    let columns = array
        .as_struct_opt()
        .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?
        .columns();
    let mut members = Vec::with_capacity(fields.len());
    for (field, column) in fields.iter().zip(columns) {
        let mut key = Vec::new();
        key.push(b'"');
        escaped::<WrongArray>(field.name().as_bytes(), style == Style::Cloudquery, |part| {
            key.extend_from_slice(part);
            Ok(())
        })?;
        key.extend_from_slice(b"\":");
        members.push((field.name().clone(), key, json(field, column, style)?));
    }
    if style == Style::Cloudquery {
        members.sort_by(|left, right| left.0.cmp(&right.0));
    }
    Ok(Box::new(move |row, out| {
        out.push(b'{');
        for (at, (_, key, write)) in members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.put(key)?;
            write(row, out)?;
        }
        out.push(b'}');
        Ok(())
    }))
}

/// Numbers of elements in the lists within a tensor's list, from the outside in: it is written as the array of its shape.
fn lines(field: &Field, style: Style) -> Vec<usize> {
    match Extension::of(field) {
        Some(Extension::FixedShapeTensor { shape }) if style == Style::Native => {
            let inner = (1..shape.len()).map(|from| shape[from..].iter().product());
            inner.filter(|elements| *elements > 0).collect()
        }
        _ => Vec::new(),
    }
}

fn list(element: &FieldRef, array: &ArrayRef, style: Style, lines: Vec<usize>) -> Result<Write, WrongArray> {
    let lists = Lists::of(array)?;
    let write = json(element, &lists.elements, style)?;
    if !lines.is_empty() {
        return Ok(tensor(lists, lines, write));
    }
    Ok(Box::new(move |row, out| {
        out.push(b'[');
        for (at, element) in (lists.starts[row]..lists.starts[row + 1]).enumerate() {
            if at > 0 {
                out.put(b",")?;
            }
            write(element, out)?;
        }
        out.push(b']');
        Ok(())
    }))
}

/// A list with the brackets of the lists within it. Apart from [`list`], where looking for them at every element takes a fourth
/// of the time.
fn tensor(lists: Lists, lines: Vec<usize>, write: Write) -> Write {
    let at_seam = move |at: usize| lines.iter().filter(move |line| at.is_multiple_of(**line)).count();
    Box::new(move |row, out| {
        out.push(b'[');
        for (at, element) in (lists.starts[row]..lists.starts[row + 1]).enumerate() {
            if at > 0 {
                out.put(b",")?;
            }
            out.extend(std::iter::repeat_n(b'[', at_seam(at)));
            write(element, out)?;
            out.extend(std::iter::repeat_n(b']', at_seam(at + 1)));
        }
        out.push(b']');
        Ok(())
    })
}

/// An object where keys are scalars; the Go plugin, and keys that are nested, have an array of key and value.
fn map(entries: &FieldRef, array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    let map = array
        .as_map_opt()
        .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?
        .clone();
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(WrongArray::Type(array.data_type().clone()));
    };
    let value = json(&fields[1], map.values(), style)?;
    let offsets = map.offsets().clone();
    let range = move |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    let keys = Unfolded::of(map.keys())?;
    let key_field = meant(&fields[0]).with_data_type(keys.values.data_type().clone());
    let key_text = match style {
        Style::Native => scalar(&key_field, &keys.values, style, Place::Column)?,
        Style::Cloudquery => None,
    };
    let Some((_, key_text)) = key_text else {
        let key = json(&key_field, &keys.values, style)?;
        return Ok(Box::new(move |row, out| {
            out.push(b'[');
            for (at, entry) in range(row).enumerate() {
                out.put(if at > 0 { b",{\"key\":" } else { b"{\"key\":" })?;
                key(keys.get(entry).ok_or(CellReason::NULL_KEY)?, out)?;
                out.extend_from_slice(b",\"value\":");
                value(entry, out)?;
                out.push(b'}');
            }
            out.push(b']');
            Ok(())
        }));
    };
    Ok(Box::new(move |row, out| {
        let mut seen = HashSet::new();
        out.push(b'{');
        for (at, entry) in range(row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let start = out.len();
            key_text(keys.get(entry).ok_or(CellReason::NULL_KEY)?, out)?;
            let text = String::from_utf8_lossy(&out[start..]).into_owned();
            out.truncate(start);
            put_string(out, &text, false)?;
            out.push(b':');
            value(entry, out)?;
            if !seen.insert(text) {
                return Err(CellReason::NotA("a map of distinct keys"));
            }
        }
        out.push(b'}');
        match stay_distinct(seen.iter().map(String::as_str)) {
            true => Ok(()),
            false => Err(CellReason::NotA("a map of distinct keys")),
        }
    }))
}

/// The active child's value; the Go plugin writes `[typecode,value]`.
fn union(array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    let wrong = || WrongArray::Type(array.data_type().clone());
    let union = array.as_union_opt().ok_or_else(wrong)?.clone();
    let DataType::Union(fields, mode) = array.data_type() else {
        return Err(wrong());
    };
    let mut writers: Vec<(i8, Write)> = Vec::new();
    for (code, field) in fields.iter() {
        writers.push((code, json(field, union.child(code), style)?));
    }
    let dense = *mode == UnionMode::Dense;
    Ok(Box::new(move |row, out| {
        let code = union.type_id(row);
        let child_row = if dense { union.value_offset(row) } else { row };
        let writer = writers
            .iter()
            .find(|(known, _)| *known == code)
            .ok_or(CellReason::NotA("a known union type"))?;
        if style == Style::Native {
            return writer.1(child_row, out);
        }
        out.push(b'[');
        out.extend_from_slice(code.to_string().as_bytes());
        out.push(b',');
        writer.1(child_row, out)?;
        out.push(b']');
        Ok(())
    }))
}

/// Dictionaries and runs, through the value of each row.
fn unfolded(field: &Field, array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    let rows = Unfolded::of(array)?;
    let field = meant(field).with_data_type(rows.values.data_type().clone());
    let write = json(&field, &rows.values, style)?;
    Ok(Box::new(move |row, out| match rows.get(row) {
        Some(value) => write(value, out),
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }))
}

/// Writes a JSON string; `html` escapes what Go's encoder escapes besides.
pub(super) fn put_string(out: &mut Text, text: &str, html: bool) -> Result<(), CellReason> {
    out.string(text.len())?;
    out.put(b"\"")?;
    put_escaped(out, text.as_bytes(), html)?;
    out.put(b"\"")
}

fn put_escaped(out: &mut Text, text: &[u8], html: bool) -> Result<(), CellReason> {
    escaped(text, html, |part| out.put(part))
}

/// Whether a byte of UTF-8 may need to be escaped; U+2028 and U+2029 begin with 0xE2.
fn is_special(byte: u8, html: bool) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\') || (html && matches!(byte, b'<' | b'>' | b'&' | 0xE2))
}

/// Puts a text part by part, escaped.
fn escaped<E>(mut text: &[u8], html: bool, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    while let Some(clean) = text.iter().position(|byte| is_special(*byte, html)) {
        let (before, rest) = text.split_at(clean);
        put(before)?;
        let mut numbered = *b"\\u0000";
        let (escape, taken): (&[u8], usize) = match rest {
            [b'"', ..] => (b"\\\"", 1),
            [b'\\', ..] => (b"\\\\", 1),
            [b'\n', ..] => (b"\\n", 1),
            [b'\r', ..] => (b"\\r", 1),
            [b'\t', ..] => (b"\\t", 1),
            [8, ..] => (b"\\b", 1),
            [12, ..] => (b"\\f", 1),
            [0xE2, 0x80, 0xA8, ..] => (b"\\u2028", 3),
            [0xE2, 0x80, 0xA9, ..] => (b"\\u2029", 3),
            [0xE2, ..] => (&rest[..1], 1),
            [byte, ..] => {
                numbered[4] = HEX[usize::from(byte >> 4)];
                numbered[5] = HEX[usize::from(byte & 15)];
                (&numbered, 1)
            }
            [] => return Ok(()),
        };
        put(escape)?;
        text = &rest[taken..];
    }
    put(text)
}
