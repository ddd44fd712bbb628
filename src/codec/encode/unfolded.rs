//! Rows behind a dictionary or in runs: the values where they lie, and which of them each row has.

use arrow::array::{AnyDictionaryArray, Array, ArrayRef, AsArray, RunArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};

use super::column::some_nulls;
use super::error::WrongArray;

/// The index of a row that is NULL by its key.
pub(super) const NULL_INDEX: usize = usize::MAX;

/// The value index of each row, and the values.
pub(super) fn split(array: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            Some((keys(dictionary), dictionary.values().clone()))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            DataType::Int64 => runs::<Int64Type>(array),
            _ => None,
        },
        _ => None,
    }
}

/// Whether values lie behind a dictionary or in runs.
pub(super) fn is_encoded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _))
}

/// Values where they lie, and which of them each row has. Rows may share a long one, so no row gets a copy of its own.
pub(super) struct Unfolded {
    indexes: Option<Vec<usize>>,
    nulls: Option<NullBuffer>,
    /// The values.
    pub(super) values: ArrayRef,
}

impl Unfolded {
    /// The rows of an array, behind a dictionary or in runs or neither.
    pub(super) fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let (indexes, values) = if is_encoded(array.data_type()) {
            let (indexes, values) = split(array).ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
            (Some(indexes), values)
        } else {
            (None, ArrayRef::clone(array))
        };
        Ok(Self {
            indexes,
            nulls: some_nulls(values.logical_nulls().as_ref()),
            values,
        })
    }

    /// The index of a row's value, nothing where it is NULL.
    pub(super) fn get(&self, row: usize) -> Option<usize> {
        let index = self.indexes.as_ref().map_or(row, |indexes| indexes[row]);
        let is_null = |nulls: &NullBuffer| nulls.is_null(index);
        (index != NULL_INDEX && !self.nulls.as_ref().is_some_and(is_null)).then_some(index)
    }
}

fn keys(dictionary: &dyn AnyDictionaryArray) -> Vec<usize> {
    // An empty dictionary has nothing but NULL keys, which `normalized_keys` cannot clamp into it.
    if dictionary.values().is_empty() {
        return vec![NULL_INDEX; dictionary.len()];
    }
    let mut keys = dictionary.normalized_keys();
    if let Some(nulls) = dictionary
        .keys()
        .nulls()
        .filter(|nulls: &&NullBuffer| nulls.null_count() > 0)
    {
        for (row, key) in keys.iter_mut().enumerate() {
            if nulls.is_null(row) {
                *key = NULL_INDEX;
            }
        }
    }
    keys
}

fn runs<R: RunEndIndexType>(array: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    let runs = array.as_any().downcast_ref::<RunArray<R>>()?;
    let mut indexes = Vec::with_capacity(runs.len());
    let mut index = if runs.is_empty() { 0 } else { runs.get_physical_index(0) };
    let ends = runs.run_ends();
    for row in 0..runs.len() {
        while index < ends.values().len() && ends.values()[index].as_usize() <= row + ends.offset() {
            index += 1;
        }
        indexes.push(index);
    }
    Some((indexes, runs.values().clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringViewArray};

    use super::*;

    #[test]
    fn a_row_is_null_by_its_key_or_by_its_value() {
        let keys = Int32Array::from(vec![Some(1), None, Some(0)]);
        let values: ArrayRef = Arc::new(StringViewArray::from(vec![None, Some("b")]));
        let array: ArrayRef = Arc::new(arrow::array::DictionaryArray::<Int32Type>::new(keys, values.clone()));
        let rows = |array: &ArrayRef| -> Vec<Option<usize>> {
            let unfolded = Unfolded::of(array).unwrap();
            (0..array.len()).map(|row| unfolded.get(row)).collect()
        };
        assert_eq!(rows(&array), [Some(1), None, None]);
        assert_eq!(rows(&values), [None, Some(1)]);
    }
}
