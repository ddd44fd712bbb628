//! Parquet variants, by another library's writer and shredded by hand, against JSON that Postgres wrote; and bytes that are
//! none.

mod damaged;

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use parquet_variant::{Uuid, Variant, VariantBuilder, VariantDecimal4, VariantDecimal8, VariantDecimal16};

use super::{CellError, batch, check, encode, extended, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::pg_type::PgType;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    every_kind_of_variant_is_written_as_postgres_writes_its_type,
    objects_and_arrays_of_variants_are_documents,
    the_storage_of_a_variant_may_have_any_layout,
    shredded_variants_are_put_together_again,
];

type Encoded = (Vec<u8>, Vec<u8>);

fn variant_field(storage: &DataType) -> Field {
    extended(storage.clone(), "arrow.parquet.variant", "")
}

fn one<'m, 'v>(value: impl Into<Variant<'m, 'v>>) -> Encoded {
    let mut builder = VariantBuilder::new();
    builder.append_value(value);
    builder.finish()
}

fn stored(rows: &[Encoded]) -> StructArray {
    let metadata: ArrayRef = Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.0)));
    let value: ArrayRef = Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.1)));
    parts(&[("metadata", metadata), ("value", value)])
}

fn parts(columns: &[(&str, ArrayRef)]) -> StructArray {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    StructArray::new(fields, columns.iter().map(|(_, array)| array.clone()).collect(), None)
}

fn as_json(array: &StructArray, names: &[&str]) {
    check(
        "variant",
        &PgType::Json,
        &variant_field(array.data_type()),
        array.clone(),
        names,
    );
}

fn scalars() -> Vec<(&'static str, Encoded)> {
    let micros = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).unwrap();
    let nanos = chrono::DateTime::from_timestamp_nanos;
    let long = "lang ".repeat(30);
    let date = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
    let time = chrono::NaiveTime::from_hms_micro_opt(12, 34, 56, 789_012).unwrap();
    let uuid = Uuid::from_bytes(std::array::from_fn(|at| at as u8));
    let decimal16 = |unscaled, scale| VariantDecimal16::try_new(unscaled, scale).unwrap();
    vec![
        ("json_null", one(Variant::Null)),
        ("yes", one(true)),
        ("no", one(false)),
        ("int8_min", one(Variant::Int8(-128))),
        ("int16_max", one(Variant::Int16(32_767))),
        ("int32_min", one(Variant::Int32(i32::MIN))),
        ("int64_max", one(Variant::Int64(i64::MAX))),
        ("double_small", one(1e-5f64)),
        ("double_nan", one(f64::NAN)),
        ("float_big", one(16_777_216f32)),
        ("decimal4", one(VariantDecimal4::try_new(-105, 2).unwrap())),
        (
            "decimal8",
            one(VariantDecimal8::try_new(123_456_789_012_345_678, 3).unwrap()),
        ),
        ("decimal16_min", one(decimal16(-(10i128.pow(38) - 1), 0))),
        ("decimal16_scale", one(decimal16(1, 38))),
        ("date_some", one(date)),
        ("time_some", one(time)),
        ("micros_zoned", one(micros(1_709_210_096_789_012))),
        ("micros", one(micros(-1).naive_utc())),
        ("nanos_zoned", one(nanos(1_709_210_096_789_012_345))),
        ("nanos", one(nanos(-1).naive_utc())),
        ("binary_some", one(&[0u8, 255][..])),
        ("text_empty", one("")),
        ("text_short", one("a\"b\\c\n\té")),
        ("text_long", one(long.as_str())),
        ("uuid_some", one(uuid)),
    ]
}

fn documents() -> Vec<(&'static str, Encoded)> {
    let mut object = VariantBuilder::new();
    let mut members = object.new_object();
    let mut inner = members.new_object("c");
    inner.insert("k\"", true);
    inner.finish();
    let mut list = members.new_list("b");
    list.append_value("x");
    list.append_value(Variant::Null);
    list.finish();
    members.insert("a", 1i8);
    members.finish();
    let mut array = VariantBuilder::new();
    let mut elements = array.new_list();
    elements.append_value(1i8);
    elements.append_value(Variant::Null);
    elements.new_list().finish();
    let mut last = elements.new_object();
    last.insert("a", VariantDecimal4::try_new(250, 2).unwrap());
    last.finish();
    elements.finish();
    let mut nothing = VariantBuilder::new();
    nothing.new_object().finish();
    let mut none = VariantBuilder::new();
    none.new_list().finish();
    vec![
        ("object_some", object.finish()),
        ("array_mixed", array.finish()),
        ("object_empty", nothing.finish()),
        ("array_empty", none.finish()),
    ]
}

fn split(cases: Vec<(&'static str, Encoded)>) -> (Vec<&'static str>, Vec<Encoded>) {
    cases.into_iter().unzip()
}

#[test]
fn every_kind_of_variant_is_written_as_postgres_writes_its_type() {
    let (names, rows) = split(scalars());
    as_json(&stored(&rows), &names);
}

#[test]
fn objects_and_arrays_of_variants_are_documents() {
    let (names, rows) = split(documents());
    as_json(&stored(&rows), &names);
}

#[test]
fn the_storage_of_a_variant_may_have_any_layout() {
    let (names, rows) = split(scalars().into_iter().chain(documents()).collect());
    let plain = stored(&rows);
    let as_type = |at: usize, ty: &DataType| cast(plain.column(at), ty).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Binary));
    let encoded = parts(&[
        ("value", as_type(1, &DataType::BinaryView)),
        ("metadata", as_type(0, &dictionary)),
    ]);
    as_json(&encoded, &names);
    as_json(
        &parts(&[
            ("metadata", as_type(0, &DataType::LargeBinary)),
            ("value", as_type(1, &DataType::LargeBinary)),
        ]),
        &names,
    );
}

/// A `value` column where rows have one.
fn values(rows: &[Option<&Encoded>]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter(rows.iter().map(|row| row.map(|row| &row.1))))
}

fn metadata(row: &Encoded, count: usize) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(&row.0, count)))
}

fn group(value: Option<ArrayRef>, typed: ArrayRef) -> ArrayRef {
    let value = value.map(|value| ("value", value));
    Arc::new(parts(
        &value.into_iter().chain([("typed_value", typed)]).collect::<Vec<_>>(),
    ))
}

/// An object of text `b` and number `z`, and its metadata, which names `a` as well.
fn residual() -> (Encoded, Encoded) {
    let object = |with_z: bool| {
        let mut builder = VariantBuilder::new().with_field_names(["a", "b", "z"]);
        let mut members = builder.new_object();
        members.insert("b", "x");
        if with_z {
            members.insert("z", 1i8);
        }
        members.finish();
        builder.finish()
    };
    (object(false), object(true))
}

#[test]
fn shredded_variants_are_put_together_again() {
    let null = one(Variant::Null);
    let text = one("");
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None, None, None]));
    let scalar = parts(&[
        ("metadata", metadata(&null, 4)),
        ("value", values(&[None, Some(&null), Some(&text), None])),
        ("typed_value", numbers),
    ]);
    as_json(&scalar, &["int64_max", "json_null", "text_empty", "json_null"]);

    let bytes: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_from_iter([(0..16).collect::<Vec<u8>>()].into_iter()).unwrap());
    as_json(
        &parts(&[("metadata", metadata(&null, 1)), ("typed_value", bytes)]),
        &["uuid_some"],
    );

    // [1,2], ["x",null,3], a value that is no list.
    let (x, three) = (one("x"), one(Variant::Int8(3)));
    let elements = group(
        Some(values(&[None, None, Some(&x), None, Some(&three)])),
        Arc::new(Int32Array::from(vec![Some(1), Some(2), None, None, None])),
    );
    let item = Arc::new(Field::new("element", elements.data_type().clone(), false));
    let nulls = NullBuffer::from(vec![true, true, false]);
    let lists = ListArray::new(item, OffsetBuffer::from_lengths([2, 3, 0]), elements, Some(nulls));
    let shredded = parts(&[
        ("metadata", metadata(&null, 3)),
        ("value", values(&[None, None, Some(&text)])),
        ("typed_value", Arc::new(lists)),
    ]);
    as_json(&shredded, &["numbers", "list_of_kinds", "text_empty"]);

    // Wholly shredded, in part, without its member, and one that is encoded as a whole.
    let (b, bz) = residual();
    let member = group(None, Arc::new(Int16Array::from(vec![Some(7), Some(7), None, None])));
    let object = parts(&[("a", member)]);
    let fields = object.fields().clone();
    let nulls = NullBuffer::from(vec![true, true, true, false]);
    let object = StructArray::new(fields, object.columns().to_vec(), Some(nulls));
    let shredded = parts(&[
        ("metadata", metadata(&b, 4)),
        ("value", values(&[Some(&b), None, Some(&bz), Some(&bz)])),
        ("typed_value", Arc::new(object)),
    ]);
    as_json(&shredded, &["ab", "a_only", "bz", "bz"]);
}

fn encoded(array: &StructArray) -> Result<Vec<u8>, CellError> {
    let source = variant_field(array.data_type());
    let plan = plan_with(&source, &PgType::Jsonb, &EncodeOptions::default()).unwrap();
    let array: ArrayRef = Arc::new(array.clone());
    encode(&plan, &batch(&source, &array), 1 << 20)
}

fn refusal(array: &StructArray) -> String {
    encoded(array).unwrap_err().to_string()
}

#[test]
fn parts_of_a_shredded_variant_that_contradict_each_other_are_refused() {
    let null = one(Variant::Null);
    let number = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let both = parts(&[
        ("metadata", metadata(&null, 1)),
        ("value", values(&[Some(&null)])),
        ("typed_value", number(Some(1))),
    ]);
    assert!(refusal(&both).ends_with("no Parquet variant: it has a value and a typed value"));
    let with_member = |name: &str, rest: &Encoded| {
        parts(&[
            ("metadata", metadata(rest, 1)),
            ("value", values(&[Some(rest)])),
            ("typed_value", Arc::new(parts(&[(name, group(None, number(Some(1))))]))),
        ])
    };
    let found = refusal(&with_member("a", &null));
    assert!(
        found.ends_with("it has typed members and a value that is no object"),
        "{found}"
    );
    let found = refusal(&with_member("b", &residual().0));
    assert!(
        found.ends_with("a member is in its own column and in the value"),
        "{found}"
    );
    let refused = |storage: &StructArray| {
        let plan = plan_with(
            &variant_field(storage.data_type()),
            &PgType::Jsonb,
            &EncodeOptions::default(),
        );
        plan.unwrap_err().to_string()
    };
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    let found = refused(&parts(&[("metadata", metadata(&null, 1)), ("typed_value", unsigned)]));
    assert!(found.ends_with("a variant is not shredded into UInt64"), "{found}");
    let other: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let found = refused(&parts(&[
        ("metadata", metadata(&null, 1)),
        ("value", other),
        ("typed_value", number(None)),
    ]));
    assert!(found.ends_with("a variant has a value of the type Int32"), "{found}");
    let bare: ArrayRef = Arc::new(parts(&[("a", number(None))]));
    let found = refused(&parts(&[("metadata", metadata(&null, 1)), ("typed_value", bare)]));
    assert!(
        found.ends_with("a shredded variant has a group of the type Int64"),
        "{found}"
    );
}

#[test]
fn a_variant_goes_into_documents_and_its_parts_into_a_row_type_and_nothing_else() {
    let storage = stored(&[one(true)]);
    let source = variant_field(storage.data_type());
    let refused = plan_with(&source, &PgType::Bytea, &EncodeOptions::default()).unwrap_err();
    assert!(
        refused.to_string().contains("cannot be stored exactly in bytea"),
        "{refused}"
    );
    check("variant", &PgType::Text, &source, storage.clone(), &["yes"]);
    // Without its parts it is read as what it is stored in.
    let other = parts(&[("value", storage.column(1).clone())]);
    assert!(crate::model::extension::Extension::of(&variant_field(other.data_type())).is_none());
}

#[test]
fn members_that_only_nul_tells_apart_are_refused() {
    let mut builder = VariantBuilder::new();
    let mut members = builder.new_object();
    members.insert("a", 1i8);
    members.insert("a\0", 2i8);
    members.finish();
    let found = refusal(&stored(&[builder.finish()]));
    assert!(
        found.ends_with("an object in it has names that only NUL tells apart"),
        "{found}"
    );
    let named = |name: &str| Field::new(name, DataType::Int32, true);
    let both = DataType::Struct(Fields::from(vec![named("a\0"), named("a\u{fffd}")]));
    let refused = plan_with(&field(both), &PgType::Jsonb, &EncodeOptions::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("two fields whose names only NUL tells apart"),
        "{refused}"
    );
}

#[test]
fn variants_inside_other_values_are_documents_too() {
    let storage = stored(&[one(true), one("x")]);
    let member = variant_field(storage.data_type()).with_name("v");
    let outer = StructArray::new(Fields::from(vec![member]), vec![Arc::new(storage)], None);
    let source = field(outer.data_type().clone());
    let plan = plan_with(&source, &PgType::Json, &EncodeOptions::default()).unwrap();
    let array: ArrayRef = Arc::new(outer);
    let found = encode(&plan, &batch(&source, &array), 1 << 20).unwrap();
    let expected = b"\0\x01\0\0\0\x0a{\"v\":true}\0\x01\0\0\0\x09{\"v\":\"x\"}";
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
}
