//! A column of drawn values: as Arrow, as the texts that Postgres casts, and as the array that a reader gets.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field};
use fastrand::Rng;

/// Which rows are NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// A fifth of them.
    Some,
    None,
    All,
}

/// Where values come from.
pub(crate) struct Draw {
    pub(super) random: Rng,
    nulls: Nulls,
    only_extremes: bool,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            nulls: Nulls::Some,
            only_extremes: false,
        }
    }

    pub(crate) fn with_nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }

    /// Only the ends of what a type holds, and what lies at its seams.
    pub(crate) fn only_extremes(mut self) -> Self {
        self.only_extremes = true;
        self
    }

    pub(super) fn valid(&mut self) -> bool {
        match self.nulls {
            Nulls::Some => self.random.u8(..) > 50,
            Nulls::None => true,
            Nulls::All => false,
        }
    }

    pub(super) fn validity(&mut self, rows: usize) -> NullBuffer {
        (0..rows).map(|_| self.valid()).collect::<Vec<bool>>().into()
    }

    /// One of `extremes` a quarter of the time, else any value.
    pub(super) fn value<T: Clone>(&mut self, extremes: &[T], any: impl FnOnce(&mut Rng) -> T) -> T {
        let extreme = self.only_extremes || self.random.u8(..) < 64;
        match self.random.choice(extremes) {
            Some(value) if extreme => value.clone(),
            _ => any(&mut self.random),
        }
    }

    /// Values with texts; nothing for NULL.
    pub(super) fn values<T: Clone>(
        &mut self,
        rows: usize,
        extremes: &[T],
        any: impl Fn(&mut Rng) -> T,
    ) -> Vec<Option<T>> {
        (0..rows)
            .map(|_| self.valid().then(|| self.value(extremes, &any)))
            .collect()
    }
}

/// Values of one column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) field: Field,
    pub(crate) array: ArrayRef,
    /// What Postgres casts to the type of the column; nothing for NULL.
    pub(crate) texts: Vec<Option<String>>,
    /// The field that a reader asks for, and the array that it must get. Nothing for documents, of which Postgres keeps the
    /// meaning and not the form.
    pub(crate) asked: Option<(Field, ArrayRef)>,
    /// Whether a reader that asks for nothing gets the column. It does not where Arrow has no place for the values in the
    /// type that the column is read as.
    pub(crate) by_default: bool,
}

impl Column {
    /// A column that is read as what it was written from.
    pub(super) fn new(array: ArrayRef, texts: Vec<Option<String>>) -> Self {
        let field = Field::new("c", array.data_type().clone(), true);
        Self {
            asked: Some((field.clone(), array.clone())),
            field,
            array,
            texts,
            by_default: true,
        }
    }

    pub(super) fn texts_of<T>(array: ArrayRef, values: &[Option<T>], text: impl Fn(&T) -> String) -> Self {
        Self::new(array, values.iter().map(|value| value.as_ref().map(&text)).collect())
    }

    /// The same array under an extension type, as which it is read as well.
    pub(super) fn extended(mut self, name: &str, metadata: &str) -> Self {
        let keys = [("ARROW:extension:name", name), ("ARROW:extension:metadata", metadata)];
        self.field = self.field.with_metadata(keys);
        self.asked = Some((self.field.clone(), self.array.clone()));
        self
    }

    /// Read as another array.
    pub(super) fn asked_as(mut self, field: Field, array: ArrayRef) -> Self {
        self.asked = Some((field, array));
        self
    }

    pub(super) fn only_asked(mut self) -> Self {
        self.by_default = false;
        self
    }

    /// A document.
    pub(super) fn unasked(mut self) -> Self {
        self.asked = None;
        self
    }

    /// The same values in an array that names them by their places: a dictionary, runs.
    pub(super) fn behind(self, array: ArrayRef, places: &[Option<usize>]) -> Self {
        let rows: UInt64Array = places.iter().map(|place| place.map(|place| place as u64)).collect();
        let picked = |values: ArrayRef| take(&values, &rows, None).expect("places are rows");
        Self {
            field: self.field.with_data_type(array.data_type().clone()),
            array,
            texts: places
                .iter()
                .map(|place| place.and_then(|place| self.texts[place].clone()))
                .collect(),
            asked: self.asked.map(|(field, values)| (field, picked(values))),
            by_default: self.by_default,
        }
    }

    /// Some of the rows.
    pub(crate) fn slice(&self, start: usize, rows: usize) -> Self {
        Self {
            field: self.field.clone(),
            array: self.array.slice(start, rows),
            texts: self.texts[start..start + rows].to_vec(),
            asked: self
                .asked
                .as_ref()
                .map(|(field, array)| (field.clone(), array.slice(start, rows))),
            by_default: self.by_default,
        }
    }

    pub(crate) fn named(&self, name: &str) -> Field {
        self.field.clone().with_name(name)
    }
}

/// A column of numbers, with values below its NULLs too.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    draw: &mut Draw,
    rows: usize,
    data_type: DataType,
    extremes: &[T::Native],
    any: impl Fn(&mut Rng) -> T::Native,
    text: impl Fn(T::Native) -> String,
) -> Column {
    let valid = draw.validity(rows);
    let values: Vec<T::Native> = (0..rows).map(|_| draw.value(extremes, &any)).collect();
    let texts = values
        .iter()
        .zip(&valid)
        .map(|(value, valid)| valid.then(|| text(*value)));
    let texts = texts.collect();
    let array = PrimitiveArray::<T>::new(values.into(), Some(valid)).with_data_type(data_type);
    Column::new(Arc::new(array), texts)
}
