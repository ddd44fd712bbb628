//! The types whose payload is their text: `text`, `varchar`, `char`, `name`, `xml`, `citext`, enums, `"char"`, and behind a
//! version `ltree` and `lquery`.
//!
//! Text is copied from any Arrow layout. A value over a declared length is refused, also where Postgres would cut off
//! trailing blanks. The byte 0 follows the option `nul_bytes`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, LargeStringArray, StringArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::xml;
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::{ByteCells, ByteCheck, NoNul, NoNulAnd, Strings, from_text};
use crate::codec::encode::column::{
    ColumnEncoder, Encoder, Faults, Planned, Scratch, bind_as, copy_short, fits, length_word, put_null, rendered,
    rendered_text, some_nulls,
};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::render::{Style, refuse_unclear, text};
use crate::codec::encode::source::Source;
use crate::codec::wire::VERSION;
use crate::model::extension::{is_binary, is_text};
use crate::model::options::NulBytes;
use crate::model::pg_type::PgType;

/// Longest `name` in bytes.
const NAME_BYTES: usize = 63;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    let ty = source.data_type;
    match target {
        PgType::Text | PgType::Varchar(None) | PgType::Bpchar(None) | PgType::Citext(_) => {
            text_or_rendered(source, NoNul, options)
        }
        PgType::Varchar(Some(limit)) | PgType::Bpchar(Some(limit)) => {
            let limit = *limit as usize;
            let short = move |bytes: &[u8]| at_most(characters(bytes), limit, "characters");
            text_or_rendered(source, NoNulAnd(short), options)
        }
        PgType::Xml => layouts(ty, None, NoNulAnd(xml::is_kept), options),
        PgType::Name => layouts(
            ty,
            None,
            NoNulAnd(|bytes: &[u8]| at_most(bytes.len(), NAME_BYTES, "bytes")),
            options,
        ),
        PgType::SingleChar if is_text(ty) => {
            let nul_bytes = options.nul_bytes;
            from_text(move |text, out| one_byte(text, nul_bytes, out))
        }
        PgType::Ltree(_) | PgType::Lquery(_) => layouts(ty, Some(VERSION), NoNul, options),
        PgType::Enum(labels) => {
            let labels: Arc<HashSet<Vec<u8>>> =
                Arc::new(labels.labels.iter().map(|l| l.clone().into_bytes()).collect());
            let known = move |bytes: &[u8]| {
                if labels.contains(bytes) {
                    Ok(())
                } else {
                    Err(CellReason::UnknownLabel)
                }
            };
            layouts(ty, None, NoNulAnd(known), options)
        }
        _ => Err(Refused::NoRule),
    }
}

/// Texts are copied, other values written as text: numbers, dates and nested values in their JSON form.
fn text_or_rendered<C: ByteCheck>(source: &Source<'_>, check: C, options: &EncodeOptions) -> Planned {
    if is_text(source.data_type) {
        return layouts(source.data_type, None, check, options);
    }
    let style = Style::from(options.type_profile);
    // Bytes have no text of their own: hexadecimal and base64 are both guesses, the second is the Go plugin's.
    if is_binary(source.data_type) && source.extension.is_none() && style == Style::Native {
        return Err(Refused::NoRule);
    }
    text_of_any(source, style, move |text| check.cell(text))
}

/// A plan that writes the text of any value and checks it.
fn text_of_any<C>(source: &Source<'_>, style: Style, check: C) -> Planned
where
    C: Fn(&[u8]) -> Result<(), CellReason> + Send + Sync + Clone + 'static,
{
    let field = source.field();
    refuse_unclear(&field).map_err(Refused::Because)?;
    Ok(Box::new(move |array| {
        let write = text(&field, array, style)?;
        let check = check.clone();
        Ok(rendered_text(array.logical_nulls().as_ref(), move |row, out| {
            let start = out.len();
            write(row, out)?;
            check(&out[start..])
        }))
    }))
}

/// A plan that copies texts of any layout behind an optional version byte.
pub(in crate::codec::encode) fn layouts<C: ByteCheck>(
    data_type: &DataType,
    prefix: Option<u8>,
    check: C,
    options: &EncodeOptions,
) -> Planned {
    let copy = match data_type {
        DataType::Utf8 => copied::<StringArray, _>(prefix, check.clone())?,
        DataType::LargeUtf8 => copied::<LargeStringArray, _>(prefix, check.clone())?,
        DataType::Utf8View => copied::<StringViewArray, _>(prefix, check.clone())?,
        _ => return Err(Refused::NoRule),
    };
    let Some(substitute) = options.nul_bytes.substitute() else {
        return Ok(copy);
    };
    Ok(Box::new(move |array| {
        let texts = Strings::of(array)?;
        let is_dirty = |row| array.is_valid(row) && memchr::memchr(0, texts.get(row).as_bytes()).is_some();
        if !(0..array.len()).any(is_dirty) {
            return copy(array);
        }
        // Cell by cell: views may share one long text, so that all of them cleaned can be more than memory holds.
        let check = check.clone();
        Ok(rendered(array.nulls(), move |row, out| {
            out.extend(prefix);
            let start = out.len();
            out.extend_from_slice(texts.get(row).replace('\0', substitute).as_bytes());
            check.cell(&out[start..])
        }))
    }))
}

/// A plan that copies the cells of one array type.
pub(in crate::codec::encode) fn copied<A: ByteCells, C: ByteCheck>(prefix: Option<u8>, check: C) -> Planned {
    bind_as(move |array: A| -> Encoder {
        Box::new(Copied {
            nulls: some_nulls(array.nulls()),
            array,
            prefix,
            check: check.clone(),
        })
    })
}

struct Copied<A, C> {
    nulls: Option<NullBuffer>,
    array: A,
    prefix: Option<u8>,
    check: C,
}

impl<A: ByteCells, C: ByteCheck> Copied<A, C> {
    fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}

impl<A: ByteCells, C: ByteCheck> ColumnEncoder for Copied<A, C> {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], _: &mut Scratch, faults: &mut Faults) {
        let prefix = usize::from(self.prefix.is_some());
        let clean = self.check.passes_all()
            || self
                .array
                .run(rows.clone())
                .is_some_and(|run| self.check.passes_whole(run));
        for (length, row) in lengths.iter_mut().zip(rows) {
            *length += 4;
            if self.is_valid(row) {
                let size = prefix + self.array.size(row);
                let checked = if clean {
                    Ok(())
                } else {
                    self.check.cell(self.array.cell(row))
                };
                if let Err(reason) = checked.and_then(|()| fits(size)) {
                    faults.push(row, reason);
                }
                *length += size;
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], _: &mut Scratch, out: &mut [u8]) {
        for (cursor, row) in cursors.iter_mut().zip(rows) {
            if !self.is_valid(row) {
                put_null(cursor, out);
                continue;
            }
            let bytes = self.array.cell(row);
            let prefix = usize::from(self.prefix.is_some());
            let field = &mut out[*cursor..*cursor + 4 + prefix + bytes.len()];
            field[..4].copy_from_slice(&length_word(prefix + bytes.len()));
            if let Some(version) = self.prefix {
                field[4] = version;
            }
            copy_short(bytes, &mut field[4 + prefix..]);
            *cursor += field.len();
        }
    }
}

/// Number of characters of valid UTF-8: the bytes that do not continue one.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -64).count()
}

fn at_most(found: usize, limit: usize, unit: &'static str) -> Result<(), CellReason> {
    if found <= limit {
        Ok(())
    } else {
        Err(CellReason::TooLong { found, limit, unit })
    }
}

/// `"char"`: one byte, as `\ooo` where it is above 127; nothing is the byte 0. So Postgres prints it since 16.
fn one_byte(text: &str, nul_bytes: NulBytes, out: &mut Vec<u8>) -> Result<(), CellReason> {
    match (text.as_bytes(), nul_bytes) {
        ([], _) | ([0], NulBytes::Strip) => out.push(0),
        (bytes, _) if memchr::memchr(0, bytes).is_some() => return Err(CellReason::NulByte),
        ([byte], _) => out.push(*byte),
        ([b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7'], _) => {
            out.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
        }
        (bytes, _) => {
            return Err(CellReason::WrongLength {
                found: bytes.len(),
                expected: 1,
                unit: "bytes",
            });
        }
    }
    Ok(())
}
