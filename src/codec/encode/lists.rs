//! Lists of every layout as one: the rows' ranges in a child array that holds nothing else; and children of structs.

use arrow::array::{Array, ArrayRef, AsArray, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};

use super::error::WrongArray;
use super::weight::Weights;

/// Most elements that are copied for lists that share them, and most bytes.
const SHARED_ELEMENTS: usize = 64 << 20;
const SHARED_BYTES: u64 = 256 << 20;

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
        let (ranges, elements) = ranges(array)?;
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let first = ranges.first().map_or(0, |(start, _)| *start);
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let mut next = first;
        let mut in_order = true;
        for (row, (start, end)) in ranges.iter().enumerate() {
            in_order &= *start == next && (start == end || !is_null(row));
            next = *end;
        }
        if !in_order {
            let ranges: Vec<_> = ranges
                .into_iter()
                .enumerate()
                .map(|(row, range)| (!is_null(row)).then_some(range))
                .collect();
            return Self::gathered(&ranges, nulls, &elements);
        }
        let mut starts = Vec::with_capacity(array.len() + 1);
        starts.extend(ranges.iter().map(|(start, _)| start - first));
        starts.push(next - first);
        Ok(Self {
            starts,
            nulls,
            elements: elements.slice(first, next - first),
        })
    }

    /// Copies the elements of lists that are not one after the other into that order.
    fn gathered(
        ranges: &[Option<(usize, usize)>],
        nulls: Option<NullBuffer>,
        elements: &ArrayRef,
    ) -> Result<Self, WrongArray> {
        let weights = Weights::of(elements);
        let (mut count, mut bytes): (usize, u64) = (0, 0);
        let mut starts = vec![0];
        for range in ranges {
            if let Some((start, end)) = range {
                count = count.saturating_add(end - start);
                bytes = bytes.saturating_add(weights.between(*start, *end));
            }
            starts.push(count);
        }
        let once = weights.between(0, elements.len());
        if is_too_much(count, elements.len(), SHARED_ELEMENTS) || is_too_much(bytes, once, SHARED_BYTES) {
            return Err(WrongArray::Shared);
        }
        let positions = ranges.iter().flatten().flat_map(|(start, end)| *start..*end);
        let taken = match u32::try_from(elements.len()) {
            Ok(_) => take(
                elements,
                &UInt32Array::from_iter_values(positions.map(|at| at as u32)),
                None,
            ),
            Err(_) => take(
                elements,
                &UInt64Array::from_iter_values(positions.map(|at| at as u64)),
                None,
            ),
        };
        Ok(Self {
            starts,
            nulls,
            elements: taken.map_err(|_| WrongArray::Type(elements.data_type().clone()))?,
        })
    }
}

/// Where each list begins and ends in the elements, in the order of the rows.
fn ranges(array: &ArrayRef) -> Result<(Vec<(usize, usize)>, ArrayRef), WrongArray> {
    let rows = array.len();
    Ok(match array.data_type() {
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
        other => return Err(WrongArray::Type(other.clone())),
    })
}

/// Whether a copy is over the limit, and more than what came in.
fn is_too_much<T: Ord>(copy: T, once: T, limit: T) -> bool {
    copy > limit && copy > once
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
    take(child, &positions, None).map_err(|_| WrongArray::Type(child.data_type().clone()))
}

fn pairs(offsets: impl Iterator<Item = usize> + Clone) -> Vec<(usize, usize)> {
    offsets.clone().zip(offsets.skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int8Array, LargeListArray, LargeStringArray, ListViewArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn views(sizes: Vec<i32>, values: &ArrayRef) -> ArrayRef {
        let element = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = vec![0; sizes.len()].into();
        Arc::new(ListViewArray::new(element, offsets, sizes.into(), values.clone(), None))
    }

    fn is_refused(array: &ArrayRef) -> bool {
        matches!(Lists::of(array), Err(WrongArray::Shared))
    }

    #[test]
    fn lists_that_share_long_values_are_not_copied_without_end() {
        let text: ArrayRef = Arc::new(LargeStringArray::from(vec!["x".repeat(1 << 20)]));
        assert_eq!(Lists::of(&views(vec![1; 3], &text)).unwrap().elements.len(), 3);
        assert!(is_refused(&views(vec![1; 257], &text)));
        let bytes: ArrayRef = Arc::new(Int8Array::from(vec![1; 1 << 20]));
        let element = Arc::new(Field::new("item", DataType::Int8, true));
        let lists: ArrayRef = Arc::new(LargeListArray::new(
            element,
            OffsetBuffer::from_lengths([1 << 20]),
            bytes.clone(),
            None,
        ));
        assert!(is_refused(&views(vec![1; 257], &lists)));
        assert!(is_refused(&views(vec![1 << 20; 65], &bytes)));
    }

    #[test]
    fn the_longest_of_inner_views_is_not_copied_for_every_outer_one() {
        let bytes: ArrayRef = Arc::new(Int8Array::from(vec![1; 1 << 16]));
        let mut sizes = vec![0; 1 << 16];
        sizes[0] = 1 << 16;
        let outer = Lists::of(&views(vec![1; 1 << 16], &views(sizes, &bytes))).unwrap();
        assert!(is_refused(&outer.elements));
    }

    #[test]
    fn what_came_in_once_is_taken_however_long() {
        assert!(!is_too_much(7, 7, 5) && !is_too_much(5, 1, 5));
        assert!(is_too_much(7, 6, 5));
    }
}
