//! What is rendered as text is what Postgres prints: the literals of the golden cases are in its own form.

use arrow::array::{AsArray, LargeStringArray, StringViewArray};
use arrow::datatypes::{DataType, Decimal256Type, DecimalType, Field, i256};

use super::*;
use crate::model::extension;

#[test]
fn texts_of_numbers_addresses_and_bits_are_those_of_postgres() {
    let rendered = [
        "numeric", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "timetz", "char",
    ];
    let mut checked = 0;
    for golden in goldens() {
        let family = golden.name.split('_').next().unwrap();
        let (Some(literal), Some(payload)) = (golden.literal, &golden.payload) else {
            continue;
        };
        if !rendered.contains(&family) {
            continue;
        }
        let ty = golden.ty.unwrap();
        let texts = as_type(&ty, DataType::Utf8, payload).unwrap_or_else(|fault| panic!("{}: {fault}", golden.name));
        assert_eq!(texts.as_string::<i32>().value(0), literal, "{}", golden.name);
        let large = as_type(&ty, DataType::LargeUtf8, payload).unwrap();
        assert_eq!(*large, LargeStringArray::from(vec![literal]) as LargeStringArray);
        let views = as_type(&ty, DataType::Utf8View, payload).unwrap();
        assert_eq!(*views, StringViewArray::from(vec![literal]) as StringViewArray);
        checked += 1;
    }
    assert!(checked > 55, "only {checked} cases were found");
}

#[test]
fn decimals_are_the_numbers_that_postgres_prints() {
    let mut checked = 0;
    for golden in goldens().iter().filter(|golden| golden.name.starts_with("numeric_")) {
        let (Some(literal), Some(payload)) = (golden.literal, &golden.payload) else {
            continue;
        };
        if literal.contains(['N', 'I']) {
            assert!(as_type(&PgType::Numeric(None), DataType::Decimal256(76, 0), payload).is_err());
            continue;
        }
        let scale = literal.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i8);
        let ty = DataType::Decimal256(76, scale);
        let digits = literal.bytes().filter(u8::is_ascii_digit).count();
        let read = as_type(&PgType::Numeric(None), ty, payload);
        if digits > 76 {
            continue;
        }
        let read = match read {
            Ok(read) => read,
            // 2^255 has 77 digits.
            Err(fault) => panic!("{}: {fault}", golden.name),
        };
        let value: i256 = read.as_primitive::<Decimal256Type>().value(0);
        assert_eq!(
            Decimal256Type::format_decimal(value, 76, scale),
            literal,
            "{}",
            golden.name
        );
        checked += 1;
    }
    assert!(checked > 25, "only {checked} cases were found");
}

#[test]
fn texts_are_given_as_they_are() {
    for (case, text) in [
        ("text_unicode", "grüß €𝄞"),
        ("json_some", r#"{"a": [1, null]}"#),
        ("jsonb_number", "12"),
    ] {
        let ty = type_of(case).unwrap();
        let read = as_type(&ty, DataType::Utf8, &golden(case)).unwrap();
        assert_eq!(read.as_string::<i32>().value(0), text, "{case}");
    }
    assert_eq!(as_type(&PgType::Text, DataType::Utf8, b"\xff"), Err(Fault::NotUtf8));
    assert_eq!(
        as_type(&PgType::Jsonb, DataType::Utf8, b"\x02{}"),
        Err(Fault::Malformed("the version is not 1"))
    );
    assert_eq!(as_type(&PgType::Jsonb, DataType::Utf8, b""), Err(Fault::Short));
}

#[test]
fn cloudquery_types_are_given_in_their_own_storage() {
    let field = |name: &str| Field::new("c", DataType::Binary, true).with_metadata([(extension::NAME, name)]);
    let bytes = |ty: PgType, name: &str, case: &str| {
        let read = one(&ty, field(name), &golden(case)).unwrap();
        read.as_binary::<i32>().value(0).to_vec()
    };
    assert_eq!(bytes(PgType::Inet, "inet", "inet_host"), b"192.168.0.1/32");
    assert_eq!(bytes(PgType::Inet, "inet", "inet_net"), b"192.168.0.1/24");
    assert_eq!(bytes(PgType::Inet, "inet", "inet_v6_loopback"), b"::1/128");
    assert_eq!(bytes(PgType::MacAddr, "mac", "macaddr_some"), [8, 0, 0x2b, 1, 2, 3]);
    assert_eq!(bytes(PgType::Jsonb, "json", "jsonb_object"), br#"{"a": [1, null]}"#);
    assert_eq!(bytes(PgType::Json, "json", "json_some"), br#"{"a": [1, null]}"#);
    assert!(
        refused(&PgType::Jsonb, DataType::Binary),
        "bytes without a meaning are not JSON"
    );
}
