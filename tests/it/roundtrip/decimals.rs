//! Random decimals of every width, and their text.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, i256};

use super::Column;

fn decimal(digits: i256, scale: usize) -> String {
    let text = digits.to_string();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |digits| ("-", digits));
    format!("{sign}{digits}e-{scale}")
}

pub(super) fn decimals(random: &mut fastrand::Rng, rows: usize, data_type: DataType, bits: u32) -> Column {
    let scale = match data_type {
        DataType::Decimal64(_, s) | DataType::Decimal128(_, s) | DataType::Decimal256(_, s) => s as usize,
        _ => 0,
    };
    let values: Vec<Option<i256>> = (0..rows)
        .map(|_| {
            let wide = i256::from_parts(random.u128(..), random.i128(..));
            (random.u8(..) > 50).then(|| wide >> (255 - random.u32(1..=bits) as u8).clamp(1, 254))
        })
        .collect();
    let texts = values
        .iter()
        .map(|value| value.map(|value| decimal(value, scale)))
        .collect();
    let array: ArrayRef = match data_type {
        DataType::Decimal64(_, _) => {
            let narrow = values.iter().map(|v| v.map(|v| v.to_i128().unwrap_or_default() as i64));
            Arc::new(Decimal64Array::from_iter(narrow).with_data_type(data_type))
        }
        DataType::Decimal128(_, _) => {
            let narrow = values.iter().map(|v| v.map(|v| v.to_i128().unwrap_or_default()));
            Arc::new(Decimal128Array::from_iter(narrow).with_data_type(data_type))
        }
        _ => Arc::new(Decimal256Array::from_iter(values).with_data_type(data_type)),
    };
    Column { array, texts }
}
