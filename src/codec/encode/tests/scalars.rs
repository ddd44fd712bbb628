//! Booleans, numbers, texts, bytes and UUIDs.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use half::f16;

use super::literals::dollars;
use super::{check, check_with, extended, field};
use crate::codec::encode::EncodeOptions;
use crate::model::ident::Ident;
use crate::model::options::NulBytes;
use crate::model::pg_type::{EnumType, PgType, TypeHome};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    booleans_and_bool8_are_one_byte,
    integers_keep_their_value_in_every_wider_and_narrower_target,
    integers_reach_both_ends_of_their_type,
    system_types_take_unsigned_integers,
    floats_keep_every_bit_that_the_target_has,
    integers_that_a_float_holds_exactly_become_floats,
    texts_are_copied_from_every_layout_into_every_text_type,
    json_goes_into_json_and_jsonb,
    a_nul_byte_is_left_out_or_replaced_when_the_option_says_so,
    binaries_are_copied_from_every_layout,
    uuids_come_from_sixteen_bytes_or_text,
];

#[test]
fn booleans_and_bool8_are_one_byte() {
    let names = &["bool_true", "bool_false", "null"];
    check(
        "bool",
        &PgType::Bool,
        &field(DataType::Boolean),
        BooleanArray::from(vec![Some(true), Some(false), None]),
        names,
    );
    let bytes = Int8Array::from(vec![Some(-7), Some(0), None]);
    check(
        "bool",
        &PgType::Bool,
        &extended(DataType::Int8, "arrow.bool8", ""),
        bytes,
        names,
    );
}

#[test]
fn integers_keep_their_value_in_every_wider_and_narrower_target() {
    let wide = Int64Array::from(vec![0, 1, -1, 258]);
    let types = [("int2", PgType::Int2), ("int4", PgType::Int4), ("int8", PgType::Int8)];
    for (prefix, target) in types {
        let names = ["zero", "one", "minus_one", "pattern"].map(|name| format!("{prefix}_{name}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for source in [DataType::Int16, DataType::Int32, DataType::Int64] {
            let array = cast(&wide, &source).unwrap();
            check_with("int", &target, &field(source), array, &names, &EncodeOptions::default());
        }
        let bytes = [format!("{prefix}_int8_max"), format!("{prefix}_int8_min")];
        check(
            "int",
            &target,
            &field(DataType::Int8),
            Int8Array::from(vec![127, -128]),
            &[&bytes[0], &bytes[1]],
        );
        let unsigned = [format!("{prefix}_one"), format!("{prefix}_uint8_max")];
        for source in [DataType::UInt8, DataType::UInt16, DataType::UInt32, DataType::UInt64] {
            let array = cast(&Int64Array::from(vec![1, 255]), &source).unwrap();
            let names = &[unsigned[0].as_str(), &unsigned[1]];
            check_with("int", &target, &field(source), array, names, &EncodeOptions::default());
        }
    }
}

#[test]
fn integers_reach_both_ends_of_their_type() {
    let int2 = Int16Array::from(vec![i16::MAX, i16::MIN]);
    check(
        "int",
        &PgType::Int2,
        &field(DataType::Int16),
        int2,
        &["int2_max", "int2_min"],
    );
    let int4 = Int32Array::from(vec![i32::MAX, i32::MIN]);
    check(
        "int",
        &PgType::Int4,
        &field(DataType::Int32),
        int4,
        &["int4_max", "int4_min"],
    );
    let int8 = Int64Array::from(vec![i64::MAX, i64::MIN]);
    check(
        "int",
        &PgType::Int8,
        &field(DataType::Int64),
        int8,
        &["int8_max", "int8_min"],
    );
    check(
        "int",
        &PgType::Int4,
        &field(DataType::UInt16),
        UInt16Array::from(vec![u16::MAX]),
        &["int4_uint16_max"],
    );
    check(
        "int",
        &PgType::Int8,
        &field(DataType::UInt32),
        UInt32Array::from(vec![u32::MAX]),
        &["int8_uint32_max"],
    );
}

#[test]
fn system_types_take_unsigned_integers() {
    check(
        "int",
        &PgType::Oid,
        &field(DataType::UInt32),
        UInt32Array::from(vec![1, u32::MAX]),
        &["oid_one", "oid_max"],
    );
    check(
        "int",
        &PgType::Xid8,
        &field(DataType::UInt64),
        UInt64Array::from(vec![1, u64::MAX]),
        &["xid8_one", "xid8_max"],
    );
    let xids = UInt32Array::from(vec![7, u32::MAX]);
    check(
        "int",
        &PgType::Xid,
        &field(DataType::UInt32),
        xids,
        &["xid_some", "xid_max"],
    );
    check(
        "int",
        &PgType::Cid,
        &field(DataType::UInt32),
        UInt32Array::from(vec![7]),
        &["cid_some"],
    );
    let lsn = Int64Array::from(vec![0x16_B374_D848]);
    check("int", &PgType::PgLsn, &field(DataType::Int64), lsn, &["pg_lsn_some"]);
    check(
        "int",
        &PgType::Money(dollars()),
        &field(DataType::Int32),
        Int32Array::from(vec![123_456]),
        &["money_cents"],
    );
}

#[test]
fn floats_keep_every_bit_that_the_target_has() {
    let values = [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -123.25];
    let suffixes = [
        "zero",
        "minus_zero",
        "one_and_half",
        "nan",
        "inf",
        "minus_inf",
        "negative",
    ];
    for (prefix, target) in [("float4", PgType::Float4), ("float8", PgType::Float8)] {
        let names = suffixes.map(|suffix| format!("{prefix}_{suffix}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let halves = Float16Array::from_iter_values(values.map(f16::from_f64));
        check("float", &target, &field(DataType::Float16), halves, &names);
        let singles = Float32Array::from_iter_values(values.map(|value| value as f32));
        check("float", &target, &field(DataType::Float32), singles, &names);
        check(
            "float",
            &target,
            &field(DataType::Float64),
            Float64Array::from_iter_values(values),
            &names,
        );
    }
    let singles = Float32Array::from(vec![f32::MAX, f32::from_bits(1), 0.1]);
    let names = &["float4_max", "float4_tiny", "float4_tenth"];
    check("float", &PgType::Float4, &field(DataType::Float32), singles, names);
    let doubles = Float64Array::from(vec![f64::MAX, f64::from_bits(1), 0.1]);
    let names = &["float8_max", "float8_tiny", "float8_tenth"];
    check("float", &PgType::Float8, &field(DataType::Float64), doubles, names);
    check(
        "float",
        &PgType::Float8,
        &field(DataType::Float32),
        Float32Array::from(vec![0.1]),
        &["float8_float4_tenth"],
    );
    check(
        "float",
        &PgType::Float4,
        &field(DataType::Float16),
        Float16Array::from(vec![f16::MAX]),
        &["float4_half_max"],
    );
}

#[test]
fn integers_that_a_float_holds_exactly_become_floats() {
    let big = Int64Array::from(vec![9_007_199_254_740_992, 0]);
    check(
        "float",
        &PgType::Float8,
        &field(DataType::Int64),
        big,
        &["float8_big_integer", "float8_zero"],
    );
    let big = Int32Array::from(vec![16_777_216]);
    check(
        "float",
        &PgType::Float4,
        &field(DataType::Int32),
        big,
        &["float4_big_integer"],
    );
}

/// The same texts in every layout, into every target.
fn texts(target: &PgType, values: &[Option<&str>], names: &[&str]) {
    for layout in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        let array = cast(&StringArray::from(values.to_vec()), &layout).unwrap();
        check_with("text", target, &field(layout), array, names, &EncodeOptions::default());
    }
}

#[test]
fn texts_are_copied_from_every_layout_into_every_text_type() {
    let long = "0123456789".repeat(30);
    let values = [
        Some(""),
        Some("hello"),
        Some("grüß €𝄞"),
        Some(&long),
        None,
        Some("a\tb\\c\n"),
    ];
    let names = [
        "text_empty",
        "text_ascii",
        "text_unicode",
        "text_long",
        "text_null",
        "text_tab",
    ];
    for target in [PgType::Text, PgType::Varchar(None), PgType::Citext(TypeHome::default())] {
        texts(&target, &values, &names);
    }
    texts(
        &PgType::Varchar(Some(5)),
        &[Some("grüße"), Some("")],
        &["varchar_limit", "text_empty"],
    );
    texts(&PgType::Bpchar(Some(5)), &[Some("abcde")], &["bpchar_limit"]);
    texts(
        &PgType::Name,
        &[Some("pg_class"), Some(&"n".repeat(63))],
        &["name_some", "name_longest"],
    );
    check(
        "xml",
        &PgType::Xml,
        &field(DataType::Utf8),
        StringArray::from(vec!["<a>b</a>"]),
        &["xml_some"],
    );
    texts(
        &PgType::SingleChar,
        &[Some("a"), Some("\\141"), Some("")],
        &["char_a", "char_a", "char_zero"],
    );
    let labels = vec!["one".to_owned(), "zwei".to_owned()];
    let name = Ident::new("golden_enum").unwrap();
    let golden_enum = PgType::Enum(Arc::new(EnumType {
        name,
        home: TypeHome::default(),
        labels,
    }));
    texts(
        &golden_enum,
        &[Some("zwei"), None, Some("one")],
        &["enum_two", "null", "enum_one"],
    );
}

#[test]
fn json_goes_into_json_and_jsonb() {
    let object = "{\"a\": [1, null]}";
    texts(&PgType::Json, &[Some(object)], &["json_some"]);
    let jsonb = ["jsonb_number", "jsonb_string", "jsonb_object", "null"];
    texts(&PgType::Jsonb, &[Some("12"), Some("\"x\""), Some(object), None], &jsonb);
    texts(&PgType::JsonPath, &[Some("$.\"a\"")], &["jsonpath_some"]);
    let text = StringArray::from(vec!["12"]);
    check(
        "text",
        &PgType::Jsonb,
        &extended(DataType::Utf8, "arrow.json", ""),
        text,
        &["jsonb_number"],
    );
    let bytes = BinaryArray::from_vec(vec![b"12", b"\"x\""]);
    let field = extended(DataType::Binary, "json", "json-serialized");
    check("text", &PgType::Jsonb, &field, bytes, &["jsonb_number", "jsonb_string"]);
}

#[test]
fn a_nul_byte_is_left_out_or_replaced_when_the_option_says_so() {
    let array: ArrayRef = Arc::new(StringArray::from(vec![Some("he\0llo\0"), None, Some("hello")]));
    let options = EncodeOptions {
        nul_bytes: NulBytes::Strip,
        ..EncodeOptions::default()
    };
    let names = &["text_ascii", "null", "text_ascii"];
    check_with("text", &PgType::Text, &field(DataType::Utf8), array, names, &options);
}

#[test]
fn binaries_are_copied_from_every_layout() {
    let long = [0x00, 0xff].repeat(40);
    let values: Vec<Option<&[u8]>> = vec![Some(b""), Some(b"\x00\xff\x10"), Some(&long), None];
    let names = &["bytea_empty", "bytea_some", "bytea_long", "bytea_null"];
    for layout in [DataType::Binary, DataType::LargeBinary, DataType::BinaryView] {
        let array = cast(&BinaryArray::from(values.clone()), &layout).unwrap();
        check_with(
            "bytea",
            &PgType::Bytea,
            &field(layout),
            array,
            names,
            &EncodeOptions::default(),
        );
    }
    let counting: Vec<u8> = (0..16).collect();
    let fixed = FixedSizeBinaryArray::try_from_iter([counting.clone()].into_iter()).unwrap();
    check(
        "bytea",
        &PgType::Bytea,
        &field(DataType::FixedSizeBinary(16)),
        fixed,
        &["bytea_16"],
    );
}

#[test]
fn uuids_come_from_sixteen_bytes_or_text() {
    let counting: Vec<u8> = (0..16).collect();
    let values = vec![counting.as_slice(), &[0; 16], &[0xff; 16]];
    let names = &["uuid_counting", "uuid_nil", "uuid_max"];
    let fixed = FixedSizeBinaryArray::try_from_iter(values.iter()).unwrap();
    for field in [
        field(DataType::FixedSizeBinary(16)),
        extended(DataType::FixedSizeBinary(16), "arrow.uuid", ""),
        extended(DataType::FixedSizeBinary(16), "uuid", "uuid-serialized"),
    ] {
        check("uuid", &PgType::Uuid, &field, fixed.clone(), names);
    }
    check(
        "uuid",
        &PgType::Uuid,
        &field(DataType::Binary),
        BinaryArray::from_vec(values),
        names,
    );
    let texts = StringArray::from(vec![
        "00010203-0405-0607-0809-0A0B0C0D0E0F",
        "{00000000-0000-0000-0000-000000000000}",
        "ffffffffffff-ffffffffffffffffffff",
    ]);
    check("uuid", &PgType::Uuid, &field(DataType::Utf8), texts, names);
}
