//! Multirange types: `i32` number of ranges, then each as a field of the range's own rule (`multirange_send`).
//!
//! Taken from lists of what a range is taken from. Postgres sorts and joins the ranges as it does with any multirange, and
//! leaves out empty ones; a NULL among them has no meaning and is refused.

use super::range::{self, Bound};
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::model::pg_type::RangeType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, range: &RangeType, rules: &Rules<'_>) -> Planned {
    if source.is_text() {
        return super::literal::multirange(range, rules);
    }
    let Some(element) = element_field(source.data_type) else {
        return Err(Refused::NoRule);
    };
    let bind = range::plan(&Source::of(element), range, rules)?;
    Ok(Box::new(move |array| {
        let Lists {
            starts,
            nulls,
            elements,
        } = Lists::of(array)?;
        let ranges = Bound::of(elements.logical_nulls(), bind(&elements)?);
        Ok(rendered(nulls.as_ref(), move |row, out| {
            let own = starts[row]..starts[row + 1];
            let count = i32::try_from(own.len()).map_err(|_| CellReason::FieldTooLarge(own.len()))?;
            out.extend_from_slice(&count.to_be_bytes());
            for element in own {
                if ranges.is_null(element) {
                    return Err(CellReason::NullInside("a multirange holds no NULL"));
                }
                ranges.put(element, out)?;
            }
            Ok(())
        }))
    }))
}
