//! Lists as arrays, in every list layout.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type};

use super::{check, check_with, field};
use crate::codec::encode::EncodeOptions;
use crate::model::pg_type::PgType;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    lists_of_integers_are_arrays_in_every_layout,
    list_views_may_overlap_and_be_out_of_order,
    elements_behind_a_null_list_do_not_count,
    every_element_type_keeps_its_own_payload,
];

fn array_of(element: PgType) -> PgType {
    PgType::Array(Box::new(element))
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

fn integers() -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2), Some(3)]),
        Some(vec![Some(1), None, Some(3)]),
        Some(vec![]),
        None,
        Some(vec![None, None]),
        Some(vec![Some(7)]),
    ])
}

const INTEGERS: &[&str] = &[
    "int4_three",
    "int4_nulls",
    "int4_empty",
    "int4_null",
    "int4_all_null",
    "int4_one",
];

#[test]
fn lists_of_integers_are_arrays_in_every_layout() {
    let target = array_of(PgType::Int4);
    let lists = integers();
    check(
        "array",
        &target,
        &field(DataType::List(item(DataType::Int32))),
        lists.clone(),
        INTEGERS,
    );
    for layout in [
        DataType::LargeList(item(DataType::Int32)),
        DataType::LargeList(item(DataType::Int64)),
        DataType::List(item(DataType::UInt8)),
    ] {
        let array = cast(&lists, &layout).unwrap();
        check_with(
            "array",
            &target,
            &field(layout),
            array,
            INTEGERS,
            &EncodeOptions::default(),
        );
    }
    let three = cast(&lists.slice(0, 2), &DataType::FixedSizeList(item(DataType::Int32), 3)).unwrap();
    let source = field(three.data_type().clone());
    check_with(
        "array",
        &target,
        &source,
        three,
        &INTEGERS[..2],
        &EncodeOptions::default(),
    );
}

#[test]
fn list_views_may_overlap_and_be_out_of_order() {
    let values: ArrayRef = Arc::new(Int32Array::from(vec![
        Some(7),
        Some(1),
        None,
        Some(3),
        Some(1),
        Some(2),
        Some(3),
    ]));
    let offsets = ScalarBuffer::from(vec![4, 1, 0, 0, 0]);
    let sizes = ScalarBuffer::from(vec![3, 3, 0, 7, 1]);
    let nulls = NullBuffer::from(vec![true, true, true, false, true]);
    let views = ListViewArray::new(
        item(DataType::Int32),
        offsets,
        sizes,
        values.clone(),
        Some(nulls.clone()),
    );
    let names = &["int4_three", "int4_nulls", "int4_empty", "int4_null", "int4_one"];
    let target = array_of(PgType::Int4);
    let source = field(DataType::ListView(item(DataType::Int32)));
    check("array", &target, &source, views, names);
    let offsets = ScalarBuffer::from(vec![4i64, 1, 0, 0, 0]);
    let sizes = ScalarBuffer::from(vec![3i64, 3, 0, 7, 1]);
    let views = LargeListViewArray::new(item(DataType::Int32), offsets, sizes, values, Some(nulls));
    let source = field(DataType::LargeListView(item(DataType::Int32)));
    check("array", &target, &source, views, names);
}

#[test]
fn elements_behind_a_null_list_do_not_count() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1, 2, 3]));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 4]));
    let nulls = NullBuffer::from(vec![false, true]);
    let lists = ListArray::new(item(DataType::Int64), offsets, values, Some(nulls));
    check(
        "array",
        &array_of(PgType::Int4),
        &field(lists.data_type().clone()),
        lists,
        &["int4_null", "int4_three"],
    );
}

#[test]
fn every_element_type_keeps_its_own_payload() {
    let texts = ListArray::new(
        item(DataType::Utf8),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 3, 5, 5])),
        Arc::new(StringArray::from(vec![
            Some("a"),
            Some(""),
            Some("grüß"),
            None,
            Some("x"),
        ])),
        None,
    );
    let names = &["text_some", "text_nulls", "text_empty"];
    check(
        "array",
        &array_of(PgType::Text),
        &field(texts.data_type().clone()),
        texts,
        names,
    );
    let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
    one_list(booleans, PgType::Bool, "bool_some");
    one_list(
        Arc::new(Float64Array::from(vec![1.5, f64::NAN])),
        PgType::Float8,
        "float8_some",
    );
    one_list(Arc::new(Date32Array::from(vec![19_782])), PgType::Date, "date_some");
    one_list(
        Arc::new(StringArray::from(vec!["1", "[]"])),
        PgType::Jsonb,
        "jsonb_some",
    );
    one_list(
        Arc::new(BinaryArray::from_vec(vec![b"\x00", b""])),
        PgType::Bytea,
        "bytea_some",
    );
    let instant = TimestampMicrosecondArray::from(vec![1_709_210_096_789_012]).with_timezone("UTC");
    one_list(Arc::new(instant), PgType::TimestampTz(None), "timestamptz_some");
}

fn one_list(values: ArrayRef, element: PgType, name: &str) {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, values.len() as i32]));
    let lists = ListArray::new(item(values.data_type().clone()), offsets, values, None);
    check(
        "array",
        &array_of(element),
        &field(lists.data_type().clone()),
        lists,
        &[name],
    );
}
