//! Every way that digits can fall across base-10000 groups and the decimal point, read back by plain long arithmetic.
//!
//! Postgres' own bytes for chosen values are in `numeric.rs`; here the reading is ours, the number of cases the point.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal256Array, PrimitiveArray};
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type, Decimal128Type, DecimalType, i256};

use super::{batch, encode, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::pg_type::PgType;

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

type Make = fn(&[i256], DataType) -> ArrayRef;

/// The widths of decimals, with the digits that each holds.
const WIDTHS: [(u8, Make); 4] = [
    (9, |values, ty| {
        narrow::<Decimal32Type>(values, ty, |value| value as i32)
    }),
    (18, |values, ty| {
        narrow::<Decimal64Type>(values, ty, |value| value as i64)
    }),
    (38, |values, ty| narrow::<Decimal128Type>(values, ty, |value| value)),
    (76, |values, ty| {
        Arc::new(Decimal256Array::from(values.to_vec()).with_data_type(ty))
    }),
];

fn narrow<T: DecimalType>(values: &[i256], data_type: DataType, cut: fn(i128) -> T::Native) -> ArrayRef {
    let values = values.iter().map(|value| cut(value.to_i128().unwrap()));
    Arc::new(PrimitiveArray::<T>::from_iter_values(values).with_data_type(data_type))
}

fn decimal(digits: u8, scale: i8) -> DataType {
    match digits {
        9 => DataType::Decimal32(digits, scale),
        18 => DataType::Decimal64(digits, scale),
        38 => DataType::Decimal128(digits, scale),
        _ => DataType::Decimal256(digits, scale),
    }
}

/// Encodes those of `values` that a width holds, and their opposites, at `scale`, and compares each with what its payload
/// reads as.
fn check(digits: u8, values: &[i256], scale: i8) {
    let make = WIDTHS.iter().find(|(width, _)| *width == digits).unwrap().1;
    let bound = i256::from_string(&format!("1{}", "0".repeat(digits.into()))).unwrap();
    let held = values.iter().filter(|value| **value < bound);
    let values: Vec<i256> = held.flat_map(|value| [*value, value.wrapping_neg()]).collect();
    check_all(&decimal(digits, scale), make, &values, scale);
}

fn check_all(data_type: &DataType, make: Make, values: &[i256], scale: i8) {
    let source = field(data_type.clone());
    let array = make(values, data_type.clone());
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
        assert_eq!(
            (negative, digits, found_scale),
            expected,
            "{value} e-{scale} as {data_type}"
        );
        rest = &rest[6 + length..];
    }
    assert!(rest.is_empty());
}

#[test]
fn every_four_digit_group_keeps_its_place_across_the_point() {
    // A group's four digits before, across and behind the point, alone and with a digit on either side.
    let alone = (0..10_000_i64).map(i256::from);
    let between = (0..10_000_i64).map(|group| i256::from(100_000_000_i64 + group * 100 + 1));
    let (alone, between): (Vec<i256>, Vec<i256>) = (alone.collect(), between.collect());
    for scale in -5..=8 {
        for digits in [38, 76] {
            check(digits, &alone, scale);
            check(digits, &between, scale);
        }
    }
}

#[test]
fn every_scale_and_length_is_exact_in_every_width_with_both_signs() {
    let mut random = fastrand::Rng::with_seed(7);
    for (digits, make) in WIDTHS {
        let most = digits as i8;
        for scale in -most..=most {
            let mut values = vec![i256::from(0_i64)];
            for length in 1..=usize::from(digits) {
                let nines = "9".repeat(length);
                let one = format!("1{}", "0".repeat(length - 1));
                let mixed: String = (1..length)
                    .map(|_| if random.bool() { '0' } else { random.digit(10) })
                    .collect();
                values.extend([nines, one, format!("1{mixed}")].map(|text| i256::from_string(&text).unwrap()));
            }
            check(digits, &values, scale);
            // What lies above the digits of the type but in its bits.
            let ends: &[i256] = match digits {
                9 => &[i256::from_i128(i32::MIN as i128), i256::from_i128(i32::MAX as i128)],
                18 => &[i256::from_i128(i64::MIN as i128), i256::from_i128(i64::MAX as i128)],
                38 => &[i256::from_i128(i128::MIN), i256::from_i128(i128::MAX)],
                _ => &[i256::MIN, i256::MAX],
            };
            check_all(&decimal(digits, scale), make, ends, scale);
        }
    }
}
