//! Booleans, integers, floats and decimals of every width.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use fastrand::Rng;
use half::f16;

use super::column::{Column, Draw, primitive};

pub(super) fn booleans(draw: &mut Draw, rows: usize) -> Column {
    let values = draw.values(rows, &[], Rng::bool);
    Column::texts_of(Arc::new(BooleanArray::from(values.clone())), &values, bool::to_string)
}

/// Integers of any size, small ones as likely as large ones.
pub(super) fn integers<T>(draw: &mut Draw, rows: usize) -> Column
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128> + Display,
{
    let bits = 8 * size_of::<T::Native>() as u32;
    let signed = T::Native::try_from(-1).is_ok();
    let (first, last) = if signed {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    } else {
        (0, (1_i128 << bits) - 1)
    };
    let native = |number: i128| T::Native::try_from(number).unwrap_or_default();
    let extremes = [first, last, 0, 1, first + 1, last - 1, first.max(-1)].map(native);
    let any = |random: &mut Rng| native(random.i128(first..=last) >> random.u32(..bits));
    primitive::<T>(draw, rows, T::DATA_TYPE, &extremes, any, |value| value.to_string())
}

pub(super) fn halves(draw: &mut Draw, rows: usize) -> Column {
    let extremes = [
        f16::MAX,
        f16::MIN,
        f16::MIN_POSITIVE_SUBNORMAL,
        f16::EPSILON,
        f16::ZERO,
        f16::NEG_ZERO,
        f16::INFINITY,
        f16::NEG_INFINITY,
        f16::NAN,
    ];
    let any = |random: &mut Rng| {
        Some(f16::from_bits(random.u16(..)))
            .filter(|half| !half.is_nan())
            .unwrap_or(f16::ONE)
    };
    let text = |value: f16| format!("{:?}", f32::from(value));
    primitive::<Float16Type>(draw, rows, DataType::Float16, &extremes, any, text)
}

pub(super) fn singles(draw: &mut Draw, rows: usize) -> Column {
    let smallest = f32::from_bits(1);
    let extremes = [
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        smallest,
        f32::EPSILON,
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        16_777_217.0,
    ];
    let any = |random: &mut Rng| f32::from_bits(random.u32(..));
    let text = |value: f32| format!("{value:?}");
    primitive::<Float32Type>(draw, rows, DataType::Float32, &extremes, any, text)
}

pub(super) fn doubles(draw: &mut Draw, rows: usize) -> Column {
    let smallest = f64::from_bits(1);
    let extremes = [
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        smallest,
        f64::EPSILON,
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        9_007_199_254_740_993.0,
    ];
    let any = |random: &mut Rng| f64::from_bits(random.u64(..));
    let text = |value: f64| format!("{value:?}");
    primitive::<Float64Type>(draw, rows, DataType::Float64, &extremes, any, text)
}

/// Decimals of every length up to `precision`.
pub(super) fn decimals<T>(draw: &mut Draw, rows: usize, precision: u8, scale: i8) -> Column
where
    T: DecimalType,
    T::Native: Narrow,
{
    let digits = |digits: String| T::Native::narrow(i256::from_string(&digits).expect("digits of a decimal"));
    let nines = "9".repeat(precision.into());
    let one_and_zeros = format!("1{}", "0".repeat(usize::from(precision) - 1));
    let extremes = [
        nines.clone(),
        format!("-{nines}"),
        one_and_zeros,
        "0".into(),
        "1".into(),
        "-1".into(),
    ]
    .map(digits);
    let any = |random: &mut Rng| {
        let sign = if random.bool() { "-" } else { "" };
        let count = random.usize(1..=precision.into());
        let number: String = (0..count)
            .map(|_| if random.u8(..4) == 0 { '0' } else { random.digit(10) })
            .collect();
        digits(format!("{sign}{number}"))
    };
    let text = |value: T::Native| format!("{}e{}", value.shown(), -i32::from(scale));
    primitive::<T>(draw, rows, T::TYPE_CONSTRUCTOR(precision, scale), &extremes, any, text)
}

/// Numbers that decimals of each width are made of.
pub(super) trait Narrow: Sized {
    fn narrow(wide: i256) -> Self;
    fn shown(&self) -> String;
}

macro_rules! narrow {
    ($($native:ty),*) => {$(
        impl Narrow for $native {
            fn narrow(wide: i256) -> Self {
                wide.to_i128().and_then(|wide| Self::try_from(wide).ok()).expect("a number of that width")
            }

            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

narrow!(i32, i64, i128);

impl Narrow for i256 {
    fn narrow(wide: i256) -> Self {
        wide
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}
