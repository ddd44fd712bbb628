//! Extension types by their meaning: opaque values of Postgres, instants with an offset, tensors of any shape, GeoArrow, and
//! CloudQuery's own.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::{check, extended, field, golden, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::options::TypeProfile;
use crate::model::pg_type::{PgType, TypeHome};
use crate::model::type_map::default_type;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    opaque_values_of_postgres_pass_through_into_their_own_type_only,
    an_instant_with_an_offset_keeps_the_instant,
    tensors_of_any_shape_are_documents_of_data_and_shape,
    tensors_of_one_shape_keep_it_in_documents_and_do_not_become_vectors,
    geoarrow_is_bytes_or_text_and_coordinates_are_documents,
    addresses_of_cloudquery_are_addresses,
    labels_of_trees_and_their_patterns_are_text_behind_a_version,
];

/// The payload of a golden field, which a reader of Postgres would have got.
fn payload(file: &str, name: &str) -> Vec<u8> {
    golden(file)[name][4..].to_vec()
}

fn opaque(type_name: &str) -> Field {
    let metadata = format!("{{\"type_name\":\"{type_name}\",\"vendor_name\":\"PostgreSQL\"}}");
    extended(DataType::Binary, "arrow.opaque", &metadata)
}

#[test]
fn opaque_values_of_postgres_pass_through_into_their_own_type_only() {
    let point = payload("geometric", "point_some");
    let bytes = BinaryArray::from_iter_values([&point]);
    check(
        "geometric",
        &PgType::Point,
        &opaque("point"),
        bytes.clone(),
        &["point_some"],
    );
    let circle = payload("geometric", "circle_some");
    let circles = BinaryArray::from_iter_values([&circle]);
    check(
        "geometric",
        &PgType::Circle,
        &opaque("circle"),
        circles,
        &["circle_some"],
    );
    let refused = plan_with(&opaque("point"), &PgType::Circle, &EncodeOptions::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the bytes are those of the Postgres type \"point\""),
        "{refused}"
    );
    for unknown in ["hyperplane", "mood"] {
        let default = default_type(&opaque(unknown), TypeProfile::Native);
        assert_eq!(default, PgType::Bytea, "a type that we do not know keeps its bytes");
    }
    let elsewhere = extended(
        DataType::Binary,
        "arrow.opaque",
        "{\"type_name\":\"point\",\"vendor_name\":\"Oracle\"}",
    );
    assert_eq!(default_type(&elsewhere, TypeProfile::Native), PgType::Bytea);
}

#[test]
fn an_instant_with_an_offset_keeps_the_instant() {
    let instants: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![1_709_210_096_789, -1]).with_timezone("UTC"));
    let offsets: ArrayRef = Arc::new(Int16Array::from(vec![120, -330]));
    let fields = Fields::from(vec![
        Field::new("timestamp", instants.data_type().clone(), false),
        Field::new("offset_minutes", DataType::Int16, false),
    ]);
    let array = StructArray::new(fields, vec![instants, offsets], None);
    let source = extended(array.data_type().clone(), "arrow.timestamp_with_offset", "");
    let names = &["timestamptz_milli", "timestamptz_before_milli"];
    check("timestamp", &PgType::TimestampTz(None), &source, array, names);
}

#[test]
fn tensors_of_any_shape_are_documents_of_data_and_shape() {
    let item = |ty| -> FieldRef { Arc::new(Field::new("item", ty, true)) };
    let data: ArrayRef = Arc::new(ListArray::new(
        item(DataType::Float64),
        OffsetBuffer::from_lengths([2]),
        Arc::new(Float64Array::from(vec![1.5, -2.0])),
        None,
    ));
    let shape = FixedSizeListArray::new(item(DataType::Int32), 2, Arc::new(Int32Array::from(vec![1, 2])), None);
    let shape: ArrayRef = Arc::new(shape);
    let fields = Fields::from(vec![
        Field::new("data", data.data_type().clone(), true),
        Field::new("shape", shape.data_type().clone(), true),
    ]);
    let array = StructArray::new(fields, vec![data, shape], None);
    let source = extended(array.data_type().clone(), "arrow.variable_shape_tensor", "{}");
    assert_eq!(default_type(&source, TypeProfile::Native), PgType::Jsonb);
    check("json", &PgType::Json, &source, array, &["tensor"]);
}

#[test]
fn tensors_of_one_shape_keep_it_in_documents_and_do_not_become_vectors() {
    let item: FieldRef = Arc::new(Field::new("item", DataType::Float64, true));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0, 3.0, 4.0]));
    let tensors: ArrayRef = Arc::new(FixedSizeListArray::new(item, 4, values, None));
    let shaped = |shape: &str| extended(tensors.data_type().clone(), "arrow.fixed_shape_tensor", shape);
    let square = shaped("{\"shape\":[2,2]}");
    check("json", &PgType::Json, &square, tensors.clone(), &["tensor_square"]);
    let refused = plan_with(
        &square,
        &PgType::Vector(None, TypeHome::default()),
        &EncodeOptions::default(),
    );
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.ends_with("the tensors have 2 dimensions, the column has one"),
        "{refused}"
    );
    let flat = shaped("{\"shape\":[4]}");
    check("json", &PgType::Json, &flat, tensors.clone(), &["tensor_flat"]);
    assert!(
        plan_with(
            &flat,
            &PgType::Vector(Some(4), TypeHome::default()),
            &EncodeOptions::default()
        )
        .is_ok()
    );
}

#[test]
fn geoarrow_is_bytes_or_text_and_coordinates_are_documents() {
    let wkb = extended(DataType::Binary, "geoarrow.wkb", "{}");
    let bytes = BinaryArray::from_iter_values([payload("bytea", "bytea_some")]);
    check("bytea", &PgType::Bytea, &wkb, bytes, &["bytea_some"]);
    let wkt = extended(DataType::Utf8, "geoarrow.wkt", "{}");
    let texts = StringArray::from(vec![String::from_utf8(payload("text", "text_ascii")).unwrap()]);
    check("text", &PgType::Text, &wkt, texts, &["text_ascii"]);

    let axes = ["x", "y"].map(|name| Arc::new(Field::new(name, DataType::Float64, false)));
    let values: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![1.5])),
        Arc::new(Float64Array::from(vec![-2.0])),
    ];
    let points = StructArray::new(Fields::from(axes.to_vec()), values, None);
    for name in ["geoarrow.point", "geoarrow.box"] {
        let source = extended(points.data_type().clone(), name, "{}");
        assert_eq!(default_type(&source, TypeProfile::Native), PgType::Jsonb, "{name}");
        check("json", &PgType::Json, &source, points.clone(), &["point_xy"]);
    }
    let item = Arc::new(Field::new("vertices", points.data_type().clone(), false));
    let line = extended(DataType::List(item), "geoarrow.linestring", "{}");
    assert_eq!(default_type(&line, TypeProfile::Native), PgType::Jsonb);
}

#[test]
fn addresses_of_cloudquery_are_addresses() {
    let inet = extended(DataType::Binary, "inet", "inet-serialized");
    let texts = BinaryArray::from_iter_values(["10.1.2.3/24", "2001:db8::1/64"]);
    check("network", &PgType::Inet, &inet, texts, &["inet_v4_host", "inet_v6_net"]);
    let mac = extended(DataType::Binary, "mac", "mac-serialized");
    let bytes = BinaryArray::from_iter_values([payload("network", "mac_colons")]);
    check("network", &PgType::MacAddr, &mac, bytes, &["mac_colons"]);
}

#[test]
fn labels_of_trees_and_their_patterns_are_text_behind_a_version() {
    let texts = StringArray::from(vec!["Top.Science.Astronomy", "a", ""]);
    let names = &["ltree_some", "ltree_one", "ltree_empty"];
    let source = field(DataType::Utf8);
    check("ltree", &PgType::Ltree(TypeHome::default()), &source, texts, names);
    let texts = StringArray::from(vec!["Top.*{1,2}.!a|b@*", "*"]);
    let names = &["lquery_some", "lquery_any"];
    check("ltree", &PgType::Lquery(TypeHome::default()), &source, texts, names);
}
