//! Damaged bytes for everything that reads bytes of strangers, on stable Rust: the targets of `fuzz/` with deterministic damage to
//! their seeds. A short run in every `make test`; with `PGFLIGHT_FUZZ_SECONDS` so long per target, with `PGFLIGHT_FAULT_SEED` the
//! same again. What was found once lies in `fuzz/regressions/<target>` and is read in every run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::seed::Dice;
use targets::{TARGETS, Target};

#[expect(unreachable_pub, reason = "the same file is a library's in fuzz/")]
#[path = "../../fuzz/src/seeds.rs"]
mod seeds;
#[expect(unreachable_pub, reason = "the same file is a library's in fuzz/")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// Of each target in a short run.
const SHORT: Duration = Duration::from_secs(2);
/// Bytes beyond which damage does not grow an input.
const LONGEST: usize = 1 << 16;
/// Lengths, counts and offsets that readers trip over.
const NUMBERS: [i64; 12] = [
    0,
    1,
    -1,
    7,
    8,
    127,
    128,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
    1 << 40,
];

fn regressions(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/regressions")
        .join(target)
}

fn found_before(target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(files) = fs::read_dir(regressions(target)) else {
        return Vec::new();
    };
    let files = files.map(|file| file.expect("a file").path());
    files
        .map(|file| (file.display().to_string(), fs::read(&file).expect("a readable file")))
        .collect()
}

fn time() -> Duration {
    std::env::var("PGFLIGHT_FUZZ_SECONDS").map_or(SHORT, |text| {
        Duration::from_secs(text.parse().expect("PGFLIGHT_FUZZ_SECONDS is a whole number"))
    })
}

/// Damages `input` a few times over; `other` is another seed to take parts from.
fn damage(mut input: Vec<u8>, other: &[u8], dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.number(0..4) {
        if input.is_empty() {
            input.extend_from_slice(other);
        }
        let place = |dice: &mut Dice, length: usize| dice.number(0..length.max(1) as u64) as usize;
        let at = place(dice, input.len());
        match dice.number(0..9) {
            0 | 1 => input[at] ^= 1 << place(dice, 8),
            2 => input[at] = dice.number(0..256) as u8,
            3 => number(&mut input, at & !3, dice),
            4 => number(&mut input, at, dice),
            5 => input.truncate(at),
            6 => {
                let end = at + place(dice, (input.len() - at).min(64));
                input.drain(at..end);
            }
            7 if input.len() < LONGEST => {
                let end = at + place(dice, (input.len() - at).min(256));
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let from = place(dice, other.len());
                let part: Vec<u8> = other.iter().skip(from).take(place(dice, 64)).copied().collect();
                let end = (at + part.len()).min(input.len());
                input.splice(at..end, part);
            }
        }
    }
    input
}

fn number(input: &mut [u8], at: usize, dice: &mut Dice) {
    let bytes = dice.pick(&NUMBERS).to_le_bytes();
    let width = dice.pick(&[2, 4, 8]);
    for (place, byte) in input.iter_mut().skip(at).zip(&bytes[..width]) {
        *place = *byte;
    }
}

/// Runs a target; what panics is kept beside the others, so that it is read in every run from then on.
fn survives(target: Target, name: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(target.name);
    let file = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, input))
        .expect("a writable target directory");
    panic!("{}, {name}: a finding, kept as {}", target.name, file.display());
}

fn attack(name: &str) {
    let target = *TARGETS.iter().find(|target| target.name == name).expect("a target");
    for (file, input) in found_before(name) {
        survives(target, &file.replace('/', "_"), &input);
    }
    let seeds = seeds::seeds(name);
    assert!(!seeds.is_empty(), "{name} has seeds");
    for (number, seed) in seeds.iter().enumerate() {
        survives(target, &format!("seed-{number}"), seed);
    }
    let mut dice = Dice::throw(name);
    let (started, time) = (Instant::now(), time());
    let mut rounds = 0_u64;
    let mut slowest = Duration::ZERO;
    while started.elapsed() < time {
        let one = seeds[dice.number(0..seeds.len() as u64) as usize].clone();
        let other = &seeds[dice.number(0..seeds.len() as u64) as usize];
        let input = damage(one, other, &mut dice);
        let began = Instant::now();
        survives(target, &format!("{}-{rounds}", dice.seed), &input);
        slowest = slowest.max(began.elapsed());
        rounds += 1;
    }
    println!(
        "{name}: {rounds} damaged inputs from {} seeds, the slowest took {slowest:?}",
        seeds.len()
    );
}

macro_rules! attacks {
    ($($test:ident: $target:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            attack($target);
        })*

        #[test]
        fn every_target_is_attacked_here_and_has_a_binary() {
            let attacked = [$($target),*];
            let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).expect("a manifest");
            assert!(TARGETS.iter().map(|target| target.name).eq(attacked));
            for name in attacked {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
            }
        }
    };
}

attacks! {
    flight_messages_of_strangers_are_read_or_refused: "flight_data",
    descriptors_and_tickets_of_strangers_are_read_or_refused: "descriptor",
    options_of_strangers_are_read_or_refused: "options",
    cloudquery_messages_of_strangers_are_read_or_refused: "cloudquery_write",
    rows_that_are_no_copy_are_refused: "copy_decode",
    connection_strings_are_read_or_refused_and_never_show_their_password: "dsn",
    configurations_are_read_or_refused: "config",
}
