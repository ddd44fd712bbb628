//! Row types: `i32` attributes, then per attribute the `u32` OID of its type and a field of the attribute's own rule.
//!
//! Struct fields go to the attributes of the same name; an attribute without a field is NULL, a field without an
//! attribute is refused when planning.

use std::ops::Range;

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::codec::encode::column::{
    Bind, ColumnEncoder, Encoder, Faults, Planned, Scratch, fits, length_word, put_null, some_nulls,
};
use crate::codec::encode::error::{Refused, WrongArray};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::model::pg_type::CompositeType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, composite: &CompositeType, rules: &Rules<'_>) -> Planned {
    if source.is_text() {
        return super::literal::composite(composite, rules);
    }
    let DataType::Struct(fields) = source.data_type else {
        return Err(Refused::NoRule);
    };
    let has_attribute = |name: &str| composite.fields.iter().any(|(attribute, _)| attribute.as_str() == name);
    if let Some(extra) = fields.iter().find(|field| !has_attribute(field.name())) {
        return Err(Refused::Because(format!(
            "the type has no attribute {:?}",
            extra.name()
        )));
    }
    let mut attributes: Vec<(u32, Option<(usize, Bind)>)> = Vec::new();
    for (name, ty) in &composite.fields {
        let mut found = fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.name() == name.as_str());
        let bind = match (found.next(), found.next()) {
            (_, Some(_)) => return Err(Refused::Because(format!("the struct has two fields named {name:?}"))),
            (None, _) => None,
            (Some((at, field)), None) => {
                let bind = rules.plan(&Source::of(field), ty).map_err(|why| match why {
                    Refused::NoRule => {
                        Refused::Because(format!("attribute {name:?} is {ty}, not {}", field.data_type()))
                    }
                    because @ Refused::Because(_) => because,
                })?;
                Some((at, bind))
            }
        };
        attributes.push((ty.oid(), bind));
    }
    Ok(Box::new(move |array| {
        let parent = array
            .as_struct_opt()
            .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
        let mut bound = Vec::with_capacity(attributes.len());
        for (oid, bind) in &attributes {
            let encoder = match bind {
                Some((at, bind)) => Some(bind(parent.column(*at))?),
                None => None,
            };
            bound.push((*oid, encoder));
        }
        Ok(Box::new(Rows {
            nulls: some_nulls(parent.nulls()),
            attributes: bound,
        }) as Encoder)
    }))
}

struct Rows {
    nulls: Option<NullBuffer>,
    attributes: Vec<(u32, Option<Encoder>)>,
}

impl Rows {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Calls `visit` for each longest range of rows that are not NULL: what lies under a NULL row does not exist.
    fn valid_ranges(&self, rows: Range<usize>, mut visit: impl FnMut(Range<usize>)) {
        let mut start = rows.start;
        while start < rows.end {
            let end = (start..rows.end).find(|row| self.is_null(*row)).unwrap_or(rows.end);
            if start < end {
                visit(start..end);
            }
            start = end + 1;
        }
    }
}

impl ColumnEncoder for Rows {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults) {
        // One scratch per attribute and range of valid rows, in the order in which `write` comes back to them.
        scratch.children.clear();
        let before = lengths.to_vec();
        lengths.iter_mut().for_each(|length| *length += 4);
        let mut found: Vec<_> = Vec::new();
        self.valid_ranges(rows.clone(), |range| {
            let own = &mut lengths[range.start - rows.start..range.end - rows.start];
            own.iter_mut().for_each(|length| *length += 4);
            for (_, encoder) in &self.attributes {
                own.iter_mut().for_each(|length| *length += 4);
                let mut child = Scratch::of(&scratch.meter);
                let mut child_faults = Faults::new(usize::MAX);
                match encoder {
                    Some(encoder) => encoder.measure(range.clone(), own, &mut child, &mut child_faults),
                    None => own.iter_mut().for_each(|length| *length += 4),
                }
                found.extend(child_faults.found().iter().cloned());
                scratch.children.push(child);
            }
        });
        let sizes = lengths.iter().zip(before).map(|(length, before)| length - before - 4);
        found.extend(
            rows.zip(sizes)
                .filter_map(|(row, size)| fits(size).err().map(|reason| (row, reason))),
        );
        found.sort_by_key(|(row, _)| *row);
        for (row, reason) in found {
            faults.push(row, reason);
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        let starts = cursors.to_vec();
        let mut children = scratch.children.iter_mut();
        for (row, cursor) in rows.clone().zip(cursors.iter_mut()) {
            if self.is_null(row) {
                put_null(cursor, out);
            } else {
                // The length is known when the attributes have been written.
                out[*cursor + 4..*cursor + 8].copy_from_slice(&(self.attributes.len() as i32).to_be_bytes());
                *cursor += 8;
            }
        }
        self.valid_ranges(rows.clone(), |range| {
            let own = &mut cursors[range.start - rows.start..range.end - rows.start];
            for (oid, encoder) in &self.attributes {
                for cursor in own.iter_mut() {
                    out[*cursor..*cursor + 4].copy_from_slice(&oid.to_be_bytes());
                    *cursor += 4;
                }
                let Some(child) = children.next() else { continue };
                match encoder {
                    Some(encoder) => encoder.write(range.clone(), own, child, out),
                    None => own.iter_mut().for_each(|cursor| put_null(cursor, out)),
                }
            }
        });
        for ((row, start), cursor) in rows.zip(starts).zip(cursors.iter()) {
            if !self.is_null(row) {
                out[start..start + 4].copy_from_slice(&length_word(*cursor - start - 4));
            }
        }
    }
}
