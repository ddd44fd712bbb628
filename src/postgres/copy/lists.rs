//! Lists of every layout as one: the rows' ranges in a child array that holds nothing else; and children of structs.

use arrow::array::{Array, ArrayRef, AsArray, StructArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};

use super::error::WrongArray;

/// Lists whose elements lie one list after the other, NULL lists without any.
pub(crate) struct Lists {
    /// Row `i` has the elements `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<usize>,
    /// Which lists are NULL.
    pub(crate) nulls: Option<NullBuffer>,
    /// The elements.
    pub(crate) elements: ArrayRef,
}

/// The element field of a list type in any layout.
pub(crate) fn element_field(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => Some(field),
        _ => None,
    }
}

impl Lists {
    /// The lists of an array of any list layout.
    pub(crate) fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let rows = array.len();
        let (ranges, elements): (Vec<(usize, usize)>, ArrayRef) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (pairs(list.offsets().iter().map(|o| *o as usize)), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (pairs(list.offsets().iter().map(|o| *o as usize)), list.values().clone())
            }
            DataType::FixedSizeList(_, size) => {
                let size = *size as usize;
                (
                    (0..rows).map(|row| (row * size, (row + 1) * size)).collect(),
                    array.as_fixed_size_list().values().clone(),
                )
            }
            DataType::ListView(_) => {
                let list = array.as_list_view::<i32>();
                let starts = list.offsets().iter().zip(list.sizes().iter());
                (
                    starts.map(|(o, s)| (*o as usize, (*o + *s) as usize)).collect(),
                    list.values().clone(),
                )
            }
            DataType::LargeListView(_) => {
                let list = array.as_list_view::<i64>();
                let starts = list.offsets().iter().zip(list.sizes().iter());
                (
                    starts.map(|(o, s)| (*o as usize, (*o + *s) as usize)).collect(),
                    list.values().clone(),
                )
            }
            other => return Err(WrongArray(other.clone())),
        };
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        Self::gathered(&ranges, nulls, elements).map_err(|_| WrongArray(array.data_type().clone()))
    }

    /// Keeps the elements where they are if the lists lie one after the other, copies them into that order if not.
    fn gathered(
        ranges: &[(usize, usize)],
        nulls: Option<NullBuffer>,
        elements: ArrayRef,
    ) -> Result<Self, arrow::error::ArrowError> {
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let first = ranges.first().map_or(0, |(start, _)| *start);
        let mut next = first;
        let mut in_order = true;
        for (row, (start, end)) in ranges.iter().enumerate() {
            in_order &= *start == next && (start == end || !is_null(row));
            next = *end;
        }
        let mut starts = Vec::with_capacity(ranges.len() + 1);
        if in_order {
            starts.extend(ranges.iter().map(|(start, _)| start - first));
            starts.push(next - first);
            return Ok(Self {
                starts,
                nulls,
                elements: elements.slice(first, next - first),
            });
        }
        let mut positions: Vec<u64> = Vec::new();
        for (row, (start, end)) in ranges.iter().enumerate() {
            starts.push(positions.len());
            if !is_null(row) {
                positions.extend((*start..*end).map(|position| position as u64));
            }
        }
        starts.push(positions.len());
        let elements = take(&elements, &UInt64Array::from(positions), None)?;
        Ok(Self {
            starts,
            nulls,
            elements,
        })
    }
}

/// A struct's child that is NULL also where the struct is.
pub(crate) fn child_under(parent: &StructArray, at: usize) -> Result<ArrayRef, WrongArray> {
    let child = parent.column(at);
    let Some(nulls) = parent.nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Ok(child.clone());
    };
    // Layouts without a null buffer of their own (unions, runs) are gathered with NULL positions instead.
    let positions: UInt64Array = (0..parent.len())
        .map(|row| nulls.is_valid(row).then_some(row as u64))
        .collect();
    take(child, &positions, None).map_err(|_| WrongArray(child.data_type().clone()))
}

fn pairs(offsets: impl Iterator<Item = usize> + Clone) -> Vec<(usize, usize)> {
    offsets.clone().zip(offsets.skip(1)).collect()
}
