//! Arrow values as text: JSON for nested values, and the texts of columns without a closer type.
//!
//! Two styles. `native` writes each value as Postgres' `to_jsonb` would write the value's own type (so a struct of a
//! date, a decimal and bytes reads as if Postgres had made it), intervals as ISO 8601. `cloudquery` repeats the forms of
//! the Go plugin, byte for byte, because its readers parse them back. Writers are made once per batch.

mod form;
mod json;
mod number;
mod scalar;
mod temporal;
mod variant;

pub(crate) use form::{Style, Write};
pub(crate) use json::{json, refuse_unclear};
pub(crate) use temporal::counts;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;

use super::error::WrongArray;

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
