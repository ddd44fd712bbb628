//! List views may use their elements any number of times: a message of a megabyte can stand for more than any memory holds.
//! This bounds what they stand for. Layout: "Columnar Format", ListView, of the Arrow specification.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RunArray, UnionArray};
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType, UnionFields, UnionMode};

/// Most elements that the list views of a column may stand for.
const MAX_ELEMENTS: u64 = 64 << 20;

/// Checks all columns of a batch.
pub(super) fn check(batch: &RecordBatch) -> Result<(), String> {
    let schema = batch.schema_ref();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if elements(column).is_some_and(|each| total(&each) > MAX_ELEMENTS) {
            return Err(format!(
                "the list views of column {:?} use their elements so often that they stand for more than {MAX_ELEMENTS}; send \
                 smaller batches, or lists",
                field.name()
            ));
        }
    }
    Ok(())
}

fn total(each: &[u64]) -> u64 {
    each.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// How many elements the list views in each value stand for; nothing where there are no list views.
fn elements(array: &ArrayRef) -> Option<Vec<u64>> {
    let rows = 0..array.len();
    match array.data_type() {
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            let ends = list.offsets().iter().zip(list.sizes());
            let ranges = ends.map(|(offset, size)| (*offset as usize, *size as usize));
            Some(views(list.values(), ranges))
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            let ends = list.offsets().iter().zip(list.sizes());
            let ranges = ends.map(|(offset, size)| (*offset as usize, *size as usize));
            Some(views(list.values(), ranges))
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.offsets().windows(2);
            within(list.values(), ends.map(|ends| ends[0] as usize..ends[1] as usize))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.offsets().windows(2);
            within(list.values(), ends.map(|ends| ends[0] as usize..ends[1] as usize))
        }
        DataType::FixedSizeList(_, size) => {
            let size = *size as usize;
            let values = array.as_fixed_size_list().values();
            within(values, rows.map(|row| row * size..(row + 1) * size))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let ends = map.offsets().windows(2);
            within(&entries, ends.map(|ends| ends[0] as usize..ends[1] as usize))
        }
        DataType::Struct(_) => sum(array.as_struct().columns().iter().map(elements)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let each = elements(dictionary.values()).filter(|each| !each.is_empty())?;
            Some(dictionary.normalized_keys().into_iter().map(|key| each[key]).collect())
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            _ => runs::<Int64Type>(array),
        },
        DataType::Union(fields, mode) => in_union(array.as_union(), fields, *mode),
        _ => None,
    }
}

/// What the child that each value has stands for.
fn in_union(union: &UnionArray, fields: &UnionFields, mode: UnionMode) -> Option<Vec<u64>> {
    sum(fields.iter().map(|(code, _)| {
        let each = elements(union.child(code))?;
        let counted = (0..union.len()).map(|row| match mode {
            UnionMode::Sparse => each[row],
            UnionMode::Dense if union.type_id(row) == code => each[union.value_offset(row)],
            UnionMode::Dense => 0,
        });
        Some(counted.collect())
    }))
}

/// The sums for values side by side.
fn sum(columns: impl Iterator<Item = Option<Vec<u64>>>) -> Option<Vec<u64>> {
    columns.flatten().reduce(|mut sums, column| {
        sums.iter_mut()
            .zip(column)
            .for_each(|(sum, count)| *sum = sum.saturating_add(count));
        sums
    })
}

/// The sums for ranges of child values.
fn within(values: &ArrayRef, ranges: impl Iterator<Item = Range<usize>>) -> Option<Vec<u64>> {
    let each = elements(values)?;
    // A sum of at most 2^64 counts of less than 2^64.
    let mut before: Vec<u128> = vec![0];
    before.extend(each.iter().scan(0, |sum, count| {
        *sum += u128::from(*count);
        Some(*sum)
    }));
    let between = |range: Range<usize>| u64::try_from(before[range.end] - before[range.start]).unwrap_or(u64::MAX);
    Some(ranges.map(between).collect())
}

/// The same for list views: their own elements, and what lies in these.
fn views(values: &ArrayRef, ranges: impl Iterator<Item = (usize, usize)> + Clone) -> Vec<u64> {
    let own = ranges.clone().map(|(_, size)| size as u64);
    match within(values, ranges.map(|(start, size)| start..start + size)) {
        Some(inner) => own.zip(inner).map(|(own, inner)| own.saturating_add(inner)).collect(),
        None => own.collect(),
    }
}

fn runs<R: RunEndIndexType>(array: &ArrayRef) -> Option<Vec<u64>> {
    let runs = array.as_any().downcast_ref::<RunArray<R>>()?;
    let each = elements(runs.values())?;
    Some((0..runs.len()).map(|row| each[runs.get_physical_index(row)]).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int8Array, Int32Array, ListViewArray};
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn views(rows: usize, size: i32, values: ArrayRef) -> ArrayRef {
        let element = Arc::new(Field::new("item", values.data_type().clone(), true));
        let (offsets, sizes) = (ScalarBuffer::from(vec![0; rows]), ScalarBuffer::from(vec![size; rows]));
        Arc::new(ListViewArray::new(element, offsets, sizes, values, None))
    }

    fn checked(column: ArrayRef) -> Result<(), String> {
        check(&RecordBatch::try_from_iter([("v", column)]).unwrap())
    }

    #[test]
    fn views_that_stand_for_too_much_are_refused_and_others_are_not() {
        let values: ArrayRef = Arc::new(Int8Array::from(vec![1; 1 << 20]));
        assert_eq!(checked(views(64, 1 << 20, values.clone())), Ok(()));
        let refused = checked(views(50_000, 1 << 20, values)).unwrap_err();
        assert!(
            refused.contains("column \"v\"") && refused.contains("send smaller batches"),
            "{refused}"
        );
    }

    #[test]
    fn views_of_views_multiply() {
        let values: ArrayRef = Arc::new(Int8Array::from(vec![1; 1000]));
        let inner = views(1000, 1000, values);
        assert_eq!(checked(inner.clone()), Ok(()));
        assert!(checked(views(1000, 1000, inner)).is_err());
    }

    #[test]
    fn a_long_list_among_empty_ones_counts_as_often_as_it_is_used() {
        let values: ArrayRef = Arc::new(Int8Array::from(vec![1; 1 << 16]));
        let element = Arc::new(Field::new("item", DataType::Int8, true));
        let mut sizes = vec![0; 1 << 16];
        sizes[0] = 1 << 16;
        let offsets = ScalarBuffer::from(vec![0; 1 << 16]);
        let inner: ArrayRef = Arc::new(ListViewArray::new(element, offsets, sizes.into(), values, None));
        assert_eq!(checked(inner.clone()), Ok(()));
        // Each list once is no more than what came in, the first one by every row is.
        assert_eq!(checked(views(1, 1 << 16, inner.clone())), Ok(()));
        assert!(checked(views(1 << 16, 1, inner)).is_err());
    }

    #[test]
    fn views_in_runs_and_unions_count_too() {
        let values: ArrayRef = Arc::new(Int8Array::from(vec![1; 1 << 20]));
        let long = views(50_000, 1 << 20, values.clone());
        let ends = Int32Array::from_iter_values(1..=50_000);
        let runs = RunArray::<Int32Type>::try_new(&ends, long.as_ref()).unwrap();
        assert!(checked(Arc::new(runs)).is_err());
        let one = views(1, 1 << 20, values);
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![50_000]), one.as_ref()).unwrap();
        assert!(checked(Arc::new(runs.clone())).is_err());
        assert_eq!(checked(Arc::new(runs.slice(0, 3))), Ok(()));
        for offsets in [None, Some((0..50_000).collect())] {
            let field = Field::new("v", long.data_type().clone(), true);
            let fields: UnionFields = [(3, Arc::new(field))].into_iter().collect();
            let codes = vec![3; 50_000].into();
            let union = UnionArray::try_new(fields, codes, offsets, vec![long.clone()]).unwrap();
            assert!(checked(Arc::new(union)).is_err());
        }
    }
}
