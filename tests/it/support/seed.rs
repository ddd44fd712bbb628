//! Randomness of fault tests: a seed that is printed, and replayed from `PGFLIGHT_FAULT_SEED`; the number of points from
//! `PGFLIGHT_FAULT_POINTS`.

use std::ops::Deref;

/// A seeded generator that prints its seed, so that the output of a failed test says how to run it again.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) seed: u64,
    rng: fastrand::Rng,
}

impl Dice {
    /// `name` tells the tests apart, so that one seed means other faults in each.
    pub(crate) fn throw(name: &str) -> Self {
        let seed = std::env::var("PGFLIGHT_FAULT_SEED").ok().map_or_else(
            || fastrand::u64(..),
            |text| text.parse().expect("PGFLIGHT_FAULT_SEED is a whole number"),
        );
        println!("{name}: to run this again set PGFLIGHT_FAULT_SEED={seed}");
        let salt = name
            .bytes()
            .fold(0_u64, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self {
            seed,
            rng: fastrand::Rng::with_seed(seed ^ salt),
        }
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    /// A number of this range.
    pub(crate) fn number(&mut self, range: impl std::ops::RangeBounds<u64>) -> u64 {
        self.rng.u64(range)
    }
}

impl Deref for Dice {
    type Target = fastrand::Rng;

    fn deref(&self) -> &fastrand::Rng {
        &self.rng
    }
}

/// How many random faults to try: `PGFLIGHT_FAULT_POINTS`, else what a short run takes.
pub(crate) fn points(short: u64) -> u64 {
    std::env::var("PGFLIGHT_FAULT_POINTS").map_or(short, |text| {
        text.parse().expect("PGFLIGHT_FAULT_POINTS is a whole number")
    })
}
