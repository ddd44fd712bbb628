//! Dictionaries and runs inside other values: keys of maps, members of documents, bounds of ranges, offsets of instants. What
//! an encoding hides must not matter there either.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int32Type};

use super::{batch, check, encode, extended, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::extension::Extension;
use crate::model::ident::Ident;
use crate::model::options::{NulBytes, TypeProfile};
use crate::model::pg_type::{PgType, RangeType, TypeHome};
use crate::model::type_map::default_type;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    keys_and_values_of_hstore_may_be_encoded,
    an_encoded_uuid_in_a_document_is_a_uuid,
    bounds_of_ranges_may_be_encoded,
    offsets_of_instants_may_be_encoded,
    runs_have_the_meaning_of_their_values,
];

fn dictionary(values: &ArrayRef) -> ArrayRef {
    let ty = DataType::Dictionary(Box::new(DataType::Int8), Box::new(values.data_type().clone()));
    cast(values, &ty).unwrap()
}

/// One run per row.
fn runs(values: &ArrayRef) -> ArrayRef {
    let ends: Int32Array = (1..=values.len() as i32).collect();
    Arc::new(RunArray::<Int32Type>::try_new(&ends, values.as_ref()).unwrap())
}

fn structs(columns: &[(&str, &ArrayRef)]) -> StructArray {
    let field = |(name, array): &(&str, &ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    let arrays = columns.iter().map(|(_, array)| ArrayRef::clone(array)).collect();
    StructArray::new(fields, arrays, None)
}

/// Maps with two entries in the first row and none in the second.
fn maps(keys: ArrayRef, values: ArrayRef) -> MapArray {
    let fields = Fields::from(vec![
        Field::new("keys", keys.data_type().clone(), false),
        Field::new("values", values.data_type().clone(), true),
    ]);
    let entries = StructArray::new(fields, vec![keys, values], None);
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
    MapArray::new(field, offsets, entries, None, false)
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn keys_and_values_of_hstore_may_be_encoded() {
    let (keys, values) = (texts(&[Some("a"), Some("b")]), texts(&[Some("x"), None]));
    for encode in [dictionary, runs] {
        let maps = maps(encode(&keys), encode(&values));
        let source = field(maps.data_type().clone());
        let target = PgType::Hstore(TypeHome::default());
        check("hstore", &target, &source, maps, &["hstore_some", "hstore_empty"]);
    }
}

#[test]
fn nul_bytes_in_hstore_follow_the_option() {
    let target = PgType::Hstore(TypeHome::default());
    let encoded = |keys: [&str; 2], nul_bytes| {
        let maps = maps(texts(&keys.map(Some)), texts(&[Some("x\0"), None]));
        let source = field(maps.data_type().clone());
        let options = EncodeOptions {
            nul_bytes,
            ..EncodeOptions::default()
        };
        let array: ArrayRef = Arc::new(maps);
        encode(
            &plan_with(&source, &target, &options).unwrap(),
            &batch(&source, &array),
            1 << 20,
        )
    };
    let refused = encoded(["a", "b"], NulBytes::Error).unwrap_err().to_string();
    assert!(refused.contains("NUL byte"), "{refused}");
    let kept = encoded(["a", "b\0"], NulBytes::Strip).unwrap();
    assert!(
        kept.starts_with(b"\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01a\0\0\0\x01x\0\0\0\x01b\xff\xff\xff\xff"),
        "{kept:?}"
    );
    let replaced = encoded(["a", "b"], NulBytes::Replace).unwrap();
    assert!(
        replaced.windows(4).any(|window| window == "x\u{fffd}".as_bytes()),
        "{replaced:?}"
    );
    let refused = encoded(["a\0", "a"], NulBytes::Strip).unwrap_err().to_string();
    assert!(refused.ends_with("not a map of distinct keys"), "{refused}");
}

#[test]
fn keys_that_only_nul_tells_apart_are_no_object() {
    for (other, nul_bytes) in [("a", NulBytes::Strip), ("a\u{fffd}", NulBytes::Replace)] {
        let maps = maps(texts(&[Some("a\0"), Some(other)]), texts(&[None, None]));
        let source = field(maps.data_type().clone());
        let options = EncodeOptions {
            nul_bytes,
            ..EncodeOptions::default()
        };
        let plan = plan_with(&source, &PgType::Jsonb, &options).unwrap();
        let array: ArrayRef = Arc::new(maps);
        let refused = encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err().to_string();
        assert!(refused.ends_with("not a map of distinct keys"), "{refused}");
    }
}

fn uuids() -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter([(0..16).collect::<Vec<u8>>()].into_iter()).unwrap())
}

#[test]
fn an_encoded_uuid_in_a_document_is_a_uuid() {
    for encode in [dictionary, runs] {
        let values = encode(&uuids());
        let item = extended(values.data_type().clone(), "arrow.uuid", "").with_name("item");
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([1]);
        let lists = ListArray::new(Arc::new(item), offsets, values, None);
        check(
            "json",
            &PgType::Json,
            &field(lists.data_type().clone()),
            lists,
            &["uuids"],
        );
    }
}

#[test]
fn bounds_of_ranges_may_be_encoded() {
    let decimals = |value: i128| -> ArrayRef {
        let values = Decimal128Array::from(vec![value; 3]).with_precision_and_scale(10, 1);
        Arc::new(values.unwrap())
    };
    let bounds = texts(&[Some("[]"), Some("()"), None]);
    let target = PgType::Range(Arc::new(RangeType {
        name: Ident::new("numrange").unwrap(),
        home: TypeHome::default(),
        subtype: PgType::Numeric(None),
    }));
    for encode in [dictionary, runs] {
        let ranges = structs(&[
            ("lower", &encode(&decimals(15))),
            ("upper", &decimals(25)),
            ("bounds", &encode(&bounds)),
        ]);
        let source = field(ranges.data_type().clone());
        check(
            "range",
            &target,
            &source,
            ranges,
            &["num_closed", "num_open", "num_default"],
        );
    }
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1; 3]));
    let other = structs(&[("lower", &decimals(15)), ("upper", &decimals(25)), ("bounds", &numbers)]);
    let refused = plan_with(&field(other.data_type().clone()), &target, &EncodeOptions::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("optionally bounds (text) and empty (bool)"),
        "{refused}"
    );
}

#[test]
fn offsets_of_instants_may_be_encoded() {
    let instants: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![1_709_210_096_789, -1]).with_timezone("UTC"));
    let offsets: ArrayRef = Arc::new(Int16Array::from(vec![120, -330]));
    for encode in [dictionary, runs] {
        let array = structs(&[("timestamp", &instants), ("offset_minutes", &encode(&offsets))]);
        let source = extended(array.data_type().clone(), "arrow.timestamp_with_offset", "");
        let target = default_type(&source, TypeProfile::Native);
        assert_eq!(target, PgType::TimestampTz(None));
        check(
            "timestamp",
            &target,
            &source,
            array,
            &["timestamptz_milli", "timestamptz_before_milli"],
        );
    }
}

#[test]
fn runs_have_the_meaning_of_their_values() {
    let values = runs(&uuids());
    let DataType::RunEndEncoded(ends, plain) = values.data_type() else {
        panic!("{}", values.data_type());
    };
    let meant = plain
        .as_ref()
        .clone()
        .with_metadata([("ARROW:extension:name", "arrow.uuid")]);
    let source = field(DataType::RunEndEncoded(ends.clone(), Arc::new(meant)));
    assert_eq!(Extension::of(&source), Some(Extension::Uuid));
    let target = default_type(&source, TypeProfile::Native);
    assert_eq!(target, PgType::Uuid);
    let typed = values.to_data().into_builder().data_type(source.data_type().clone());
    let run_array = RunArray::<Int32Type>::from(typed.build().unwrap());
    check("uuid", &target, &source, run_array, &["uuid_counting"]);
}

/// Runs of one row each, whose values have an extension and the runs none.
fn meant_runs(values: &ArrayRef, name: &str) -> ArrayRef {
    let values = runs(values);
    let DataType::RunEndEncoded(ends, plain) = values.data_type() else {
        panic!("{}", values.data_type());
    };
    let meant = plain.as_ref().clone().with_metadata([("ARROW:extension:name", name)]);
    let ty = DataType::RunEndEncoded(ends.clone(), Arc::new(meant));
    let data = values.to_data().into_builder().data_type(ty).build().unwrap();
    Arc::new(RunArray::<Int32Type>::from(data))
}

#[test]
fn runs_in_documents_and_texts_have_the_meaning_of_their_values() {
    let uuids = meant_runs(&uuids(), "arrow.uuid");
    let json = meant_runs(&texts(&[Some("[1]")]), "arrow.json");
    let flags: ArrayRef = Arc::new(Int8Array::from(vec![1]));
    let flags = meant_runs(&flags, "arrow.bool8");
    let row = structs(&[("u", &uuids), ("j", &json), ("b", &flags)]);
    let options = EncodeOptions::default();
    let written = |array: ArrayRef, target| {
        let source = field(array.data_type().clone());
        let plan = plan_with(&source, &target, &options).unwrap();
        let bytes = encode(&plan, &batch(&source, &array), 1 << 20).unwrap();
        String::from_utf8_lossy(&bytes[6..]).into_owned()
    };
    let expected = r#"{"u":"00010203-0405-0607-0809-0a0b0c0d0e0f","j":[1],"b":true}"#;
    assert_eq!(written(Arc::new(row), PgType::Json), expected);
    assert_eq!(written(flags, PgType::Text), "true");
    let part = |bytes: &[u8]| -> ArrayRef { Arc::new(BinaryArray::from(vec![bytes])) };
    let variant: ArrayRef = Arc::new(structs(&[("metadata", &part(&[1, 0, 0])), ("value", &part(&[12, 7]))]));
    assert_eq!(
        written(meant_runs(&variant, "arrow.parquet.variant"), PgType::Json),
        "7"
    );
}
