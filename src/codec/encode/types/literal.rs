//! Arrays, ranges, multiranges and row types from text in the form in which Postgres prints them. The parts go through the
//! rule that their own type has for text, so that nothing is read here that would not be read in a column of that type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field};

use super::range::{EMPTY, LOWER_INFINITE, UPPER_INFINITE, flags};
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Bind, Faults, Planned, Scratch};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::literal::container::{self, Part, RangeText};
use crate::model::pg_type::{CompositeType, PgType, RangeType};

/// The rule of a part's type for text.
#[derive(Clone)]
struct Parts(Arc<Bind>);

impl Parts {
    fn of(ty: &PgType, rules: &Rules<'_>) -> Result<Self, Refused> {
        let field = Field::new("part", DataType::Utf8, true);
        Ok(Self(Arc::new(rules.plan(&Source::of(&field), ty)?)))
    }

    /// Appends parts as fields.
    fn put(&self, parts: Vec<Part>, out: &mut Vec<u8>) -> Result<(), CellReason> {
        let texts: ArrayRef = Arc::new(StringArray::from(parts));
        let encoder = (self.0)(&texts).map_err(CellReason::from)?;
        let mut lengths = vec![0; texts.len()];
        let (mut scratch, mut faults) = (Scratch::default(), Faults::new(1));
        encoder.measure(0..texts.len(), &mut lengths, &mut scratch, &mut faults);
        if let Some((_, reason)) = faults.found().first() {
            return Err(reason.clone());
        }
        let mut end = out.len();
        for length in &mut lengths {
            let start = end;
            end += *length;
            *length = start;
        }
        out.resize(end, 0);
        encoder.write(0..texts.len(), &mut lengths, &mut scratch, out);
        Ok(())
    }
}

/// `{1,NULL,"a b"}`, in up to six dimensions.
pub(super) fn array(element: &PgType, rules: &Rules<'_>) -> Planned {
    let parts = Parts::of(element, rules)?;
    let oid = element.oid();
    from_text(move |text, out| {
        let (lengths, elements) = container::array(text).ok_or(CellReason::NotA("an array in the form {a,b}"))?;
        let has_nulls = elements.iter().any(Option::is_none);
        out.extend_from_slice(&(lengths.len() as i32).to_be_bytes());
        out.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
        out.extend_from_slice(&oid.to_be_bytes());
        for length in lengths {
            out.extend_from_slice(&(length as i32).to_be_bytes());
            out.extend_from_slice(&1i32.to_be_bytes());
        }
        parts.put(elements, out)
    })
}

/// `[1,5)`, `empty`.
pub(super) fn range(range: &RangeType, rules: &Rules<'_>) -> Planned {
    let parts = Parts::of(&range.subtype, rules)?;
    from_text(move |text, out| {
        let range = container::range(text).ok_or(CellReason::NotA("a range in the form [a,b)"))?;
        put_range(range, &parts, out)
    })
}

/// `{[1,3),[5,7)}`.
pub(super) fn multirange(range: &RangeType, rules: &Rules<'_>) -> Planned {
    let parts = Parts::of(&range.subtype, rules)?;
    from_text(move |text, out| {
        let ranges = container::multirange(text).ok_or(CellReason::NotA("a multirange in the form {[a,b)}"))?;
        out.extend_from_slice(&(ranges.len() as i32).to_be_bytes());
        for range in ranges {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            put_range(range, &parts, out)?;
            let length = (out.len() - start - 4) as i32;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    })
}

fn put_range(range: RangeText, parts: &Parts, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let RangeText::Bounds(bounds, lower, upper) = range else {
        out.push(EMPTY);
        return Ok(());
    };
    let flags = flags(&bounds, lower.is_none(), upper.is_none())?;
    out.push(flags);
    if flags & LOWER_INFINITE == 0 {
        parts.put(vec![lower], out)?;
    }
    if flags & UPPER_INFINITE == 0 {
        parts.put(vec![upper], out)?;
    }
    Ok(())
}

/// `(1,"x y",)`, as many fields as attributes.
pub(super) fn composite(composite: &CompositeType, rules: &Rules<'_>) -> Planned {
    let attributes = composite.fields.iter();
    let attributes: Result<Vec<(u32, Parts)>, Refused> = attributes
        .map(|(_, ty)| Ok((ty.oid(), Parts::of(ty, rules)?)))
        .collect();
    let attributes = attributes?;
    from_text(move |text, out| {
        let fields = container::row(text).ok_or(CellReason::NotA("a row in the form (a,b)"))?;
        if fields.len() != attributes.len() {
            return Err(CellReason::WrongLength {
                found: fields.len(),
                expected: attributes.len(),
                unit: "fields",
            });
        }
        out.extend_from_slice(&(fields.len() as i32).to_be_bytes());
        for (field, (oid, parts)) in fields.into_iter().zip(&attributes) {
            out.extend_from_slice(&oid.to_be_bytes());
            parts.put(vec![field], out)?;
        }
        Ok(())
    })
}
