//! Arrays of more dimensions, vectors, bit strings, row types, ranges and hstore.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int32Type, Int64Type};

use super::{batch, check, check_with, encode, extended, field, plan_with};
use crate::codec::encode::{CellReason, EncodeOptions};
use crate::model::ident::Ident;
use crate::model::pg_type::{CompositeType, PgType, RangeType, TypeHome};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    rectangular_lists_of_lists_are_arrays_of_more_dimensions,
    a_tensor_of_fixed_shape_is_an_array_of_that_shape,
    ragged_and_null_inner_lists_are_refused_by_row,
    float_lists_are_vectors,
    bit_strings_come_from_booleans_and_text,
    structs_are_row_types_by_name,
    structs_of_bounds_are_ranges,
    lists_of_ranges_are_multiranges,
    maps_of_texts_are_hstore,
];

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

fn array_of(element: PgType) -> PgType {
    PgType::Array(Box::new(element))
}

fn nested(inner: ListArray, offsets: Vec<i32>) -> ListArray {
    let element = item(inner.data_type().clone());
    ListArray::new(
        element,
        OffsetBuffer::new(ScalarBuffer::from(offsets)),
        Arc::new(inner),
        None,
    )
}

#[test]
fn rectangular_lists_of_lists_are_arrays_of_more_dimensions() {
    let inner = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2), Some(3)]),
        Some(vec![Some(4), Some(5), Some(6)]),
        Some(vec![Some(1), None]),
        Some(vec![None, Some(4)]),
    ]);
    let lists = nested(inner, vec![0, 2, 4, 4]);
    let names = &["int4_matrix", "int4_matrix_nulls", "int4_empty"];
    check(
        "array",
        &array_of(PgType::Int4),
        &field(lists.data_type().clone()),
        lists,
        names,
    );
    let cells = ListArray::from_iter_primitive::<Int64Type, _, _>((1..=4).map(|n| Some(vec![Some(n)])));
    let cube = nested(nested(cells, vec![0, 2, 4]), vec![0, 2]);
    check(
        "array",
        &array_of(PgType::Int4),
        &field(cube.data_type().clone()),
        cube,
        &["int4_cube"],
    );
}

#[test]
fn a_tensor_of_fixed_shape_is_an_array_of_that_shape() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0, 3.0, 4.0]));
    let tensors = FixedSizeListArray::new(item(DataType::Float64), 4, values, None);
    let source = extended(
        tensors.data_type().clone(),
        "arrow.fixed_shape_tensor",
        "{\"shape\":[2,2]}",
    );
    check("array", &array_of(PgType::Float8), &source, tensors, &["float8_matrix"]);
    // In a list the shape comes behind the list's own dimension.
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(1..=4));
    let tensors: ArrayRef = Arc::new(FixedSizeListArray::new(item(DataType::Int32), 2, values, None));
    let tensor = extended(
        tensors.data_type().clone(),
        "arrow.fixed_shape_tensor",
        "{\"shape\":[2,1]}",
    );
    let lists = ListArray::new(Arc::new(tensor), OffsetBuffer::from_lengths([2, 0]), tensors, None);
    let source = field(lists.data_type().clone());
    check(
        "array",
        &array_of(PgType::Int4),
        &source,
        lists,
        &["int4_cube", "int4_empty"],
    );
}

#[test]
fn ragged_and_null_inner_lists_are_refused_by_row() {
    let inner = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1)]),
        Some(vec![Some(2), Some(3)]),
        None,
        Some(vec![]),
    ]);
    for (offsets, reason) in [
        (vec![0, 1, 3], "a Postgres array is rectangular"),
        (vec![0, 1, 1, 3], "rectangular"),
        (vec![2, 3], "an inner list is NULL"),
        (vec![3, 4], "its inner lists are empty"),
    ] {
        let lists: ArrayRef = Arc::new(nested(inner.clone(), offsets));
        let source = field(lists.data_type().clone());
        let plan = plan_with(&source, &array_of(PgType::Int4), &EncodeOptions::default()).unwrap();
        let error = encode(&plan, &batch(&source, &lists), 1 << 20).unwrap_err();
        assert_eq!(error.row, lists.len() - 1);
        assert!(error.reason.to_string().contains(reason), "{error}");
    }
}

#[test]
fn float_lists_are_vectors() {
    let home = TypeHome::default;
    let values = vec![Some(vec![Some(1.0), Some(-2.5), Some(0.0)])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(values));
    for element in [DataType::Float64, DataType::Float32, DataType::Float16] {
        for layout in [
            DataType::List(item(element.clone())),
            DataType::FixedSizeList(item(element.clone()), 3),
        ] {
            let array = cast(&lists, &layout).unwrap();
            let check = |target, name| {
                let options = EncodeOptions::default();
                check_with(
                    "vector",
                    &target,
                    &field(layout.clone()),
                    array.clone(),
                    &[name],
                    &options,
                );
            };
            check(PgType::Vector(Some(3), home()), "vector_some");
            check(PgType::HalfVec(Some(3), home()), "halfvec_some");
        }
    }
    let sparse =
        ListArray::from_iter_primitive::<Float64Type, _, _>(vec![Some([1.5, 0.0, 0.0, -2.0, 0.0].map(Some).to_vec())]);
    let source = field(sparse.data_type().clone());
    check(
        "vector",
        &PgType::SparseVec(Some(5), home()),
        &source,
        sparse,
        &["sparsevec_some"],
    );
    let wrong: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vec![Some(vec![
        Some(0.1),
    ])]));
    let plan = plan_with(&source, &PgType::Vector(None, home()), &EncodeOptions::default()).unwrap();
    let error = encode(&plan, &batch(&source, &wrong), 100).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("an element has no exact form in single precision"),
        "{error}"
    );
    let four = field(DataType::FixedSizeList(item(DataType::Float32), 4));
    let refused = plan_with(&four, &PgType::Vector(Some(3), home()), &EncodeOptions::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("lists of 4 elements are no vectors of 3 dimensions"),
        "{refused}"
    );
}

#[test]
fn bit_strings_come_from_booleans_and_text() {
    let texts = StringArray::from(vec!["1111000011", "", "101"]);
    let names = &["varbit_ten", "varbit_empty", "varbit_three"];
    check("bits", &PgType::VarBit(None), &field(DataType::Utf8), texts, names);
    check(
        "bits",
        &PgType::Bit(Some(8)),
        &field(DataType::Utf8),
        StringArray::from(vec!["10100101"]),
        &["bit_eight"],
    );
    check(
        "bits",
        &PgType::Bit(None),
        &field(DataType::Utf8),
        StringArray::from(vec!["1", "101"]),
        &["bit_one", "bit_three"],
    );
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
    let lists = FixedSizeListArray::new(item(DataType::Boolean), 3, values, None);
    check(
        "bits",
        &PgType::Bit(Some(3)),
        &field(lists.data_type().clone()),
        lists,
        &["bit_three"],
    );
}

pub(super) fn golden_row() -> PgType {
    let attribute = |name: &str, ty| (Ident::new(name).unwrap(), ty);
    PgType::Composite(Arc::new(CompositeType {
        name: Ident::new("golden_row").unwrap(),
        home: TypeHome::default(),
        fields: vec![
            attribute("a", PgType::Int4),
            attribute("b", PgType::Text),
            attribute("c", array_of(PgType::Int4)),
        ],
    }))
}

#[test]
fn structs_are_row_types_by_name() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        Some(vec![Some(9)]),
        None,
        Some(vec![]),
    ]);
    let fields = Fields::from(vec![
        Field::new("c", lists.data_type().clone(), true),
        Field::new("b", DataType::Utf8, true),
        Field::new("a", DataType::Int64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists),
        Arc::new(StringArray::from(vec![
            Some("x"),
            Some("hidden\0"),
            Some("y"),
            Some(""),
        ])),
        Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX), None, Some(-5)])),
    ];
    let rows = StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, false, true, true])));
    let names = &["row_full", "null", "row_nulls", "row_empty_text"];
    check(
        "composite",
        &golden_row(),
        &field(rows.data_type().clone()),
        rows,
        names,
    );
    let extra = Fields::from(vec![Field::new("d", DataType::Int32, true)]);
    let refused = plan_with(
        &field(DataType::Struct(extra)),
        &golden_row(),
        &EncodeOptions::default(),
    )
    .unwrap_err();
    assert!(
        refused.to_string().ends_with("the type has no attribute \"d\""),
        "{refused}"
    );
}

pub(super) fn range_of(subtype: PgType) -> PgType {
    let name = Ident::new("some_range").unwrap();
    PgType::Range(Arc::new(RangeType {
        name,
        home: TypeHome::default(),
        subtype,
    }))
}

#[test]
fn structs_of_bounds_are_ranges() {
    let decimals = |values: Vec<Option<i128>>| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(10, 1).unwrap())
    };
    let (low, high) = (Some(15), Some(25));
    let lower = decimals(vec![low, low, low, low, None, low, None, None]);
    let upper = decimals(vec![high, high, high, high, high, None, None, None]);
    let bounds = vec![
        Some("[]"),
        Some("()"),
        Some("(]"),
        None,
        Some("[)"),
        Some("[)"),
        Some("[]"),
        Some("empty"),
    ];
    let bounds: ArrayRef = Arc::new(StringArray::from(bounds));
    let fields = ["lower", "upper", "bounds"];
    let fields: Fields = fields
        .iter()
        .zip([&lower, &upper, &bounds])
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let ranges = StructArray::new(fields, vec![lower, upper, bounds], None);
    let names = &[
        "num_closed",
        "num_open",
        "num_lower_open",
        "num_default",
        "num_no_lower",
        "num_no_upper",
        "num_all",
        "num_empty",
    ];
    check(
        "range",
        &range_of(PgType::Numeric(None)),
        &field(ranges.data_type().clone()),
        ranges,
        names,
    );
    let bound = |value| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    let fields = Fields::from(vec![
        Field::new("lower", DataType::Int32, true),
        Field::new("upper", DataType::Int32, true),
    ]);
    let ranges = StructArray::new(fields, vec![bound(1), bound(5)], None);
    check(
        "range",
        &range_of(PgType::Int8),
        &field(ranges.data_type().clone()),
        ranges,
        &["int8_half_open"],
    );
}

#[test]
fn lists_of_ranges_are_multiranges() {
    let numbers = |values: Vec<Option<i32>>| -> ArrayRef { Arc::new(Int32Array::from(values)) };
    let bounds = ["lower", "upper"];
    let fields: Fields = bounds
        .iter()
        .map(|name| Field::new(*name, DataType::Int32, true))
        .collect();
    let lower = numbers(vec![Some(1), Some(1), Some(7), None, Some(7), None]);
    let upper = numbers(vec![Some(5), Some(5), Some(9), Some(1), None, None]);
    let ranges = StructArray::new(fields.clone(), vec![lower, upper], None);
    let offsets = OffsetBuffer::from_lengths([0, 1, 2, 2, 1]);
    let lists = ListArray::new(item(ranges.data_type().clone()), offsets, Arc::new(ranges), None);
    let PgType::Range(range) = range_of(PgType::Int4) else {
        unreachable!("it is one")
    };
    let names = &["int4_none", "int4_one", "int4_two", "int4_open", "int4_all"];
    let source = field(lists.data_type().clone());
    check("multirange", &PgType::Multirange(range.clone()), &source, lists, names);

    let inside = StructArray::new_null(fields, 1);
    let null = ListArray::new(
        item(inside.data_type().clone()),
        OffsetBuffer::from_lengths([1]),
        Arc::new(inside),
        None,
    );
    let plan = plan_with(&source, &PgType::Multirange(range), &EncodeOptions::default()).unwrap();
    let error = encode(&plan, &batch(&source, &(Arc::new(null) as ArrayRef)), 1 << 20).unwrap_err();
    assert_eq!(error.reason, CellReason::NullInside("a multirange holds no NULL"));
}

#[test]
fn maps_of_texts_are_hstore() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("a");
    maps.values().append_value("x");
    maps.keys().append_value("b");
    maps.values().append_null();
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    let maps = maps.finish();
    let target = PgType::Hstore(TypeHome::default());
    check(
        "hstore",
        &target,
        &field(maps.data_type().clone()),
        maps,
        &["hstore_some", "hstore_empty"],
    );
}
