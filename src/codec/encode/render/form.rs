//! What the writers of texts share: the two styles, a writer, and how its text appears inside JSON.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef};

use crate::codec::encode::error::CellReason;
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

/// Whether names stay distinct whatever `nul_bytes` puts in the place of the byte 0.
pub(super) fn stay_distinct<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    if !names.clone().any(|name| name.contains('\0')) {
        return true;
    }
    ["", "\u{fffd}"].iter().all(|substitute| {
        let mut seen = HashSet::new();
        names.clone().all(|name| seen.insert(name.replace('\0', substitute)))
    })
}

/// A writer that writes `null` for NULL.
pub(super) fn or_null(array: &ArrayRef, write: Write) -> Write {
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
