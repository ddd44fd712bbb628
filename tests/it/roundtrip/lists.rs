//! Lists of any values in the five layouts, tensors, and the arrays that Postgres makes of them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::column::{Column, Draw};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    List,
    Large,
    View,
    LargeView,
    Fixed(usize),
}

impl Layout {
    pub(crate) const ALL: [Self; 6] = [
        Self::List,
        Self::Large,
        Self::View,
        Self::LargeView,
        Self::Fixed(3),
        Self::Fixed(0),
    ];

    /// A list per row: where its elements are, of how many.
    pub(super) fn cut(self, draw: &mut Draw, rows: usize) -> (Vec<Range<usize>>, usize) {
        let size = |draw: &mut Draw| match self {
            Self::Fixed(size) => size,
            _ => draw.random.usize(..5),
        };
        let mut total = 0;
        let mut ranges = Vec::new();
        for _ in 0..rows {
            let size = size(draw);
            ranges.push(total..total + size);
            total += size;
        }
        if let Self::View | Self::LargeView = self {
            // Views may lie anywhere, also over each other.
            for range in &mut ranges {
                let start = draw.random.usize(..=total - range.len());
                *range = start..start + range.len();
            }
        }
        (ranges, total)
    }

    /// The lists as an array; in the layouts without views the ranges follow each other.
    pub(super) fn build(
        self,
        item: FieldRef,
        elements: ArrayRef,
        ranges: &[Range<usize>],
        nulls: NullBuffer,
    ) -> ArrayRef {
        let sizes = || ranges.iter().map(Range::len);
        let nulls = Some(nulls);
        match self {
            Self::List => Arc::new(ListArray::new(
                item,
                OffsetBuffer::from_lengths(sizes()),
                elements,
                nulls,
            )),
            Self::Large => Arc::new(LargeListArray::new(
                item,
                OffsetBuffer::from_lengths(sizes()),
                elements,
                nulls,
            )),
            Self::View => {
                let offsets = ranges.iter().map(|range| range.start as i32).collect();
                let sizes = sizes().map(|size| size as i32).collect();
                Arc::new(ListViewArray::new(item, offsets, sizes, elements, nulls))
            }
            Self::LargeView => {
                let offsets = ranges.iter().map(|range| range.start as i64).collect();
                let sizes = sizes().map(|size| size as i64).collect();
                Arc::new(LargeListViewArray::new(item, offsets, sizes, elements, nulls))
            }
            Self::Fixed(size) => {
                let lists = FixedSizeListArray::try_new_with_length(item, size as i32, elements, nulls, ranges.len());
                Arc::new(lists.expect("lists of one size"))
            }
        }
    }

    /// The layout in which such lists are read: the same, without views.
    fn read(self) -> Self {
        match self {
            Self::View => Self::List,
            Self::LargeView => Self::Large,
            other => other,
        }
    }
}

/// An element between the quotes of an array's text.
fn quoted(text: &Option<String>) -> String {
    match text {
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NULL".to_owned(),
    }
}

fn array_text(elements: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", elements.collect::<Vec<_>>().join(","))
}

pub(super) fn lists(
    draw: &mut Draw,
    rows: usize,
    layout: Layout,
    make: impl FnOnce(&mut Draw, usize) -> Column,
) -> Column {
    let nulls = draw.validity(rows);
    let (ranges, total) = layout.cut(draw, rows);
    let elements = make(draw, total);
    let texts = ranges
        .iter()
        .zip(&nulls)
        .map(|(range, valid)| valid.then(|| array_text(elements.texts[range.clone()].iter().map(quoted))));
    let texts = texts.collect();
    let item = Arc::new(elements.field.clone().with_name("item"));
    let array = layout.build(item, elements.array, &ranges, nulls.clone());
    let column = Column::new(array, texts);
    let Some((field, values)) = elements.asked else {
        return column.unasked();
    };
    let places: UInt64Array = ranges
        .iter()
        .cloned()
        .flatten()
        .map(|place| Some(place as u64))
        .collect();
    let values = take(&values, &places, None).expect("places of elements");
    let asked = layout
        .read()
        .build(Arc::new(field.with_name("item")), values, &ranges, nulls);
    let field = Field::new("c", asked.data_type().clone(), true);
    Column {
        by_default: elements.by_default,
        ..column.asked_as(field, asked)
    }
}

/// Tensors of two rows and three columns.
pub(super) fn tensors(draw: &mut Draw, rows: usize, make: impl FnOnce(&mut Draw, usize) -> Column) -> Column {
    let nulls = draw.validity(rows);
    let (ranges, total) = Layout::Fixed(6).cut(draw, rows);
    let elements = make(draw, total);
    let texts = ranges.iter().zip(&nulls).map(|(range, valid)| {
        let line = |start: usize| array_text(elements.texts[start..start + 3].iter().map(quoted));
        valid.then(|| array_text([line(range.start), line(range.start + 3)].into_iter()))
    });
    let texts = texts.collect();
    let item = Arc::new(elements.field.clone().with_name("item"));
    Column::new(Layout::Fixed(6).build(item, elements.array, &ranges, nulls), texts)
        .extended("arrow.fixed_shape_tensor", "{\"shape\":[2,3]}")
        // By default an array is read as a list of one dimension.
        .only_asked()
}

/// Tensors that say their shape in each row: documents.
pub(super) fn variable_tensors(draw: &mut Draw, rows: usize, make: impl FnOnce(&mut Draw, usize) -> Column) -> Column {
    let nulls = draw.validity(rows);
    let (ranges, total) = Layout::List.cut(draw, rows);
    let elements = make(draw, total);
    let shown = |range: &Range<usize>| {
        let elements = elements.texts[range.clone()].iter();
        let elements: Vec<&str> = elements.map(|text| text.as_deref().unwrap_or("null")).collect();
        format!("{{\"data\":[{}],\"shape\":[1,{}]}}", elements.join(","), range.len())
    };
    let texts = ranges
        .iter()
        .zip(&nulls)
        .map(|(range, valid)| valid.then(|| shown(range)))
        .collect();
    let item = Arc::new(elements.field.clone().with_name("item"));
    let all = NullBuffer::new_valid(rows);
    let data = Layout::List.build(item, elements.array, &ranges, all.clone());
    let shape: Int32Array = ranges
        .iter()
        .flat_map(|range| [1, range.len() as i32])
        .map(Some)
        .collect();
    let pairs: Vec<Range<usize>> = (0..rows).map(|row| 2 * row..2 * row + 2).collect();
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let shape = Layout::Fixed(2).build(item, Arc::new(shape), &pairs, all);
    let columns = [("data", data), ("shape", shape)]
        .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array));
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let tensors = StructArray::try_new_with_length(fields.into(), arrays, Some(nulls), rows).expect("one length");
    Column::new(Arc::new(tensors), texts)
        .extended("arrow.variable_shape_tensor", "")
        .unasked()
}
