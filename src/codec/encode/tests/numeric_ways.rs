//! The two ways to a `numeric` field, the one for values of a machine word and the one for all, make the same bytes and take the same values.

use crate::codec::encode::types::numeric_shape::{Magnitude, NumericShape};
use crate::model::pg_type::NumericMod;

/// Values of every number of digits, with zeros at both ends, and the borders between sizes.
fn magnitudes() -> Vec<u64> {
    let mut all = vec![0, u64::MAX / 1000 - 1, u64::MAX / 1000, u64::MAX / 1000 + 1, u64::MAX];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for digits in 0..20 {
        let power = 10_u64.pow(digits);
        all.extend([power, power - 1, power.saturating_add(1)]);
        for _ in 0..50 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 11) % power.saturating_mul(10).max(2);
            all.extend([value, value - value % 10_000, value - value % 100]);
        }
    }
    all
}

#[test]
fn a_value_of_one_word_is_written_as_the_long_way_writes_it() {
    let modifiers = [
        None,
        Some((15, 2)),
        Some((4, 4)),
        Some((38, 0)),
        Some((20, 10)),
        Some((3, -2)),
    ];
    let (mut short, mut long) = (0, 0);
    for modifier in modifiers.map(|m| m.map(|(precision, scale)| NumericMod { precision, scale })) {
        for scale in [0, 1, 2, 3, 4, 5, 8, 10, 19, 38, -1, -3, -4] {
            let shape = NumericShape::new(scale, modifier);
            for low in magnitudes() {
                let magnitude = Magnitude::Small(low);
                let Some((field, size)) = shape.small_field(low % 2 == 1, low) else {
                    long += 1;
                    continue;
                };
                short += 1;
                assert_eq!(
                    shape.check(magnitude),
                    Ok(()),
                    "{low} of scale {scale} into {modifier:?}"
                );
                let mut payload = [0; NumericShape::MAX_PAYLOAD];
                let length = shape.put(low % 2 == 1, magnitude, &mut payload);
                assert_eq!(field[..4], (length as u32).to_be_bytes(), "{low} of scale {scale}");
                assert_eq!(
                    field[4..size],
                    payload[..length],
                    "{low} of scale {scale} into {modifier:?}"
                );
            }
        }
    }
    assert!(short > 50_000 && long > 1_000, "{short} and {long}");
}
