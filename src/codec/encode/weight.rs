//! How many bytes a copy of each value of an array takes, found without a copy: list views may name one value any number of times,
//! so a megabyte can stand for more than any memory holds.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, UnionArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, UnionMode};

use super::unfolded::split;

/// Bytes of a view, or of an offset and a size, which share what they point at.
const SHARED: u64 = 16;

/// The weights of an array's values. Most need no memory for each value: what lies one after the other is a difference of offsets.
pub(super) enum Weights {
    /// The same for each.
    Each(u64),
    /// The first value below each value, and what these weigh.
    Below(Box<dyn Fn(usize) -> usize>, Box<Weights>),
    /// Of several values side by side.
    Sum(Vec<Weights>),
    /// What lies before each value: a sum of less than 2^64 weights of less than 2^64.
    Before(Vec<u128>),
}

impl Weights {
    /// What `take` copies for each value of an array.
    pub(super) fn of(array: &ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => below(array.as_string::<i32>().offsets(), Self::Each(1)),
            DataType::LargeUtf8 => below(array.as_string::<i64>().offsets(), Self::Each(1)),
            DataType::Binary => below(array.as_binary::<i32>().offsets(), Self::Each(1)),
            DataType::LargeBinary => below(array.as_binary::<i64>().offsets(), Self::Each(1)),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                below(list.offsets(), Self::of(list.values()))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                below(list.offsets(), Self::of(list.values()))
            }
            DataType::FixedSizeList(_, size) => {
                let size = *size as usize;
                let child = Self::of(array.as_fixed_size_list().values());
                Self::Below(Box::new(move |row| row * size), Box::new(child))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                below(map.offsets(), Self::sum(map.entries().columns()))
            }
            DataType::Struct(_) => Self::sum(array.as_struct().columns()),
            DataType::RunEndEncoded(..) => match split(array) {
                Some((indexes, values)) => {
                    let values = Self::of(&values);
                    Self::before(indexes.iter().map(|index| values.between(*index, *index + 1)))
                }
                None => Self::Each(SHARED),
            },
            DataType::Union(fields, UnionMode::Sparse) => {
                let union = array.as_union();
                Self::Sum(fields.iter().map(|(code, _)| Self::of(union.child(code))).collect())
            }
            DataType::Union(_, UnionMode::Dense) => Self::dense(array.as_union()),
            DataType::FixedSizeBinary(size) => Self::Each(u64::from(size.unsigned_abs())),
            plain => Self::Each(plain.primitive_width().map_or(SHARED, |width| width as u64)),
        }
    }

    fn sum(columns: &[ArrayRef]) -> Self {
        Self::Sum(columns.iter().map(Self::of).collect())
    }

    fn dense(union: &UnionArray) -> Self {
        let children: Vec<(i8, Self)> = union
            .fields()
            .iter()
            .map(|(code, _)| (code, Self::of(union.child(code))))
            .collect();
        Self::before((0..union.len()).map(|row| {
            let (code, at) = (union.type_id(row), union.value_offset(row));
            let child = children.iter().find(|(known, _)| *known == code);
            child.map_or(0, |(_, weights)| weights.between(at, at + 1))
        }))
    }

    fn before(each: impl Iterator<Item = u64>) -> Self {
        let mut total = 0;
        let mut before = vec![total];
        for weight in each {
            total += u128::from(weight);
            before.push(total);
        }
        Self::Before(before)
    }

    /// The weight of a range of values.
    pub(super) fn between(&self, start: usize, end: usize) -> u64 {
        match self {
            Self::Each(weight) => weight.saturating_mul((end - start) as u64),
            Self::Below(first, child) => child.between(first(start), first(end)),
            Self::Sum(columns) => columns
                .iter()
                .fold(0, |sum: u64, column| sum.saturating_add(column.between(start, end))),
            Self::Before(before) => u64::try_from(before[end] - before[start]).unwrap_or(u64::MAX),
        }
    }
}

fn below<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, child: Weights) -> Weights {
    let offsets = offsets.clone();
    Weights::Below(Box::new(move |row| offsets[row].as_usize()), Box::new(child))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Int32Type, UnionFields};

    use super::*;

    fn weights(array: impl Array + 'static) -> Vec<u64> {
        let array: ArrayRef = Arc::new(array);
        let weights = Weights::of(&array);
        let each: Vec<u64> = (0..array.len()).map(|row| weights.between(row, row + 1)).collect();
        assert_eq!(weights.between(0, array.len()), each.iter().sum::<u64>());
        each
    }

    #[test]
    fn values_weigh_what_a_copy_takes() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None, Some(""), Some("de")]));
        assert_eq!(weights(texts.slice(0, 4).as_string::<i32>().clone()), [3, 0, 0, 2]);
        assert_eq!(weights(StringViewArray::from(vec!["long".repeat(100)])), [SHARED]);
        assert_eq!(weights(Int64Array::from(vec![1, 2])), [8, 8]);
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let offsets = OffsetBuffer::from_lengths([1, 0, 3]);
        let lists = ListArray::new(item.clone(), offsets, texts.clone(), None);
        assert_eq!(weights(lists.slice(1, 2)), [0, 2]);
        let pairs: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, texts.clone(), None));
        assert_eq!(weights(pairs.slice(1, 1).as_fixed_size_list().clone()), [2]);
        let both = vec![
            (Arc::new(Field::new("a", DataType::Utf8, true)), texts.slice(2, 2)),
            (Arc::new(Field::new("b", pairs.data_type().clone(), true)), pairs),
        ];
        assert_eq!(weights(StructArray::from(both)), [3, 4]);
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3, 4, 5]), texts.as_ref()).unwrap();
        assert_eq!(weights(runs), [3, 3, 0, 0, 2]);
        let fields: UnionFields = [(7, Arc::new(Field::new("a", DataType::Utf8, true)))]
            .into_iter()
            .collect();
        let dense = UnionArray::try_new(fields, vec![7, 7].into(), Some(vec![3, 0].into()), vec![texts]).unwrap();
        assert_eq!(weights(dense), [2, 3]);
    }
}
