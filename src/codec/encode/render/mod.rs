//! Arrow values as text: JSON for nested values, and the texts of columns without a closer type.
//!
//! Two styles. `native` writes each value as Postgres' `to_jsonb` would write the value's own type (so a struct of a
//! date, a decimal and bytes reads as if Postgres had made it), intervals as ISO 8601. `cloudquery` repeats the forms of
//! the Go plugin, byte for byte, because its readers parse them back. Writers are made once per batch.

mod json;
mod number;
mod scalar;
mod temporal;
mod variant;

pub(crate) use json::{json, refuse_unclear};
pub(crate) use temporal::counts;

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Field;

use super::error::{CellReason, WrongArray};
use crate::codec::encode::rendered::Text;
use crate::model::options::TypeProfile;

/// Which texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Native,
    Cloudquery,
}

impl From<TypeProfile> for Style {
    fn from(profile: TypeProfile) -> Self {
        match profile {
            TypeProfile::Native => Self::Native,
            TypeProfile::Cloudquery => Self::Cloudquery,
        }
    }
}

/// Writes the value of one row behind what is there.
pub(crate) type Write = Box<dyn Fn(usize, &mut Text) -> Result<(), CellReason> + Send + Sync>;

/// How a scalar's text appears inside JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// As it is: numbers, booleans, JSON.
    Bare,
    /// In quotes, without anything to escape.
    Plain,
    /// In quotes, escaped.
    Escaped,
}

/// The text of a value in a text column; nested values as JSON.
///
/// # Errors
/// An array that is not of the field's type.
pub(crate) fn text(field: &Field, array: &ArrayRef, style: Style) -> Result<Write, WrongArray> {
    if let Some((_, write)) = scalar::scalar(field, array, style, scalar::Place::Column)? {
        return Ok(write);
    }
    json(field, array, style)
}

/// Whether names stay distinct whatever `nul_bytes` puts in the place of the byte 0.
fn stay_distinct<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    if !names.clone().any(|name| name.contains('\0')) {
        return true;
    }
    ["", "\u{fffd}"].iter().all(|substitute| {
        let mut seen = HashSet::new();
        names.clone().all(|name| seen.insert(name.replace('\0', substitute)))
    })
}

/// A writer that writes `null` for NULL.
fn or_null(array: &ArrayRef, write: Write) -> Write {
    match array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        None => write,
        Some(nulls) => Box::new(move |row, out| {
            if nulls.is_valid(row) {
                return write(row, out);
            }
            out.extend_from_slice(b"null");
            Ok(())
        }),
    }
}
