//! `json`, and `jsonb` and `jsonpath`: a version byte 1 before the same text.
//!
//! JSON text is copied; whether it is JSON is left to Postgres, which names the row. Any other value is written as JSON,
//! nested ones included. The escape `\u0000`, which `jsonb` cannot hold, follows the option `nul_bytes`.

use arrow::array::{BinaryArray, BinaryViewArray, LargeBinaryArray};
use arrow::datatypes::DataType;
use memchr::memmem;

use super::text::{copied, layouts};
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::{Binaries, ByteCheck, NoNul, NoNulAnd, Strings};
use crate::codec::encode::column::{Planned, rendered, rendered_text};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::render::{Style, json, refuse_unclear};
use crate::codec::encode::source::Source;
use crate::codec::wire::VERSION;
use crate::model::extension::{Extension, is_text};
use crate::model::options::{NulBytes, TypeProfile};
use crate::model::pg_type::PgType;

/// What `jsonb` refuses inside strings.
const NUL_ESCAPE: &[u8] = b"\\u0000";

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    let ty = source.data_type;
    let is_json = matches!(source.extension, Some(Extension::Json));
    match target {
        PgType::JsonPath => layouts(ty, Some(VERSION), NoNul, options),
        PgType::Json if is_text(ty) => layouts(ty, None, NoNul, options),
        PgType::Jsonb if is_text(ty) => jsonb_text(ty, options),
        // CloudQuery keeps JSON in binary arrays, whose bytes nobody has checked to be UTF-8.
        PgType::Json if is_json => binaries(ty, None, NoNulAnd(utf8)),
        PgType::Jsonb if is_json => jsonb_binary(ty, options),
        PgType::Json => values(source, None, NulBytes::Error, options.type_profile),
        _ => values(source, Some(VERSION), options.nul_bytes, options.type_profile),
    }
}

fn binaries<C: ByteCheck>(data_type: &DataType, prefix: Option<u8>, check: C) -> Planned {
    match data_type {
        DataType::Binary => copied::<BinaryArray, _>(prefix, check),
        DataType::LargeBinary => copied::<LargeBinaryArray, _>(prefix, check),
        DataType::BinaryView => copied::<BinaryViewArray, _>(prefix, check),
        _ => Err(Refused::NoRule),
    }
}

fn jsonb_text(data_type: &DataType, options: &EncodeOptions) -> Planned {
    if options.nul_bytes == NulBytes::Error {
        return layouts(data_type, Some(VERSION), JsonbText, options);
    }
    let nul_bytes = options.nul_bytes;
    Ok(Box::new(move |array| {
        let texts = Strings::of(array)?;
        Ok(rendered(array.nulls(), move |row, out| {
            put_cleaned(texts.get(row).as_bytes(), nul_bytes, out)
        }))
    }))
}

fn jsonb_binary(data_type: &DataType, options: &EncodeOptions) -> Planned {
    if options.nul_bytes == NulBytes::Error {
        let check = NoNulAnd(|json: &[u8]| utf8(json).and_then(|()| no_escape(json)));
        return binaries(data_type, Some(VERSION), check);
    }
    let nul_bytes = options.nul_bytes;
    Ok(Box::new(move |array| {
        let bytes = Binaries::of(array)?;
        Ok(rendered(array.nulls(), move |row, out| {
            utf8(bytes.get(row))?;
            put_cleaned(bytes.get(row), nul_bytes, out)
        }))
    }))
}

/// A `jsonb` payload without NUL, where that is what the option says.
fn put_cleaned(json: &[u8], nul_bytes: NulBytes, out: &mut Vec<u8>) -> Result<(), CellReason> {
    out.push(VERSION);
    let start = out.len();
    for part in json.split_inclusive(|byte| *byte == 0) {
        match part.split_last() {
            Some((0, before)) => {
                out.extend_from_slice(before);
                out.extend_from_slice(nul_bytes.substitute().unwrap_or_default().as_bytes());
            }
            _ => out.extend_from_slice(part),
        }
    }
    clean(out, start, nul_bytes)
}

/// A plan that writes values of any type as JSON.
fn values(source: &Source<'_>, prefix: Option<u8>, nul_bytes: NulBytes, profile: TypeProfile) -> Planned {
    let field = source.field();
    refuse_unclear(&field).map_err(Refused::Because)?;
    let style = Style::from(profile);
    Ok(Box::new(move |array| {
        let write = json(&field, array, style)?;
        Ok(rendered_text(array.logical_nulls().as_ref(), move |row, out| {
            out.extend(prefix);
            if prefix.is_some() {
                out.count_strings();
            }
            let start = out.len();
            write(row, out)?;
            if prefix.is_some() {
                clean(out, start, nul_bytes)
            } else {
                Ok(())
            }
        }))
    }))
}

/// Text that `jsonb` may hold as far as NUL goes.
#[derive(Clone)]
struct JsonbText;

impl ByteCheck for JsonbText {
    fn cell(&self, bytes: &[u8]) -> Result<(), CellReason> {
        NoNul.cell(bytes)?;
        no_escape(bytes)
    }
    fn passes_whole(&self, run: &[u8]) -> bool {
        NoNul.passes_whole(run) && memmem::find(run, NUL_ESCAPE).is_none()
    }
}

fn utf8(bytes: &[u8]) -> Result<(), CellReason> {
    std::str::from_utf8(bytes)
        .map(|_| ())
        .map_err(|_| CellReason::NotA("UTF-8"))
}

fn no_escape(json: &[u8]) -> Result<(), CellReason> {
    match escapes(json).next() {
        Some(_) => Err(CellReason::NulByte),
        None => Ok(()),
    }
}

/// Where `\u0000` is whose backslash is not itself escaped.
fn escapes(json: &[u8]) -> impl Iterator<Item = usize> {
    memmem::find_iter(json, NUL_ESCAPE).filter(|at| {
        let before = json[..*at].iter().rev();
        before.take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Applies `nul_bytes` to the escapes in the document that starts at `start`.
fn clean(out: &mut Vec<u8>, start: usize, nul_bytes: NulBytes) -> Result<(), CellReason> {
    if escapes(&out[start..]).next().is_none() {
        return Ok(());
    }
    let substitute: &[u8] = match nul_bytes {
        NulBytes::Error => return Err(CellReason::NulByte),
        NulBytes::Strip => b"",
        NulBytes::Replace => b"\\ufffd",
    };
    // Written anew in one pass: a document may be nothing but escapes.
    let document = out.split_off(start);
    let mut from = 0;
    for at in escapes(&document) {
        out.extend_from_slice(&document[from..at]);
        out.extend_from_slice(substitute);
        from = at + NUL_ESCAPE.len();
    }
    out.extend_from_slice(&document[from..]);
    Ok(())
}
