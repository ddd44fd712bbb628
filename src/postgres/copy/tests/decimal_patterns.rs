//! Every way that digits can fall across base-10000 groups and the decimal point, read back by plain long arithmetic.
//!
//! Postgres' own bytes for chosen values are in `numeric.rs`; here the reading is ours, the number of cases the point.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal256Array};
use arrow::datatypes::{DataType, i256};

use super::{batch, encode, field, plan_with};
use crate::model::pg_type::PgType;
use crate::postgres::copy::EncodeOptions;

/// The number in a payload as sign and digits without leading zeros, and its scale without closing zeros.
fn read(payload: &[u8]) -> (bool, String, i32) {
    let word = |at: usize| i16::from_be_bytes([payload[at], payload[at + 1]]);
    let groups = word(0);
    assert_eq!(payload.len(), 8 + 2 * groups as usize);
    let mut digits = String::new();
    for group in 0..groups as usize {
        let value = word(8 + 2 * group);
        assert!((0..10_000).contains(&value));
        digits += &format!("{value:04}");
    }
    if groups > 0 {
        assert!(
            word(8) != 0 && word(6 + 2 * groups as usize) != 0,
            "no zero group at either end"
        );
    } else {
        assert_eq!(word(2), 0);
    }
    let scale = 4 * (i32::from(groups) - 1 - i32::from(word(2)));
    let (digits, scale) = normal(&digits, scale);
    (word(4) == 0x4000, digits, scale)
}

fn normal(digits: &str, scale: i32) -> (String, i32) {
    let trimmed = digits.trim_end_matches('0');
    if trimmed.trim_start_matches('0').is_empty() {
        return (String::new(), 0);
    }
    (
        trimmed.trim_start_matches('0').to_owned(),
        scale - (digits.len() - trimmed.len()) as i32,
    )
}

/// Encodes `values` at `scale` and compares each with what its payload reads as.
fn check(values: &[i256], scale: i8) {
    let source = field(DataType::Decimal256(76, scale));
    let array: ArrayRef = Arc::new(Decimal256Array::from(values.to_vec()).with_data_type(source.data_type().clone()));
    let plan = plan_with(&source, &PgType::Numeric(None), &EncodeOptions::default()).unwrap();
    let bytes = encode(&plan, &batch(&source, &array), 1 << 20).unwrap();
    let mut rest = bytes.as_slice();
    for value in values {
        let length = i32::from_be_bytes(rest[2..6].try_into().unwrap()) as usize;
        let payload = &rest[6..6 + length];
        let shown = i16::from_be_bytes([payload[6], payload[7]]);
        assert_eq!(i32::from(shown), i32::from(scale.max(0)), "display scale");
        let (negative, digits, found_scale) = read(payload);
        let text = value.to_string();
        let (digits_expected, scale_expected) = normal(text.trim_start_matches('-'), scale.into());
        let expected = (text.starts_with('-'), digits_expected, scale_expected);
        assert_eq!((negative, digits, found_scale), expected, "{value} e-{scale}");
        rest = &rest[6 + length..];
    }
    assert!(rest.is_empty());
}

#[test]
fn every_four_digit_group_keeps_its_place_across_the_point() {
    // A group's four digits before, across and behind the point, alone and with a digit on either side.
    let groups: Vec<i64> = (0..10_000).collect();
    for scale in 0..=8 {
        let alone = groups.iter().map(|group| i256::from(*group));
        let between = groups.iter().map(|group| i256::from(100_000_000_i64 + group * 100 + 1));
        let values: Vec<i256> = alone.chain(between).collect();
        check(&values, scale);
    }
}

#[test]
fn every_scale_and_length_is_exact_with_both_signs() {
    let mut random = fastrand::Rng::with_seed(7);
    for scale in -76..=76 {
        let mut values = vec![i256::from(0_i64), i256::MIN, i256::MAX];
        for length in 1..=76 {
            let nines = "9".repeat(length);
            let one = format!("1{}", "0".repeat(length - 1));
            let mixed: String = (0..length)
                .map(|_| if random.bool() { '0' } else { random.digit(10) })
                .collect();
            for text in [nines, one, format!("1{}", &mixed.chars().skip(1).collect::<String>())] {
                values.push(i256::from_string(&text).unwrap());
                values.push(i256::from_string(&format!("-{text}")).unwrap());
            }
        }
        check(&values, scale);
    }
}
