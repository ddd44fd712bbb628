//! List views may use their elements any number of times: a message of a megabyte can stand for more than any memory holds.
//! This bounds what they stand for. Layout: "Columnar Format", ListView, of the Arrow specification.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// Most elements that the list views of a column may stand for.
const MAX_ELEMENTS: u64 = 64 << 20;

/// Checks all columns of a batch.
pub(super) fn check(batch: &RecordBatch) -> Result<(), String> {
    let schema = batch.schema_ref();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if uses(column, 1) > MAX_ELEMENTS {
            return Err(format!(
                "the list views of column {:?} use their elements so often that they stand for more than {MAX_ELEMENTS}; send \
                 smaller batches, or lists",
                field.name()
            ));
        }
    }
    Ok(())
}

/// An upper bound of the elements that list views in an array stand for, where each of its values is used `times` times.
fn uses(array: &ArrayRef, times: u64) -> u64 {
    match array.data_type() {
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            view(
                list.sizes().iter().map(|size| u64::from(size.unsigned_abs())).sum(),
                list.values(),
                times,
            )
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            let total = list
                .sizes()
                .iter()
                .fold(0, |sum: u64, size| sum.saturating_add(size.unsigned_abs()));
            view(total, list.values(), times)
        }
        DataType::List(_) => uses(array.as_list::<i32>().values(), times),
        DataType::LargeList(_) => uses(array.as_list::<i64>().values(), times),
        DataType::FixedSizeList(..) => uses(array.as_fixed_size_list().values(), times),
        DataType::Map(..) => most(array.as_map().entries().columns(), times),
        DataType::Struct(_) => most(array.as_struct().columns(), times),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            uses(
                dictionary.values(),
                times.saturating_mul(repeats(dictionary.len(), dictionary.values())),
            )
        }
        _ => 0,
    }
}

/// The same for columns side by side: the column that uses most.
fn most(columns: &[ArrayRef], times: u64) -> u64 {
    columns.iter().map(|child| uses(child, times)).max().unwrap_or(0)
}

/// How often each value is used on average at most, rounded up.
fn repeats(uses: usize, values: &ArrayRef) -> u64 {
    (uses as u64).div_ceil(values.len().max(1) as u64).max(1)
}

fn view(total: u64, values: &ArrayRef, times: u64) -> u64 {
    let here = total.saturating_mul(times);
    let each = total.div_ceil(values.len().max(1) as u64).max(1);
    here.max(uses(values, times.saturating_mul(each)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int8Array, ListViewArray};
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
}
