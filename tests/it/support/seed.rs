//! Randomness of fault tests: a seed that is printed, and replayed from `PGFLIGHT_FAULT_SEED`; the number of points from
//! `PGFLIGHT_FAULT_POINTS`.

use std::ops::Deref;
use std::time::{Duration, Instant};

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

/// What the random faults of one test may take in a short run.
const BUDGET: Duration = Duration::from_secs(40);

/// How many random faults to try: `PGFLIGHT_FAULT_POINTS`, or what a short run takes, and then no longer than [`BUDGET`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points {
    wanted: u64,
    until: Option<Instant>,
}

impl Points {
    pub(crate) fn short(short: u64) -> Self {
        let asked = std::env::var("PGFLIGHT_FAULT_POINTS").ok();
        match asked.map(|text| text.parse().expect("PGFLIGHT_FAULT_POINTS is a whole number")) {
            Some(wanted) => Self { wanted, until: None },
            None => Self {
                wanted: short,
                until: Some(Instant::now() + BUDGET),
            },
        }
    }

    /// Whether another one is due after so many.
    pub(crate) fn left(self, done: u64) -> bool {
        done < self.wanted && self.until.is_none_or(|until| Instant::now() < until)
    }

    /// The points, numbered.
    pub(crate) fn rounds(self) -> impl Iterator<Item = u64> {
        (0..self.wanted).take_while(move |done| self.left(*done))
    }

    /// Whether a long run was asked for.
    pub(crate) fn is_long(self) -> bool {
        self.until.is_none()
    }
}
