//! Decimals of every width and scale, and integers as `numeric`.

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, i256};
use std::sync::Arc;

use super::literals::dollars;
use super::{batch, check, check_with, encode, field, plan_with};
use crate::codec::encode::{CellReason, EncodeOptions};
use crate::model::money::MoneyForm;
use crate::model::pg_type::{NumericMod, PgType};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    decimals_of_every_width_become_the_numeric_that_postgres_makes,
    integers_become_numeric,
    a_precision_and_scale_are_met_exactly,
    a_digit_that_does_not_fit_is_refused_and_never_rounded,
    decimals_into_money_are_amounts_and_integers_are_minor_units,
];

/// Unscaled digits, scale and golden case.
const VALUES: &[(&str, i8, &str)] = &[
    ("0", 0, "zero"),
    ("1", 0, "one"),
    ("-1", 0, "minus_one"),
    ("10000", 0, "ten_thousand"),
    ("99999999", 4, "group_border"),
    ("100005", 5, "interior"),
    ("123", 8, "small"),
    ("-5", 5, "tiny"),
    ("100000000", 0, "hundred_million"),
    ("10000000100000001", 8, "interior_groups"),
    ("123004500", 4, "trailing"),
    ("90100", 2, "price"),
    ("8", 2, "tax"),
    ("18446744073709551616", 0, "two64"),
    ("18446744073709551615", 0, "uint64_max"),
    ("-9223372036854775808", 0, "int64_min"),
    ("9223372036854775807", 0, "int64_max"),
    ("99999999999999999999999999999999999999", 0, "d38"),
    ("-99999999999999999999999999999999999999", 0, "md38"),
    ("99999999999999999999999999999999999999", 19, "d38s19"),
    (
        "9999999999999999999999999999999999999999999999999999999999999999999999999999",
        0,
        "d76",
    ),
    (
        "-9999999999999999999999999999999999999999999999999999999999999999999999999999",
        0,
        "md76",
    ),
    (
        "9999999999999999999999999999999999999999999999999999999999999999999999999999",
        38,
        "d76s38",
    ),
    ("1", 76, "s76"),
    ("12", -9, "e10"),
    ("1200", -7, "e10"),
    ("55340232221128654855", 0, "limb_carry"),
    ("1", -38, "e38"),
    (
        "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
        0,
        "i256_min",
    ),
    ("-170141183460469231731687303715884105728", 0, "i128_min"),
];

#[test]
fn decimals_of_every_width_become_the_numeric_that_postgres_makes() {
    for (digits, scale, case) in VALUES {
        let name = format!("numeric_{case}");
        let numeric = PgType::Numeric(None);
        let wide = i256::from_string(digits).unwrap();
        let decimal256 = DataType::Decimal256(76, *scale);
        let array = Decimal256Array::from(vec![wide]).with_data_type(decimal256.clone());
        check("numeric", &numeric, &field(decimal256), array, &[&name]);
        if let Some(value) = wide.to_i128().filter(|_| *scale <= 38) {
            let decimal128 = DataType::Decimal128(38, *scale);
            let array = Decimal128Array::from(vec![value]).with_data_type(decimal128.clone());
            check("numeric", &numeric, &field(decimal128), array, &[&name]);
        }
        if let Some(value) = wide
            .to_i128()
            .and_then(|v| i64::try_from(v).ok())
            .filter(|_| *scale <= 18)
        {
            let decimal64 = DataType::Decimal64(18, *scale);
            let array = Decimal64Array::from(vec![value]).with_data_type(decimal64.clone());
            check("numeric", &numeric, &field(decimal64), array, &[&name]);
        }
        if let Some(value) = wide
            .to_i128()
            .and_then(|v| i32::try_from(v).ok())
            .filter(|_| *scale <= 9)
        {
            let decimal32 = DataType::Decimal32(9, *scale);
            let array = Decimal32Array::from(vec![value]).with_data_type(decimal32.clone());
            check("numeric", &numeric, &field(decimal32), array, &[&name]);
        }
    }
}

#[test]
fn integers_become_numeric() {
    let unsigned = UInt64Array::from(vec![0, 10_000, u64::MAX]);
    let names = &["numeric_zero", "numeric_ten_thousand", "numeric_uint64_max"];
    check(
        "numeric",
        &PgType::Numeric(None),
        &field(DataType::UInt64),
        unsigned,
        names,
    );
    let signed = Int64Array::from(vec![i64::MIN, i64::MAX, -1]);
    let names = &["numeric_int64_min", "numeric_int64_max", "numeric_minus_one"];
    check(
        "numeric",
        &PgType::Numeric(None),
        &field(DataType::Int64),
        signed,
        names,
    );
    for source in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
    ] {
        let array = cast(&Int32Array::from(vec![0, 1]), &source).unwrap();
        let names = &["numeric_zero", "numeric_one"];
        check_with(
            "numeric",
            &PgType::Numeric(None),
            &field(source),
            array,
            names,
            &EncodeOptions::default(),
        );
    }
}

fn modified(precision: u16, scale: i16) -> PgType {
    PgType::Numeric(Some(NumericMod { precision, scale }))
}

#[test]
fn a_precision_and_scale_are_met_exactly() {
    let rows: &[(i128, i8, PgType, &str)] = &[
        (12345, 1, modified(10, 2), "numericmod_cents"),
        (1_234_500, 3, modified(10, 2), "numericmod_cents"),
        (12, 0, modified(10, 2), "numericmod_cents_int"),
        (12, -3, modified(4, -3), "numericmod_thousands"),
        (12_000, 0, modified(4, -3), "numericmod_thousands"),
        (0, 20, modified(10, 2), "numericmod_zero"),
        (9_999_999_999, 2, modified(10, 2), "numericmod_max"),
        (u64::MAX.into(), 0, modified(20, 0), "numericmod_u64"),
        (12, 4, modified(2, 4), "numericmod_small"),
    ];
    for (value, scale, target, name) in rows {
        let data_type = DataType::Decimal128(38, *scale);
        let array = Decimal128Array::from(vec![*value]).with_data_type(data_type.clone());
        check("numeric", target, &field(data_type), array, &[*name]);
    }
}

#[test]
fn a_digit_that_does_not_fit_is_refused_and_never_rounded() {
    let refused = [
        (
            1_234_567,
            3,
            modified(10, 2),
            "the value has more fraction digits than the column keeps",
        ),
        (
            1,
            38,
            modified(38, 37),
            "the value has more fraction digits than the column keeps",
        ),
        (
            10_000_000_000,
            2,
            modified(10, 2),
            "the value is outside the range of the type",
        ),
        (
            1_000_000_000,
            1,
            modified(10, 2),
            "the value is outside the range of the type",
        ),
        (
            12_001,
            0,
            modified(4, -3),
            "the value has more fraction digits than the column keeps",
        ),
        (
            i128::MAX,
            0,
            modified(38, 0),
            "the value is outside the range of the type",
        ),
        (
            i128::MAX,
            1,
            modified(1000, 0),
            "the value has more fraction digits than the column keeps",
        ),
        (1, -2, modified(2, 0), "the value is outside the range of the type"),
    ];
    for (value, scale, target, reason) in refused {
        let source = field(DataType::Decimal128(38, scale));
        let array: ArrayRef =
            Arc::new(Decimal128Array::from(vec![0, value]).with_data_type(source.data_type().clone()));
        let plan = plan_with(&source, &target, &EncodeOptions::default()).unwrap();
        let error = encode(&plan, &super::batch(&source, &array), 1 << 20).unwrap_err();
        assert_eq!(
            (error.row, error.reason.to_string().as_str()),
            (1, reason),
            "{value} e-{scale} into {target}"
        );
    }
}

#[test]
fn decimals_into_money_are_amounts_and_integers_are_minor_units() {
    for (scale, value) in [(2, 123_456_i128), (4, 12_345_600), (30, 123_456 * 10_i128.pow(28))] {
        let decimals = Decimal128Array::from(vec![value])
            .with_precision_and_scale(38, scale)
            .unwrap();
        let source = field(decimals.data_type().clone());
        check("int", &PgType::Money(dollars()), &source, decimals, &["money_cents"]);
    }
    let refused = |decimals: Decimal128Array| {
        let source = field(decimals.data_type().clone());
        let plan = plan_with(&source, &PgType::Money(dollars()), &EncodeOptions::default()).unwrap();
        let array: ArrayRef = Arc::new(decimals);
        encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err().reason
    };
    let of = |value: i128, scale| {
        Decimal128Array::from(vec![value])
            .with_precision_and_scale(38, scale)
            .unwrap()
    };
    assert!(matches!(refused(of(1, 3)), CellReason::Inexact(_)));
    assert_eq!(refused(of(10_i128.pow(37), 2)), CellReason::OutOfRange);
    assert_eq!(refused(of(10_i128.pow(18), -30)), CellReason::OutOfRange);
    let unknown = plan_with(
        &field(DataType::Utf8),
        &PgType::Money(MoneyForm::UNKNOWN),
        &EncodeOptions::default(),
    );
    assert!(unknown.unwrap_err().to_string().contains("lc_monetary"));
}
