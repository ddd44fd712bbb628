//! `numeric` as a decimal or a whole number of Arrow, exactly: what the Arrow type cannot hold without rounding is refused.
//!
//! Payload: `i16` number of base-10000 digit groups, `i16` weight of the first (in groups, 0 is the group left of the
//! point), `u16` sign, `u16` display scale, the groups. Postgres keeps no leading and no trailing zero groups.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Field, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};

use super::{numeric_text, text};
use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::sign;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    let ty = field.data_type();
    match ty {
        DataType::Decimal32(p, s) => decimal::<Decimal32Type>(ty, *p, *s),
        DataType::Decimal64(p, s) => decimal::<Decimal64Type>(ty, *p, *s),
        DataType::Decimal128(p, s) => decimal::<Decimal128Type>(ty, *p, *s),
        DataType::Decimal256(p, s) => {
            let (limit, scale) = (power256(*p), i32::from(*s));
            primitive::<Decimal256Type, _>(ty, move |payload| {
                let number = Number::read(payload)?;
                let magnitude = number.scaled::<i256>(scale)?;
                // Ten to the 76th is the largest power below the limit of the type.
                if limit.is_some_and(|limit| magnitude >= limit) {
                    return Err(Fault::OutOfRange);
                }
                Ok(if number.negative {
                    magnitude.wrapping_neg()
                } else {
                    magnitude
                })
            })
        }
        DataType::Int8 => whole::<Int8Type>(ty),
        DataType::Int16 => whole::<Int16Type>(ty),
        DataType::Int32 => whole::<Int32Type>(ty),
        DataType::Int64 => whole::<Int64Type>(ty),
        DataType::UInt8 => whole::<UInt8Type>(ty),
        DataType::UInt16 => whole::<UInt16Type>(ty),
        DataType::UInt32 => whole::<UInt32Type>(ty),
        DataType::UInt64 => whole::<UInt64Type>(ty),
        _ => text::rendered(ty, numeric_text::render),
    }
}

fn decimal<T>(ty: &DataType, precision: u8, scale: i8) -> Planned
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128>,
{
    let limit = 10i128.checked_pow(u32::from(precision)).ok_or(Refused::NoRule)?;
    primitive::<T, _>(ty, move |payload| {
        let value = Number::read(payload)?.signed(scale.into())?;
        if value.unsigned_abs() >= limit.unsigned_abs() {
            return Err(Fault::OutOfRange);
        }
        T::Native::try_from(value).map_err(|_| Fault::OutOfRange)
    })
}

fn whole<T>(ty: &DataType) -> Planned
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128>,
{
    primitive::<T, _>(ty, move |payload| {
        T::Native::try_from(Number::read(payload)?.signed(0)?).map_err(|_| Fault::OutOfRange)
    })
}

fn power256(precision: u8) -> Option<i256> {
    i256::from_i128(10).checked_pow(precision.into())
}

/// The parts of a finite number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    /// Whether it is below zero.
    pub(super) negative: bool,
    /// Power of 10000 of the first group.
    pub(super) weight: i32,
    /// Digits after the point that Postgres shows.
    pub(super) display_scale: u16,
    groups: &'a [[u8; 2]],
}

/// What a field of the type can hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read<'a> {
    Finite(Number<'a>),
    NotANumber,
    Infinite { negative: bool },
}

/// Reads the payload.
pub(super) fn read(payload: &[u8]) -> Result<Read<'_>, Fault> {
    let mut cursor = Cursor::new(payload);
    let count = cursor.u16()?;
    let weight = cursor.i16()?;
    let word = cursor.u16()?;
    let display_scale = cursor.u16()?;
    let bytes = cursor.take(usize::from(count) * 2)?;
    cursor.end()?;
    let (groups, _) = bytes.as_chunks::<2>();
    if groups.iter().any(|group| u16::from_be_bytes(*group) > 9_999) {
        return Err(Fault::Malformed("a digit group of a numeric is above 9999"));
    }
    let number = |negative| {
        Read::Finite(Number {
            negative,
            weight: weight.into(),
            display_scale,
            groups,
        })
    };
    match word {
        sign::POSITIVE => Ok(number(false)),
        sign::NEGATIVE => Ok(number(true)),
        sign::NAN => Ok(Read::NotANumber),
        sign::INFINITY => Ok(Read::Infinite { negative: false }),
        sign::MINUS_INFINITY => Ok(Read::Infinite { negative: true }),
        _ => Err(Fault::Malformed("the sign of a numeric is not known")),
    }
}

impl<'a> Number<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Fault> {
        match read(payload)? {
            Read::Finite(number) => Ok(number),
            Read::NotANumber => Err(Fault::NotANumber),
            Read::Infinite { .. } => Err(Fault::Infinite),
        }
    }

    /// The groups, most significant first.
    pub(super) fn groups(&self) -> impl ExactSizeIterator<Item = u16> + 'a {
        self.groups.iter().map(|group| u16::from_be_bytes(*group))
    }

    fn signed(&self, scale: i32) -> Result<i128, Fault> {
        let magnitude: i128 = self.scaled(scale)?;
        Ok(if self.negative { -magnitude } else { magnitude })
    }

    /// The number times ten to the power of `scale`, without its sign.
    fn scaled<M: Magnitude>(&self, scale: i32) -> Result<M, Fault> {
        let mut sum = M::ZERO;
        let mut place = 0;
        for (group, n) in self.groups().zip(0i32..) {
            place = (self.weight - n) * 4 + scale;
            let digits = u32::from(group);
            if place <= -4 {
                exact(digits == 0)?;
                continue;
            }
            // The group in which the scale ends is cut to the digits before that end.
            let kept = 4 + place.min(0);
            let cut = 10u32.pow(4 - kept.unsigned_abs());
            exact(digits % cut == 0)?;
            sum = sum.shift(kept.unsigned_abs(), digits / cut).ok_or(Fault::OutOfRange)?;
        }
        for _ in 0..place.max(0) {
            if sum == M::ZERO {
                break;
            }
            sum = sum.shift(1, 0).ok_or(Fault::OutOfRange)?;
        }
        Ok(sum)
    }
}

fn exact(nothing_lost: bool) -> Result<(), Fault> {
    if nothing_lost {
        Ok(())
    } else {
        Err(Fault::Inexact(
            "the value has more fraction digits than the type keeps; ask for a larger scale, or for Utf8",
        ))
    }
}

/// Numbers that digits are shifted into.
trait Magnitude: Copy + PartialEq {
    const ZERO: Self;
    /// `self * 10^places + digits`, unless that is too large.
    fn shift(self, places: u32, digits: u32) -> Option<Self>;
}

impl Magnitude for i128 {
    const ZERO: Self = 0;
    fn shift(self, places: u32, digits: u32) -> Option<Self> {
        self.checked_mul(10i128.pow(places))?.checked_add(digits.into())
    }
}

impl Magnitude for i256 {
    const ZERO: Self = i256::ZERO;
    fn shift(self, places: u32, digits: u32) -> Option<Self> {
        let factor = i256::from_i128(10i128.pow(places));
        self.checked_mul(factor)?.checked_add(i256::from_i128(digits.into()))
    }
}
