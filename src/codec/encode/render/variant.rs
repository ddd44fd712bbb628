//! Parquet variants as JSON, shredded or not: each value as `to_jsonb` would write its own type.
//!
//! The layout is VariantShredding.md of the Parquet format: a group has the values of its rows in `typed_value` where they
//! are of its type, else encoded in `value`; an object may be in both, a member each. A row whose parts contradict each
//! other is at fault; nothing is guessed.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, TimeUnit};

use super::form::{Style, Write, stay_distinct};
use super::json::{json, put_string};
use super::number::{Float, put_decimal};
use super::scalar::{put_boolean, put_bytes, put_uuid};
use super::temporal::{put_day, put_time_of_day, put_timestamp};
use crate::codec::encode::cells::Binaries;
use crate::codec::encode::error::{CellReason, WrongArray};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::rendered::Text;
use crate::codec::encode::unfolded::Unfolded;
use crate::literal::digits::put_whole;
use crate::literal::variant::{Malformed, Names, Value};
use crate::model::extension;

/// Levels of arrays and objects, of which each takes a call: far below what a stack holds, far above what documents have.
const MAX_DEPTH: usize = 256;

/// Why the parts of a variant's storage cannot be read.
pub(super) fn refuse_storage(data_type: &DataType) -> Result<(), String> {
    let DataType::Struct(fields) = data_type else {
        return Err(format!("a shredded variant has a group of the type {data_type}"));
    };
    if let Some((_, value)) = fields.find("value")
        && !extension::is_binary(extension::unencoded(value.data_type()))
    {
        return Err(format!("a variant has a value of the type {}", value.data_type()));
    }
    let Some((_, typed)) = fields.find("typed_value") else {
        return Ok(());
    };
    match typed.data_type() {
        DataType::Struct(members) => {
            let mut names = HashSet::new();
            for member in members {
                if !names.insert(member.name()) {
                    return Err(format!("a shredded variant has two members named {:?}", member.name()));
                }
                refuse_storage(member.data_type())?;
            }
            Ok(())
        }
        other => match element_field(other) {
            Some(element) => refuse_storage(element.data_type()),
            None if is_shredded_scalar(other) => Ok(()),
            None => Err(format!("a variant is not shredded into {other}")),
        },
    }
}

fn is_shredded_scalar(data_type: &DataType) -> bool {
    extension::is_text(data_type)
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal32(_, _)
                | DataType::Decimal64(_, _)
                | DataType::Decimal128(_, _)
                | DataType::Date32
                | DataType::Time64(TimeUnit::Microsecond)
                | DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(16)
        )
}

/// Writes variants as JSON; NULL is the caller's.
///
/// # Errors
/// An array that is no variant.
pub(super) fn variant(array: &ArrayRef) -> Result<Write, WrongArray> {
    let wrong = || WrongArray::Type(array.data_type().clone());
    let parts = array.as_struct_opt().ok_or_else(wrong)?;
    let metadata = Bytes::of(parts.column_by_name("metadata").ok_or_else(wrong)?)?;
    let group = Group::of(array)?;
    Ok(Box::new(move |row, out| {
        let metadata = metadata.get(row).ok_or(CellReason::BadVariant("it has no metadata"))?;
        let names = Names::read(metadata).map_err(CellReason::BadVariant)?;
        group.write(row, &names, &mut Document { out })
    }))
}

/// Bytes of any layout, encoded or not.
struct Bytes {
    rows: Unfolded,
    cells: Binaries,
}

impl Bytes {
    fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let rows = Unfolded::of(array)?;
        let cells = Binaries::of(&rows.values)?;
        Ok(Self { rows, cells })
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        self.rows.get(row).map(|value| self.cells.get(value))
    }
}

/// The pair of `value` and `typed_value`, either of which may not be there.
struct Group {
    nulls: Option<NullBuffer>,
    value: Option<Bytes>,
    typed: Option<(Option<NullBuffer>, Typed)>,
}

enum Typed {
    Scalar(Write),
    Array(Lists, Box<Group>),
    Object(Members),
}

/// The members that have columns.
struct Members {
    groups: Vec<(String, Group)>,
    names: HashSet<String>,
}

impl Group {
    fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let wrong = || WrongArray::Type(array.data_type().clone());
        let parts = array.as_struct_opt().ok_or_else(wrong)?;
        let typed = match parts.column_by_name("typed_value") {
            Some(typed) => Some((typed.logical_nulls(), Typed::of(typed)?)),
            None => None,
        };
        Ok(Self {
            nulls: parts.nulls().cloned(),
            value: parts.column_by_name("value").map(Bytes::of).transpose()?,
            typed,
        })
    }

    fn parts(&self, row: usize) -> (Option<&[u8]>, Option<&Typed>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return (None, None);
        }
        let valid = |nulls: &Option<NullBuffer>| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let typed = self
            .typed
            .as_ref()
            .filter(|(nulls, _)| valid(nulls))
            .map(|(_, typed)| typed);
        (self.value.as_ref().and_then(|value| value.get(row)), typed)
    }

    fn write(&self, row: usize, names: &Names<'_>, document: &mut Document<'_>) -> Result<(), CellReason> {
        match self.parts(row) {
            // Where a value must be and none is, the format says that it is null.
            (None, None) => document.put(b"null"),
            (Some(value), None) => {
                let mut budget = value.len();
                document.write(names, value, &mut budget, 0)
            }
            (None, Some(Typed::Scalar(write))) => write(row, document.out),
            (None, Some(Typed::Array(lists, elements))) => {
                document.put(b"[")?;
                for (at, element) in (lists.starts[row]..lists.starts[row + 1]).enumerate() {
                    document.comma(at > 0)?;
                    elements.write(element, names, document)?;
                }
                document.put(b"]")
            }
            (value, Some(Typed::Object(members))) => write_object(members, value, row, names, document),
            (Some(_), Some(_)) => Err(CellReason::BadVariant("it has a value and a typed value")),
        }
    }
}

impl Typed {
    fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        Ok(match array.data_type() {
            DataType::Struct(fields) => {
                let parts = array.as_struct();
                let members = fields.iter().zip(parts.columns());
                let members = members.map(|(field, column)| Ok((field.name().clone(), Group::of(column)?)));
                let names = fields.iter().map(|field| field.name().clone()).collect();
                let groups = members.collect::<Result<_, WrongArray>>()?;
                Self::Object(Members { groups, names })
            }
            other if element_field(other).is_some() => {
                let lists = Lists::of(array)?;
                let elements = Group::of(&lists.elements)?;
                Self::Array(lists, Box::new(elements))
            }
            other => {
                let mut field = Field::new("typed_value", other.clone(), true);
                if let DataType::FixedSizeBinary(16) = other {
                    field = field.with_metadata([(extension::NAME, "arrow.uuid")]);
                }
                Self::Scalar(json(&field, array, Style::Native)?)
            }
        })
    }
}

/// The members that have a column, then those that `value` has besides.
fn write_object(
    members: &Members,
    value: Option<&[u8]>,
    row: usize,
    names: &Names<'_>,
    document: &mut Document<'_>,
) -> Result<(), CellReason> {
    document.put(b"{")?;
    let mut written = 0;
    let mut shredded = Vec::new();
    for (name, group) in &members.groups {
        if let (None, None) = group.parts(row) {
            continue;
        }
        shredded.push(name.as_str());
        document.member(written > 0, name)?;
        group.write(row, names, document)?;
        written += 1;
    }
    if let Some(value) = value {
        let (rest, own) = Value::read(names, value).map_err(CellReason::BadVariant)?;
        let Value::Object(rest) = rest else {
            return Err(CellReason::BadVariant(
                "it has typed members and a value that is no object",
            ));
        };
        distinct(shredded.into_iter().chain(rest.iter().map(|(name, _)| *name)))?;
        let mut budget = value.len() - own;
        for (name, value) in rest {
            if members.names.contains(name) {
                return Err(CellReason::BadVariant("a member is in its own column and in the value"));
            }
            document.member(written > 0, name)?;
            document.write(names, value, &mut budget, 1)?;
            written += 1;
        }
    }
    document.put(b"}")
}

fn distinct<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<(), CellReason> {
    match stay_distinct(names) {
        true => Ok(()),
        false => Err(CellReason::BadVariant(
            "an object in it has names that only NUL tells apart",
        )),
    }
}

/// The text of one row's value.
struct Document<'a> {
    out: &'a mut Text,
}

impl Document<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), CellReason> {
        // Names are short in the value and long in the metadata: the text can be far longer than both.
        self.out.put(bytes)
    }

    fn comma(&mut self, needed: bool) -> Result<(), CellReason> {
        self.put(if needed { b"," } else { b"" })
    }

    fn member(&mut self, follows: bool, name: &str) -> Result<(), CellReason> {
        self.comma(follows)?;
        put_string(self.out, name, false)?;
        self.put(b":")
    }

    /// Writes an encoded value; `budget` is the bytes that it and its siblings may take in all.
    fn write(&mut self, names: &Names<'_>, value: &[u8], budget: &mut usize, depth: usize) -> Result<(), CellReason> {
        let bad = |reason: Malformed| CellReason::BadVariant(reason);
        let (value, own) = Value::read(names, value).map_err(bad)?;
        *budget = budget.checked_sub(own).ok_or(bad("values in it lie over each other"))?;
        if depth > MAX_DEPTH {
            return Err(bad("it is nested deeper than 256 levels"));
        }
        match value {
            Value::Object(members) => {
                distinct(members.iter().map(|(name, _)| *name))?;
                self.put(b"{")?;
                for (at, (name, value)) in members.into_iter().enumerate() {
                    self.member(at > 0, name)?;
                    self.write(names, value, budget, depth + 1)?;
                }
                self.put(b"}")
            }
            Value::Array(elements) => {
                self.put(b"[")?;
                for (at, value) in elements.into_iter().enumerate() {
                    self.comma(at > 0)?;
                    self.write(names, value, budget, depth + 1)?;
                }
                self.put(b"]")
            }
            scalar => put_scalar(self.out, &scalar),
        }
    }
}

fn put_scalar(out: &mut Text, scalar: &Value<'_>) -> Result<(), CellReason> {
    match scalar {
        Value::Text(text) => return put_string(out, text, false),
        Value::Binary(bytes) => out.room(3 + 2 * bytes.len())?,
        _ => out.room(64)?,
    }
    let mut quoted = |write: &dyn Fn(&mut Vec<u8>)| {
        out.push(b'"');
        write(out);
        out.push(b'"');
    };
    match scalar {
        Value::Bool(value) => put_boolean(out, *value),
        Value::Int(value) => put_whole(out, (*value).into()),
        Value::Float(value) => Float::from(*value).put_json(out, |float, out| float.put(out, 6)),
        Value::Double(value) => Float::from(*value).put_json(out, |float, out| float.put(out, 15)),
        Value::Decimal { unscaled, scale } => put_decimal(out, &unscaled.to_string(), (*scale).into()),
        Value::Date(days) => quoted(&|out| put_day(out, (*days).into())),
        Value::Time(micros) => quoted(&|out| put_time_of_day(out, *micros, TimeUnit::Microsecond)),
        Value::Timestamp { count, unit, zoned } => {
            let suffix = if *zoned { "+00:00" } else { "" };
            quoted(&|out| put_timestamp(out, *count, *unit, b'T', suffix));
        }
        // In JSON the backslash of `\x` is escaped.
        Value::Binary(bytes) => quoted(&|out| {
            out.push(b'\\');
            put_bytes(out, bytes);
        }),
        Value::Uuid(bytes) => quoted(&|out| put_uuid(out, bytes)),
        Value::Null | Value::Text(_) | Value::Object(_) | Value::Array(_) => out.extend_from_slice(b"null"),
    }
    Ok(())
}
