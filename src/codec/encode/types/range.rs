//! Range types: `u8` flags (1 empty, 2 lower inclusive, 4 upper inclusive, 8 no lower bound, 16 no upper bound), then
//! the bounds that there are as fields of the subtype's own rule.
//!
//! Taken from structs with fields `lower` and `upper`, optionally `bounds` (`[)`, `[]`, `()`, `(]`; `[)` where missing)
//! and `empty`. A NULL bound is an infinite one.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Fields};

use crate::codec::encode::cells::Strings;
use crate::codec::encode::column::{Encoder, Faults, Planned, Scratch, rendered};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::codec::encode::unfolded::Unfolded;
use crate::model::extension::{is_text, unencoded};
use crate::model::pg_type::RangeType;

pub(super) const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
pub(super) const LOWER_INFINITE: u8 = 0x08;
pub(super) const UPPER_INFINITE: u8 = 0x10;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, range: &RangeType, rules: &Rules<'_>) -> Planned {
    if source.is_text() {
        return super::literal::range(range, rules);
    }
    let DataType::Struct(fields) = source.data_type else {
        return Err(Refused::NoRule);
    };
    let lower_at = position(fields, "lower")?;
    let upper_at = position(fields, "upper")?;
    let bind_lower = rules.plan(&Source::of(&fields[lower_at]), &range.subtype)?;
    let bind_upper = rules.plan(&Source::of(&fields[upper_at]), &range.subtype)?;
    let bounds_at = position(fields, "bounds")
        .ok()
        .filter(|at| is_text(unencoded(fields[*at].data_type())));
    let empty_at = position(fields, "empty")
        .ok()
        .filter(|at| fields[*at].data_type() == &DataType::Boolean);
    let known = [Some(lower_at), Some(upper_at), bounds_at, empty_at]
        .iter()
        .flatten()
        .count();
    if known != fields.len() {
        return Err(Refused::Because(
            "a range is a struct of lower, upper, and optionally bounds (text) and empty (bool)".to_owned(),
        ));
    }
    Ok(Box::new(move |array| {
        let parent = array
            .as_struct_opt()
            .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
        let cells = Ranges {
            lower: Bound::of(
                parent.column(lower_at).logical_nulls(),
                bind_lower(parent.column(lower_at))?,
            ),
            upper: Bound::of(
                parent.column(upper_at).logical_nulls(),
                bind_upper(parent.column(upper_at))?,
            ),
            bounds: match bounds_at {
                Some(at) => {
                    let rows = Unfolded::of(parent.column(at))?;
                    Some((Strings::of(&rows.values)?, rows))
                }
                None => None,
            },
            empty: empty_at.map(|at| parent.column(at).as_boolean().clone()),
        };
        Ok(rendered(parent.nulls(), move |row, out| cells.put(row, out)))
    }))
}

fn position(fields: &Fields, name: &str) -> Result<usize, Refused> {
    fields
        .iter()
        .position(|field| field.name() == name)
        .ok_or_else(|| Refused::Because(format!("a range is a struct with a field {name:?}")))
}

/// Values that are put one by one, as fields.
pub(super) struct Bound {
    nulls: Option<NullBuffer>,
    encoder: Encoder,
}

impl Bound {
    pub(super) fn of(nulls: Option<NullBuffer>, encoder: Encoder) -> Self {
        Self { nulls, encoder }
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the value as a field.
    pub(super) fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<(), CellReason> {
        let mut scratch = Scratch::default();
        let mut faults = Faults::new(1);
        let mut length = [0];
        self.encoder
            .measure(row..row + 1, &mut length, &mut scratch, &mut faults);
        if let Some((_, reason)) = faults.found().first() {
            return Err(reason.clone());
        }
        let mut cursor = [out.len()];
        out.resize(out.len() + length[0], 0);
        self.encoder.write(row..row + 1, &mut cursor, &mut scratch, out);
        Ok(())
    }
}

/// The flags of a range that is not empty.
pub(super) fn flags(bounds: &str, no_lower: bool, no_upper: bool) -> Result<u8, CellReason> {
    let mut flags = match bounds {
        "[)" => LOWER_INCLUSIVE,
        "[]" => LOWER_INCLUSIVE | UPPER_INCLUSIVE,
        "(]" => UPPER_INCLUSIVE,
        "()" => 0,
        _ => return Err(CellReason::NotA("one of [) [] (] () for the bounds of a range")),
    };
    // An infinite bound includes nothing.
    if no_lower {
        flags = flags & !LOWER_INCLUSIVE | LOWER_INFINITE;
    }
    if no_upper {
        flags = flags & !UPPER_INCLUSIVE | UPPER_INFINITE;
    }
    Ok(flags)
}

struct Ranges {
    lower: Bound,
    upper: Bound,
    bounds: Option<(Strings, Unfolded)>,
    empty: Option<BooleanArray>,
}

impl Ranges {
    fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<(), CellReason> {
        let bounds = match &self.bounds {
            Some((bounds, rows)) => rows.get(row).map_or("[)", |value| bounds.get(value)),
            None => "[)",
        };
        if bounds == "empty"
            || self
                .empty
                .as_ref()
                .is_some_and(|empty| empty.is_valid(row) && empty.value(row))
        {
            out.push(EMPTY);
            return Ok(());
        }
        let flags = flags(bounds, self.lower.is_null(row), self.upper.is_null(row))?;
        out.push(flags);
        if flags & LOWER_INFINITE == 0 {
            self.lower.put(row, out)?;
        }
        if flags & UPPER_INFINITE == 0 {
            self.upper.put(row, out)?;
        }
        Ok(())
    }
}
