//! Values as JSON and as text, against what Postgres' `to_json` and casts to text write.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, TimeUnit, UnionFields};

use super::{batch, check_with, encode, extended, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::options::{NulBytes, TypeProfile};
use crate::model::pg_type::PgType;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    structs_are_objects_in_field_order,
    nesting_goes_to_any_depth,
    scalars_in_documents_read_as_postgres_writes_them,
    maps_are_objects_and_unions_their_value,
    values_in_text_columns_read_as_postgres_casts_them,
    durations_and_intervals_are_iso_8601_in_text,
    the_cloudquery_profile_writes_the_go_plugins_texts,
    what_a_document_cannot_hold_is_refused,
    an_escaped_nul_in_jsonb_follows_the_option,
    escaped_nuls_cost_what_they_are_long,
];

const LEAP: i64 = 1_709_210_096;

fn json(array: impl Array + 'static, names: &[&str]) {
    let source = field(array.data_type().clone());
    check_with(
        "json",
        &PgType::Json,
        &source,
        Arc::new(array),
        names,
        &EncodeOptions::default(),
    );
}

fn one_list(values: impl Array + 'static, name: &str) {
    list_of(
        Field::new("item", values.data_type().clone(), true),
        Arc::new(values),
        name,
    );
}

fn list_of(item: Field, values: ArrayRef, name: &str) {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, values.len() as i32]));
    json(ListArray::new(Arc::new(item), offsets, values, None), &[name]);
}

#[test]
fn structs_are_objects_in_field_order() {
    let fields = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Int32, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None])),
        Arc::new(StringArray::from(vec![Some("x"), None])),
        Arc::new(Int32Array::from(vec![None, None])),
    ];
    json(
        StructArray::new(fields, columns, None),
        &["struct_simple", "struct_all_null"],
    );
    let key = Fields::from(vec![Field::new("k\"ey", DataType::Utf8, true)]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a\"b\\c\n\t<&>\u{1}é"]));
    json(StructArray::new(key, vec![text], None), &["struct_escapes"]);
}

#[test]
fn nesting_goes_to_any_depth() {
    let inner = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None, Some(3)])]);
    let fields = Fields::from(vec![
        Field::new("p", DataType::Boolean, true),
        Field::new("q", inner.data_type().clone(), true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(BooleanArray::from(vec![true])), Arc::new(inner)];
    let structs = StructArray::new(fields, columns, None);
    let outer = Fields::from(vec![Field::new("inner_row", structs.data_type().clone(), true)]);
    json(
        StructArray::new(outer, vec![Arc::new(structs)], None),
        &["struct_nested"],
    );
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), Some(2)]), Some(vec![Some(3)])]);
    one_list(lists, "list_lists");
}

#[test]
fn scalars_in_documents_read_as_postgres_writes_them() {
    one_list(Int64Array::from(vec![1, 2, 3]), "list_ints");
    let small = [
        0.1,
        1e15,
        123_456.0,
        1e-5,
        -2.5e-300,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
    ];
    let doubles = small
        .into_iter()
        .chain([999_999_999_999_999.0, 0.0001])
        .collect::<Vec<_>>();
    one_list(Float64Array::from(doubles), "float8s");
    one_list(
        Float32Array::from(vec![0.1, 1e6, 123_456.0, 1e-5, 16_777_216.0, 3.4e38]),
        "float4s",
    );
    one_list(Date32Array::from(vec![19_782, -719_162, 2_932_897]), "dates");
    one_list(
        Time64NanosecondArray::from(vec![45_296_789_000_000, 0, 86_399_000_001_000]),
        "times",
    );
    one_list(
        TimestampMicrosecondArray::from(vec![LEAP * 1_000_000 + 789_012, -1_000_000]),
        "timestamps",
    );
    let zoned = TimestampMillisecondArray::from(vec![LEAP * 1_000 + 789]).with_timezone("+02:00");
    one_list(zoned, "timestamptzs");
    one_list(BinaryArray::from_vec(vec![b"\x00\xff", b""]), "byteas");
    one_list(BooleanArray::from(vec![Some(true), Some(false), None]), "bools");
    let counting = FixedSizeBinaryArray::try_from_iter([(0..16).collect::<Vec<u8>>()].into_iter()).unwrap();
    let uuid = extended(DataType::FixedSizeBinary(16), "arrow.uuid", "").with_name("item");
    list_of(uuid, Arc::new(counting), "uuids");
}

#[test]
fn maps_are_objects_and_unions_their_value() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("a");
    maps.values().append_value(1);
    maps.keys().append_value("b");
    maps.values().append_null();
    maps.append(true).unwrap();
    let maps = maps.finish();
    json(maps.clone(), &["map_object"]);
    // Keys in a dictionary are the same keys.
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let keys = arrow::compute::cast(maps.keys(), &dictionary).unwrap();
    let entry = Fields::from(vec![
        Field::new("keys", dictionary, false),
        Field::new("values", DataType::Int32, true),
    ]);
    let entries = StructArray::new(entry.clone(), vec![keys, maps.values().clone()], None);
    let entries_field = Arc::new(Field::new("entries", DataType::Struct(entry), false));
    let encoded = MapArray::new(entries_field, maps.offsets().clone(), entries, None, false);
    json(encoded, &["map_object"]);
    let children = [
        Field::new("n", DataType::Int32, true),
        Field::new("s", DataType::Utf8, true),
    ];
    let fields = UnionFields::try_new([3, 7], children).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![5])),
        Arc::new(StringArray::from(vec!["x"])),
    ];
    let types = ScalarBuffer::from(vec![3i8, 7]);
    let offsets = Some(ScalarBuffer::from(vec![0, 0]));
    let dense = UnionArray::try_new(fields.clone(), types.clone(), offsets, columns).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![5, 0])),
        Arc::new(StringArray::from(vec!["", "x"])),
    ];
    let sparse = UnionArray::try_new(fields, types, None, columns).unwrap();
    for union in [dense, sparse] {
        let source = field(union.data_type().clone());
        let array: ArrayRef = Arc::new(union);
        super::coverage::note(&source, &PgType::Json);
        let plan = super::plan_with(&source, &PgType::Json, &EncodeOptions::default()).unwrap();
        let found = super::encode(&plan, &super::batch(&source, &array), 1 << 20).unwrap();
        let cases = super::golden("json");
        let fields: &[u8] = &[0, 1];
        let expected = [fields, cases["number"].as_slice(), fields, cases["string"].as_slice()].concat();
        assert_eq!(super::hex(&found), super::hex(&expected));
    }
}

/// The payloads of a column as text, joined by NUL.
fn texts(source: &Field, array: ArrayRef, target: &PgType, type_profile: TypeProfile) -> String {
    let options = EncodeOptions {
        type_profile,
        ..EncodeOptions::default()
    };
    let plan = plan_with(source, target, &options).unwrap();
    let bytes = encode(&plan, &batch(source, &array), 1 << 20).unwrap();
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[2..6].try_into().unwrap()).max(0) as usize;
        found.push(String::from_utf8(rest[6..6 + length].to_vec()).unwrap());
        rest = &rest[6 + length..];
    }
    found.join("\0")
}

#[test]
fn values_in_text_columns_read_as_postgres_casts_them() {
    let check = |array: ArrayRef, names: &[&str]| {
        let source = field(array.data_type().clone());
        check_with("cast", &PgType::Text, &source, array, names, &EncodeOptions::default());
    };
    check(Arc::new(Int32Array::from(vec![-5])), &["int_some"]);
    check(Arc::new(UInt64Array::from(vec![u64::MAX])), &["uint64_max"]);
    check(
        Arc::new(BooleanArray::from(vec![true, false])),
        &["bool_true", "bool_false"],
    );
    check(
        Arc::new(Float64Array::from(vec![0.1, 1e15, f64::NAN])),
        &["float8_tenth", "float8_big", "float8_nan"],
    );
    check(Arc::new(Float32Array::from(vec![1e6])), &["float4_big"]);
    let decimals = Decimal128Array::from(vec![100_005])
        .with_precision_and_scale(38, 5)
        .unwrap();
    check(Arc::new(decimals), &["numeric_some"]);
    let half = arrow::datatypes::i256::from(-50);
    let decimals = Decimal256Array::from(vec![half])
        .with_precision_and_scale(40, 2)
        .unwrap();
    check(Arc::new(decimals), &["numeric_negative"]);
    check(
        Arc::new(Date32Array::from(vec![19_782, -719_528])),
        &["date_some", "date_bc"],
    );
    check(Arc::new(Time32MillisecondArray::from(vec![45_296_789])), &["time_some"]);
    check(
        Arc::new(TimestampMicrosecondArray::from(vec![LEAP * 1_000_000 + 789_012])),
        &["timestamp_some"],
    );
    check(
        Arc::new(TimestampSecondArray::from(vec![LEAP]).with_timezone("UTC")),
        &["timestamptz_some"],
    );
}

#[test]
fn durations_and_intervals_are_iso_8601_in_text() {
    let source = field(DataType::Duration(TimeUnit::Nanosecond));
    let array: ArrayRef = Arc::new(DurationNanosecondArray::from(vec![-1_500_000_001, 0, i64::MIN]));
    let expected = "PT-1.500000001S\0PT0S\0PT-2562047H-47M-16.854775808S";
    assert_eq!(texts(&source, array, &PgType::Text, TypeProfile::Native), expected);
}

#[test]
fn the_cloudquery_profile_writes_the_go_plugins_texts() {
    let go = |array: ArrayRef| {
        texts(
            &field(array.data_type().clone()),
            array,
            &PgType::Text,
            TypeProfile::Cloudquery,
        )
    };
    assert_eq!(go(Arc::new(DurationSecondArray::from(vec![123]))), "123s");
    assert_eq!(go(Arc::new(DurationNanosecondArray::from(vec![-5]))), "-5ns");
    assert_eq!(go(Arc::new(IntervalYearMonthArray::from(vec![14]))), "14");
    let days = arrow::datatypes::IntervalDayTime::new(3, -250);
    assert_eq!(
        go(Arc::new(IntervalDayTimeArray::from(vec![days]))),
        "{\"days\":3,\"milliseconds\":-250}"
    );
    let mixed = arrow::datatypes::IntervalMonthDayNano::new(1, 2, 3);
    let expected = "{\"months\":1,\"days\":2,\"nanoseconds\":3}";
    assert_eq!(go(Arc::new(IntervalMonthDayNanoArray::from(vec![mixed]))), expected);
    let fixed = FixedSizeBinaryArray::try_from_iter([vec![1u8, 2, 3]].into_iter()).unwrap();
    assert_eq!(go(Arc::new(fixed)), "AQID");
    let fields = Fields::from(vec![
        Field::new("z", DataType::Utf8, true),
        Field::new("a", DataType::Decimal128(10, 2), true),
        Field::new("m", DataType::Interval(arrow::datatypes::IntervalUnit::YearMonth), true),
        Field::new("t", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["<&>"])),
        Arc::new(
            Decimal128Array::from(vec![1250])
                .with_precision_and_scale(10, 2)
                .unwrap(),
        ),
        Arc::new(IntervalYearMonthArray::from(vec![2])),
        Arc::new(TimestampNanosecondArray::from(vec![LEAP * 1_000_000_000 + 120]).with_timezone("UTC")),
    ];
    let expected = "{\"a\":\"12.5\",\"m\":{\"months\":2},\"t\":\"2024-02-29T12:34:56.00000012Z\",\
                    \"z\":\"\\u003c\\u0026\\u003e\"}";
    assert_eq!(go(Arc::new(StructArray::new(fields, columns, None))), expected);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    assert_eq!(go(Arc::new(maps.finish())), "[{\"key\":\"k\",\"value\":1}]");
}

#[test]
fn what_a_document_cannot_hold_is_refused() {
    let twice = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("a", DataType::Int32, true),
    ]);
    let refused = plan_with(
        &field(DataType::Struct(twice)),
        &PgType::Jsonb,
        &EncodeOptions::default(),
    )
    .unwrap_err();
    assert!(
        refused.to_string().ends_with("the struct has two fields named \"a\""),
        "{refused}"
    );
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for _ in 0..2 {
        maps.keys().append_value("k");
        maps.values().append_value(1);
    }
    maps.append(true).unwrap();
    let maps: ArrayRef = Arc::new(maps.finish());
    let source = field(maps.data_type().clone());
    let plan = plan_with(&source, &PgType::Jsonb, &EncodeOptions::default()).unwrap();
    let error = encode(&plan, &batch(&source, &maps), 100).unwrap_err();
    assert!(error.to_string().ends_with("not a map of distinct keys"), "{error}");
}

#[test]
fn an_escaped_nul_in_jsonb_follows_the_option() {
    let documents = ["{\"a\":\"x\\u0000y\"}", "\"\\\\u0000\""];
    follows_nul_bytes(field(DataType::Utf8), Arc::new(StringArray::from(documents.to_vec())));
    // As CloudQuery has its JSON.
    let bytes: Vec<&[u8]> = documents.iter().map(|document| document.as_bytes()).collect();
    let source = field(DataType::Binary).with_metadata([("ARROW:extension:name", "json")]);
    follows_nul_bytes(source, Arc::new(BinaryArray::from(bytes)));
}

/// A million of them took terabytes of moves when the rest of the document was moved for each.
#[test]
fn escaped_nuls_cost_what_they_are_long() {
    const COUNT: usize = 1_000_000;
    let document = format!("\"{}\\\\u0000\\\\\\u0000x\"", "\\u0000".repeat(COUNT));
    let source = field(DataType::Utf8);
    for (nul_bytes, substitute) in [(NulBytes::Strip, ""), (NulBytes::Replace, "\\ufffd")] {
        let options = EncodeOptions {
            nul_bytes,
            ..EncodeOptions::default()
        };
        let plan = plan_with(&source, &PgType::Jsonb, &options).unwrap();
        let array: ArrayRef = Arc::new(StringArray::from(vec![document.as_str()]));
        let encoded = encode(&plan, &batch(&source, &array), 1 << 20).unwrap();
        let expected = format!("\"{}\\\\u0000\\\\{substitute}x\"", substitute.repeat(COUNT));
        assert!(&encoded[7..] == expected.as_bytes(), "{nul_bytes:?}");
    }
}

fn follows_nul_bytes(source: Field, array: ArrayRef) {
    let encoded = |nul_bytes| {
        let options = EncodeOptions {
            nul_bytes,
            ..EncodeOptions::default()
        };
        let plan = plan_with(&source, &PgType::Jsonb, &options).unwrap();
        encode(&plan, &batch(&source, &array), 100).map(|bytes| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(encoded(NulBytes::Error).unwrap_err().row, 0);
    let stripped = "\0\x01\0\0\0\x0b\x01{\"a\":\"xy\"}\0\x01\0\0\0\x0a\x01\"\\\\u0000\"";
    assert_eq!(encoded(NulBytes::Strip).unwrap(), stripped);
    assert!(encoded(NulBytes::Replace).unwrap().contains("x\\ufffdy"));
}
