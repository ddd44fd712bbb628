//! The arithmetic of `numeric` payloads: from an unscaled integer and its scale to base-10000 groups.
//!
//! Multiplying by a power of ten below 10000 brings the decimal point to a group border; the rest is base conversion.
//! Magnitudes below 2^64 / 1000 (all of TPC-H) take a path of `u64` divisions by constants; wider ones long division.

use crate::codec::encode::error::CellReason;
use crate::codec::wire::sign;
use crate::model::pg_type::NumericMod;

/// Groups of the widest magnitude: 2^256 x 1000 has 81 digits.
const MAX_GROUPS: usize = 21;
const SMALL_MAX: u64 = u64::MAX / 1000;
/// Bytes of the field of a magnitude of one word: length, header and five groups.
const SMALL_FIELD: usize = 4 + 8 + 2 * 5;
const GROUP: u64 = 10_000;

/// An unscaled value without its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec::encode) enum Magnitude {
    /// Fits a machine word.
    Small(u64),
    /// `high * 2^128 + low`.
    Wide { high: u128, low: u128 },
}

/// How values of one scale become payloads for one target.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec::encode) struct NumericShape {
    /// Brings the point to a group border: 1, 10, 100 or 1000.
    multiplier: u64,
    /// Groups right of the point after that; negative where the value ends left of it.
    fraction_groups: i32,
    display_scale: u16,
    /// The magnitude must be below this, `(high, low)`; `None` where every magnitude is.
    limit: Option<(u128, u128)>,
    /// The magnitude must be a multiple of ten to this power.
    zero_digits: u32,
    /// Magnitudes below this need no look at `limit` and take the short way.
    small_below: u64,
    /// Ten to the power of `zero_digits`, where that fits.
    small_multiple: Option<u64>,
}

impl NumericShape {
    /// Bytes of the largest payload.
    pub(in crate::codec::encode) const MAX_PAYLOAD: usize = 8 + 2 * MAX_GROUPS;

    /// For values of `scale`, into `numeric` or `numeric(p,s)`.
    pub(in crate::codec::encode) fn new(scale: i32, modifier: Option<NumericMod>) -> Self {
        let fraction_groups = scale.div_euclid(4) + i32::from(scale.rem_euclid(4) != 0);
        let (target_scale, limit) = match modifier {
            Some(modifier) => {
                let target = i32::from(modifier.scale);
                (target, power(i32::from(modifier.precision) - target + scale))
            }
            None => (scale, None),
        };
        let zero_digits = u32::try_from(scale - target_scale).unwrap_or(0);
        Self {
            multiplier: 10u64.pow((fraction_groups * 4 - scale).unsigned_abs()),
            fraction_groups,
            display_scale: u16::try_from(target_scale.max(0)).unwrap_or(u16::MAX),
            limit,
            zero_digits,
            small_below: match limit {
                Some((0, limit)) => u64::try_from(limit).unwrap_or(u64::MAX).min(SMALL_MAX),
                _ => SMALL_MAX,
            },
            small_multiple: 10u64.checked_pow(zero_digits),
        }
    }

    /// The field of a magnitude that the target is seen to hold at once, and its size; `None` says nothing about the value.
    #[inline]
    pub(in crate::codec::encode) fn small_field(&self, negative: bool, low: u64) -> Option<([u8; SMALL_FIELD], usize)> {
        let is_multiple = match self.small_multiple {
            Some(1) => true,
            Some(power) => low.is_multiple_of(power),
            None => false,
        };
        if low >= self.small_below || !is_multiple {
            return None;
        }
        let (mut rest, mut groups, mut count) = (low * self.multiplier, 0u128, 0u32);
        while rest > 0 {
            groups |= u128::from(rest % GROUP) << (16 * count);
            rest /= GROUP;
            count += 1;
        }
        let (mut kept, mut weight) = (0, 0);
        if count > 0 {
            // A group of zero is sixteen zero bits.
            kept = count - groups.trailing_zeros() / 16;
            weight = count as i32 - 1 - self.fraction_groups;
            groups <<= 128 - 16 * count;
        }
        let sign = if negative { sign::NEGATIVE } else { sign::POSITIVE };
        let mut field = [0; SMALL_FIELD];
        field[..4].copy_from_slice(&(8 + 2 * kept).to_be_bytes());
        let header = [kept as u16, weight as u16, sign, self.display_scale];
        for (bytes, word) in field[4..12].chunks_exact_mut(2).zip(header) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        field[12..].copy_from_slice(&groups.to_be_bytes()[..SMALL_FIELD - 12]);
        Some((field, 12 + 2 * kept as usize))
    }

    /// Whether the target holds the value exactly.
    pub(in crate::codec::encode) fn check(&self, magnitude: Magnitude) -> Result<(), CellReason> {
        if let Some(limit) = self.limit {
            let parts = match magnitude {
                Magnitude::Small(low) => (0, u128::from(low)),
                Magnitude::Wide { high, low } => (high, low),
            };
            if parts >= limit {
                return Err(CellReason::OutOfRange);
            }
        }
        if self.zero_digits > 0 && !self.is_multiple(magnitude) {
            return Err(CellReason::Inexact(
                "the value has more fraction digits than the column keeps",
            ));
        }
        Ok(())
    }

    fn is_multiple(&self, magnitude: Magnitude) -> bool {
        match magnitude {
            Magnitude::Small(0) => true,
            Magnitude::Small(low) => self.zero_digits < 20 && low.is_multiple_of(10u64.pow(self.zero_digits)),
            Magnitude::Wide { .. } => {
                let mut groups = [0; MAX_GROUPS];
                let count = wide_groups(magnitude, 1, &mut groups);
                let zeros = groups[..count].iter().take_while(|group| **group == 0).count();
                let partial = groups[zeros..count].first().map_or(0, |group| trailing_zeros(*group));
                (zeros as u32) * 4 + partial >= self.zero_digits
            }
        }
    }

    /// Payload size of a value that passed the check.
    pub(in crate::codec::encode) fn size(&self, magnitude: Magnitude) -> usize {
        if let Magnitude::Small(low @ ..=SMALL_MAX) = magnitude {
            return 8 + 2 * small_count(low * self.multiplier);
        }
        let mut groups = [0; MAX_GROUPS];
        let count = wide_groups(magnitude, self.multiplier, &mut groups);
        8 + 2 * groups[..count].iter().skip_while(|group| **group == 0).count()
    }

    /// Writes the payload to the front of `out` and returns its size.
    pub(in crate::codec::encode) fn put(&self, negative: bool, magnitude: Magnitude, out: &mut [u8]) -> usize {
        let mut groups = [0; MAX_GROUPS];
        let count = match magnitude {
            Magnitude::Small(low @ ..=SMALL_MAX) => small_groups(low * self.multiplier, &mut groups),
            wide => wide_groups(wide, self.multiplier, &mut groups),
        };
        self.put_groups(negative, &groups[..count], out)
    }

    /// `groups` has the least significant group first and no zero at its end.
    fn put_groups(&self, negative: bool, groups: &[u16], out: &mut [u8]) -> usize {
        let zeros = groups.iter().take_while(|group| **group == 0).count();
        let kept = &groups[zeros..];
        let weight = if kept.is_empty() {
            0
        } else {
            groups.len() as i32 - 1 - self.fraction_groups
        };
        let sign = if negative { sign::NEGATIVE } else { sign::POSITIVE };
        let (head, tail) = out.split_at_mut(8);
        head[..2].copy_from_slice(&(kept.len() as u16).to_be_bytes());
        head[2..4].copy_from_slice(&(weight as i16).to_be_bytes());
        head[4..6].copy_from_slice(&sign.to_be_bytes());
        head[6..].copy_from_slice(&self.display_scale.to_be_bytes());
        for (bytes, group) in tail.chunks_exact_mut(2).zip(kept.iter().rev()) {
            bytes.copy_from_slice(&group.to_be_bytes());
        }
        8 + 2 * kept.len()
    }
}

/// Appends the four words that open every payload.
pub(super) fn put_header(out: &mut Vec<u8>, groups: u16, weight: i16, sign: u16, display_scale: u16) {
    out.extend_from_slice(&groups.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&display_scale.to_be_bytes());
}

/// Number of groups without leading and trailing zero groups.
fn small_count(mut value: u64) -> usize {
    if value == 0 {
        return 0;
    }
    while value.is_multiple_of(GROUP) {
        value /= GROUP;
    }
    match value {
        0..10_000 => 1,
        10_000..100_000_000 => 2,
        100_000_000..1_000_000_000_000 => 3,
        1_000_000_000_000..10_000_000_000_000_000 => 4,
        _ => 5,
    }
}

/// Groups of `value`, least significant first; returns their number.
fn small_groups(mut value: u64, groups: &mut [u16; MAX_GROUPS]) -> usize {
    let mut count = 0;
    while value > 0 {
        groups[count] = (value % GROUP) as u16;
        value /= GROUP;
        count += 1;
    }
    count
}

/// Groups of `magnitude * multiplier`, least significant first; returns their number.
fn wide_groups(magnitude: Magnitude, multiplier: u64, groups: &mut [u16; MAX_GROUPS]) -> usize {
    let (high, low) = match magnitude {
        Magnitude::Small(low) => (0, u128::from(low)),
        Magnitude::Wide { high, low } => (high, low),
    };
    let mut limbs = [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64, 0];
    let mut carry = 0u128;
    for limb in &mut limbs {
        let product = u128::from(*limb) * u128::from(multiplier) + carry;
        *limb = product as u64;
        carry = product >> 64;
    }
    let mut used = limbs.len();
    let mut count = 0;
    loop {
        while used > 0 && limbs[used - 1] == 0 {
            used -= 1;
        }
        if used == 0 {
            return count;
        }
        let mut remainder = 0u128;
        for limb in limbs[..used].iter_mut().rev() {
            let dividend = (remainder << 64) | u128::from(*limb);
            *limb = (dividend / u128::from(GROUP)) as u64;
            remainder = dividend % u128::from(GROUP);
        }
        groups[count] = remainder as u16;
        count += 1;
    }
}

fn trailing_zeros(group: u16) -> u32 {
    match group {
        group if group % 10 != 0 => 0,
        group if group % 100 != 0 => 1,
        group if group % 1000 != 0 => 2,
        _ => 3,
    }
}

/// `10^exponent` as `(high, low)`; below 0 only zero is smaller, from 78 on every 256-bit magnitude is.
fn power(exponent: i32) -> Option<(u128, u128)> {
    let mut parts = (0u128, 1u128);
    for _ in 0..exponent.clamp(0, 78) {
        // times ten: 8x + 2x over two words
        let (low, carry) = mul10(parts.1);
        parts = (parts.0.checked_mul(10)?.checked_add(carry)?, low);
    }
    Some(parts)
}

fn mul10(word: u128) -> (u128, u128) {
    let low = (word & u128::from(u64::MAX)) * 10;
    let high = (word >> 64) * 10 + (low >> 64);
    ((high << 64) | (low & u128::from(u64::MAX)), high >> 64)
}
