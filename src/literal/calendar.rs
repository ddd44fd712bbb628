//! Days and civil dates of the proleptic Gregorian calendar, and their ISO text. Pure arithmetic in 64 bits, so that no
//! day that Arrow can hold overflows. The algorithm counts years from March, which puts the leap day last.

use std::io::Write;

use super::digits::put_digits;

/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const UNIX_SHIFT: i64 = 719_468;

/// Year (0 is 1 BC), month and day of a count of days since 1970-01-01.
pub(crate) fn civil(unix_days: i64) -> (i64, u32, u32) {
    let shifted = unix_days + UNIX_SHIFT;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month as u32,
        day as u32,
    )
}

/// Days since 1970-01-01 of a date, or nothing where there is no such day.
pub(crate) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * ERA_DAYS + day_of_era - UNIX_SHIFT)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Writes to memory, which does not fail.
pub(crate) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

/// Writes `YYYY-MM-DD` and says whether the year is before the common era, which Postgres marks with a closing ` BC`.
pub(crate) fn put_date(out: &mut Vec<u8>, unix_days: i64) -> bool {
    let (year, month, day) = civil(unix_days);
    let before = year <= 0;
    let year = if before { 1 - year } else { year };
    put_digits(out, year.unsigned_abs(), 4);
    out.push(b'-');
    put_digits(out, month.into(), 2);
    out.push(b'-');
    put_digits(out, day.into(), 2);
    before
}

/// Writes `HH:MM:SS` and a fraction of `sub` / 10^`digits` seconds without closing zeros.
pub(crate) fn put_time(out: &mut Vec<u8>, seconds: i64, sub: i64, digits: usize) {
    match u64::try_from(seconds) {
        Ok(seconds) => {
            put_digits(out, seconds / 3_600, 2);
            out.push(b':');
            put_digits(out, seconds / 60 % 60, 2);
            out.push(b':');
            put_digits(out, seconds % 60, 2);
        }
        // No time of a day; what is wrong with it is seen best as it is.
        Err(_) => put(
            out,
            format_args!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        ),
    }
    put_fraction(out, sub, digits);
}

/// Writes `.` and the digits of `sub` / 10^`digits` without closing zeros, or nothing for 0.
pub(crate) fn put_fraction(out: &mut Vec<u8>, sub: i64, digits: usize) {
    if sub != 0 {
        out.push(b'.');
        put_digits(out, sub.unsigned_abs(), digits);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{civil, days};

    #[test]
    fn days_and_dates_are_inverse_over_all_of_postgres_time() {
        for day in (-2_451_545..2_145_042_905).step_by(9_973).chain(-1_000..1_000) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), Some(day));
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        assert_eq!(days(2023, 2, 29), None);
        assert_eq!(days(1900, 2, 29), None);
        assert_eq!(days(2024, 13, 1), None);
        assert_eq!(days(2024, 4, 31), None);
    }
}
