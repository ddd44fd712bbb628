//! Dates, times, instants, durations and intervals in every unit, and their texts by a calendar of the tests' own.

use std::sync::Arc;

use arrow::datatypes::*;
use fastrand::Rng;

use super::column::{Column, Draw, primitive};

const DAY_MICROS: i64 = 86_400_000_000;
/// The first and the last day that Postgres holds, since 1970.
const DAYS: (i64, i64) = (-2_440_588, 2_145_042_905);
/// The first microsecond that Postgres holds, since 1970.
const FIRST_MICRO: i64 = -210_866_803_200_000_000;
/// The last second that Postgres holds; in microseconds it is above 64 bits.
const LAST_SECOND: i64 = 9_224_318_015_999;

/// Year (astronomical), month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that start on the first of March.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A date as Postgres writes it, with `middle` behind the day.
fn date_and(days: i64, middle: &str) -> String {
    match civil(days) {
        (year @ 1.., month, day) => format!("{year:04}-{month:02}-{day:02}{middle}"),
        (year, month, day) => format!("{:04}-{month:02}-{day:02}{middle} BC", 1 - year),
    }
}

fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:06}", micros % 1_000_000)
}

fn any_day(random: &mut Rng) -> i64 {
    match random.u8(..3) {
        0 => random.i64(DAYS.0..=DAYS.1),
        1 => random.i64(-719_162..2_900_000),
        _ => random.i64(-1_000..30_000),
    }
}

/// Ends, the epochs of Arrow and Postgres, and leap days.
const SEAMS: [i64; 9] = [DAYS.0, DAYS.1, 0, -1, 10_957, 10_956, 19_782, -719_162, -719_163];

pub(super) fn days(draw: &mut Draw, rows: usize) -> Column {
    let any = |random: &mut Rng| any_day(random) as i32;
    let extremes = SEAMS.map(|day| day as i32);
    primitive::<Date32Type>(draw, rows, DataType::Date32, &extremes, any, |day| {
        date_and(day.into(), "")
    })
}

pub(super) fn milliseconds_of_days(draw: &mut Draw, rows: usize) -> Column {
    let any = |random: &mut Rng| any_day(random) * 86_400_000;
    let extremes = SEAMS.map(|day| day * 86_400_000);
    primitive::<Date64Type>(draw, rows, DataType::Date64, &extremes, any, |count| {
        date_and(count / 86_400_000, "")
    })
}

/// Times of a day in a unit of so many nanoseconds.
pub(super) fn times<T: ArrowPrimitiveType>(draw: &mut Draw, rows: usize, unit_nanos: i64) -> Column
where
    T::Native: TryFrom<i64> + Into<i64>,
{
    let native = |micros: i64| T::Native::try_from(micros * 1_000 / unit_nanos).unwrap_or_default();
    let extremes = [0, 1, DAY_MICROS - 1, DAY_MICROS - 1_000_000, DAY_MICROS / 2, DAY_MICROS].map(native);
    let any = |random: &mut Rng| native(random.i64(0..DAY_MICROS));
    primitive::<T>(draw, rows, T::DATA_TYPE, &extremes, any, |count| {
        clock(count.into() * unit_nanos / 1_000)
    })
}

/// Where a unit's counts end: in Arrow's microseconds, in which columns are read by default, or in what Postgres holds.
fn first_and_last(unit_nanos: i64, beyond: bool) -> (i64, i64) {
    match unit_nanos {
        1 => (-i64::MAX / 1_000 * 1_000, i64::MAX / 1_000 * 1_000),
        1_000 => (FIRST_MICRO, i64::MAX),
        _ if beyond => {
            let in_a_second = 1_000_000_000 / unit_nanos;
            (
                FIRST_MICRO / (unit_nanos / 1_000),
                LAST_SECOND * in_a_second + in_a_second - 1,
            )
        }
        _ => (FIRST_MICRO / (unit_nanos / 1_000), i64::MAX / (unit_nanos / 1_000)),
    }
}

/// Instants in a unit of so many nanoseconds.
pub(super) fn instants<T: ArrowTimestampType>(
    draw: &mut Draw,
    rows: usize,
    unit_nanos: i64,
    zone: Option<&str>,
) -> Column {
    instants_between::<T>(draw, rows, unit_nanos, zone, first_and_last(unit_nanos, false))
}

/// Instants after those that Arrow's microseconds can count.
pub(super) fn late_instants<T: ArrowTimestampType>(draw: &mut Draw, rows: usize, unit_nanos: i64) -> Column {
    let (_, last) = first_and_last(unit_nanos, true);
    let (_, last_by_default) = first_and_last(unit_nanos, false);
    let column = instants_between::<T>(draw, rows, unit_nanos, None, (last_by_default + 1, last));
    column.only_asked()
}

fn instants_between<T: ArrowTimestampType>(
    draw: &mut Draw,
    rows: usize,
    unit_nanos: i64,
    zone: Option<&str>,
    (first, last): (i64, i64),
) -> Column {
    // Postgres keeps microseconds.
    let whole = |count: i64| if unit_nanos == 1 { count / 1_000 * 1_000 } else { count };
    let in_a_second = 1_000_000_000 / unit_nanos;
    let epoch_2000 = 946_684_800 * in_a_second;
    let seams = [
        first,
        last,
        0,
        -1,
        1,
        -in_a_second,
        epoch_2000,
        epoch_2000 - 1,
        whole(first / 2),
    ];
    let extremes: Vec<i64> = seams
        .map(whole)
        .into_iter()
        .filter(|count| (first..=last).contains(count))
        .collect();
    let any = |random: &mut Rng| {
        let count = random.i64(first..=last);
        let kept = random.u32(1..=64);
        whole(
            Some(count >> (64 - kept))
                .filter(|count| *count >= first)
                .unwrap_or(count),
        )
    };
    let zoned = if zone.is_some() { "+00" } else { "" };
    let text = |count: i64| {
        let seconds = count.div_euclid(in_a_second);
        let micros = i128::from(count.rem_euclid(in_a_second)) * i128::from(unit_nanos) / 1_000;
        let clock = clock(seconds.rem_euclid(86_400) * 1_000_000 + micros as i64);
        date_and(seconds.div_euclid(86_400), &format!(" {clock}{zoned}"))
    };
    let data_type = DataType::Timestamp(T::UNIT, zone.map(Arc::from));
    primitive::<T>(draw, rows, data_type, &extremes, any, text)
}

/// Durations that an interval of nanoseconds holds; or those above, that an interval of Postgres holds.
pub(super) fn durations<T: ArrowPrimitiveType<Native = i64>>(
    draw: &mut Draw,
    rows: usize,
    unit_nanos: i64,
    beyond: bool,
) -> Column {
    let last = if beyond && unit_nanos > 1 {
        i64::MAX / (unit_nanos / 1_000)
    } else {
        i64::MAX / unit_nanos
    };
    let whole = |count: i64| if unit_nanos == 1 { count / 1_000 * 1_000 } else { count };
    let first = (i64::MAX / unit_nanos).saturating_add(1);
    let extremes = if beyond {
        vec![last, -last, first, -first]
    } else {
        [last, -last, 0, 1_000, -1_000].map(whole).to_vec()
    };
    let any = |random: &mut Rng| match beyond {
        true => random.i64(first..=last),
        false => whole(random.i64(-last..=last) >> random.u32(..40)),
    };
    let text = |count: i64| match unit_nanos {
        1 => format!("{} microseconds", count / 1_000),
        1_000 => format!("{count} microseconds"),
        1_000_000 => format!("{count} milliseconds"),
        _ => format!("{count} seconds"),
    };
    let column = primitive::<T>(draw, rows, T::DATA_TYPE, &extremes, any, text);
    if beyond { column.only_asked() } else { column }
}

const PARTS: [i32; 5] = [i32::MIN, i32::MAX, 0, 1, -1];

fn part(random: &mut Rng) -> i32 {
    random.i32(..) >> random.u32(..32)
}

pub(super) fn months(draw: &mut Draw, rows: usize) -> Column {
    let ty = IntervalYearMonthType::DATA_TYPE;
    primitive::<IntervalYearMonthType>(draw, rows, ty, &PARTS, part, |months| format!("{months} months"))
}

pub(super) fn days_and_milliseconds(draw: &mut Draw, rows: usize) -> Column {
    let extremes: Vec<IntervalDayTime> = PARTS
        .iter()
        .flat_map(|days| PARTS.map(|milliseconds| IntervalDayTime::new(*days, milliseconds)))
        .collect();
    let any = |random: &mut Rng| IntervalDayTime::new(part(random), part(random));
    let text = |value: IntervalDayTime| format!("{} days {} milliseconds", value.days, value.milliseconds);
    primitive::<IntervalDayTimeType>(draw, rows, IntervalDayTimeType::DATA_TYPE, &extremes, any, text)
}

pub(super) fn months_days_nanos(draw: &mut Draw, rows: usize) -> Column {
    let last = i64::MAX / 1_000 * 1_000;
    let nanos = [last, -last, 0, 1_000, -1_000];
    let extremes: Vec<IntervalMonthDayNano> = PARTS
        .iter()
        .flat_map(|one| PARTS.map(|other| (*one, other)))
        .flat_map(|(months, days)| nanos.map(|nanos| IntervalMonthDayNano::new(months, days, nanos)))
        .collect();
    let any = |random: &mut Rng| {
        let nanos = random.i64(-last..=last) >> random.u32(..50);
        IntervalMonthDayNano::new(part(random), part(random), nanos / 1_000 * 1_000)
    };
    let text = |value: IntervalMonthDayNano| {
        let micros = value.nanoseconds / 1_000;
        format!("{} months {} days {micros} microseconds", value.months, value.days)
    };
    let ty = IntervalMonthDayNanoType::DATA_TYPE;
    primitive::<IntervalMonthDayNanoType>(draw, rows, ty, &extremes, any, text)
}
