//! Dates, times, timestamps, durations and intervals in every unit.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano, IntervalUnit, TimeUnit};

use super::{check, check_with, field};
use crate::codec::encode::EncodeOptions;
use crate::model::interval_limit::IntervalLimit;
use crate::model::options::TypeProfile;
use crate::model::pg_type::PgType;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    dates_count_days_in_both_widths,
    times_of_day_come_in_every_unit,
    timestamps_come_in_every_unit_with_and_without_a_zone,
    timestamps_reach_the_first_and_the_last_instant_of_postgres,
    nanoseconds_are_floored_only_under_the_cloudquery_profile,
    durations_are_intervals_of_microseconds,
    intervals_are_read_from_the_form_that_documents_have,
    intervals_keep_months_days_and_time_apart,
    intervals_go_into_limited_columns_where_nothing_is_lost,
];

const UNITS: [(TimeUnit, &str, i64); 4] = [
    (TimeUnit::Second, "second", 1),
    (TimeUnit::Millisecond, "milli", 1_000),
    (TimeUnit::Microsecond, "micro", 1_000_000),
    (TimeUnit::Nanosecond, "micro", 1_000_000_000),
];
/// 2024-02-29 12:34:56 as seconds since 1970, and what its case adds below a second, in microseconds.
const LEAP: i64 = 1_709_210_096;

fn below(case: &str) -> i64 {
    match case {
        "milli" => 789_000,
        "micro" => 789_012,
        _ => 0,
    }
}

#[test]
fn dates_count_days_in_both_widths() {
    let days = vec![0, 10_957, 19_782, -1, -2_440_588, 2_145_042_905, -719_528];
    let names = &[
        "date_unix",
        "date_pg",
        "date_leap",
        "date_before",
        "date_first",
        "date_last",
        "date_bc",
    ];
    check(
        "date",
        &PgType::Date,
        &field(DataType::Date32),
        Date32Array::from(days.clone()),
        names,
    );
    let milliseconds = Date64Array::from_iter_values(days.iter().map(|day| i64::from(*day) * 86_400_000));
    check("date", &PgType::Date, &field(DataType::Date64), milliseconds, names);
    let midnight = Date32Array::from(vec![19_782]);
    check(
        "timestamp",
        &PgType::Timestamp(None),
        &field(DataType::Date32),
        midnight,
        &["timestamp_midnight"],
    );
}

#[test]
fn times_of_day_come_in_every_unit() {
    for (unit, case, per_second) in UNITS {
        let sub = below(case) * per_second / 1_000_000;
        let values = Int64Array::from(vec![
            0,
            (12 * 3600 + 34 * 60 + 56) * per_second + sub,
            86_400 * per_second,
        ]);
        let data_type = match unit {
            TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
            TimeUnit::Microsecond | TimeUnit::Nanosecond => DataType::Time64(unit),
        };
        let array = match unit {
            TimeUnit::Second | TimeUnit::Millisecond => {
                cast(&cast(&values, &DataType::Int32).unwrap(), &data_type).unwrap()
            }
            _ => cast(&values, &data_type).unwrap(),
        };
        let names = &["time_midnight", &format!("time_{case}"), "time_24"];
        check_with(
            "time",
            &PgType::Time(None),
            &field(data_type),
            array,
            names,
            &EncodeOptions::default(),
        );
    }
    let exact = Time32MillisecondArray::from(vec![45_296_789]);
    check(
        "time",
        &PgType::Time(Some(3)),
        &field(DataType::Time32(TimeUnit::Millisecond)),
        exact,
        &["time3_milli"],
    );
}

#[test]
fn timestamps_come_in_every_unit_with_and_without_a_zone() {
    for (unit, case, per_second) in UNITS {
        let sub = below(case) * per_second / 1_000_000;
        let before = if case == "micro" { -per_second / 1_000_000 } else { -1 };
        let values = vec![
            Some(0),
            Some(946_684_800 * per_second),
            Some(LEAP * per_second + sub),
            Some(before),
            None,
        ];
        let before = match case {
            "second" => "before_second",
            "milli" => "before_milli",
            _ => "before",
        };
        for zone in [None, Some("UTC"), Some("+05:30"), Some("Europe/Berlin")] {
            let data_type = DataType::Timestamp(unit, zone.map(Arc::from));
            let array = cast(&Int64Array::from(values.clone()), &data_type).unwrap();
            for (prefix, target) in [
                ("timestamp", PgType::Timestamp(None)),
                ("timestamptz", PgType::TimestampTz(None)),
            ] {
                let names = ["unix", "pg", case, before].map(|name| format!("{prefix}_{name}"));
                let names = [&names[0], &names[1], &names[2], &names[3], "null"];
                let options = EncodeOptions::default();
                check_with(
                    "timestamp",
                    &target,
                    &field(data_type.clone()),
                    array.clone(),
                    &names,
                    &options,
                );
            }
        }
    }
}

#[test]
fn timestamps_reach_the_first_and_the_last_instant_of_postgres() {
    const FIRST_SECOND: i64 = -210_866_803_200;
    // What 64 bits of nanoseconds count lies within, and so does the last microsecond.
    let whole_nanos = i64::MAX / 1_000 * 1_000;
    let ends = [
        (
            TimeUnit::Second,
            [FIRST_SECOND, 9_224_318_015_999],
            ["first", "last_second"],
        ),
        (
            TimeUnit::Millisecond,
            [FIRST_SECOND * 1_000, 9_224_318_015_999_999],
            ["first", "last_milli"],
        ),
        (
            TimeUnit::Microsecond,
            [FIRST_SECOND * 1_000_000, i64::MAX],
            ["first", "last_micro"],
        ),
        (
            TimeUnit::Nanosecond,
            [-whole_nanos, whole_nanos],
            ["first_nano", "last_nano"],
        ),
    ];
    for (unit, values, names) in ends {
        for (zone, prefix, target) in [
            (None, "timestamp", PgType::Timestamp(None)),
            (Some("UTC"), "timestamptz", PgType::TimestampTz(None)),
        ] {
            let data_type = DataType::Timestamp(unit, zone.map(Arc::from));
            let array = cast(&Int64Array::from(values.to_vec()), &data_type).unwrap();
            let names = names.map(|name| format!("{prefix}_{name}"));
            let options = EncodeOptions::default();
            check_with(
                "timestamp",
                &target,
                &field(data_type),
                array,
                &[&names[0], &names[1]],
                &options,
            );
        }
    }
    let exact = TimestampMillisecondArray::from(vec![LEAP * 1_000 + 789]);
    let source = field(DataType::Timestamp(TimeUnit::Millisecond, None));
    check(
        "timestamp",
        &PgType::Timestamp(Some(3)),
        &source,
        exact,
        &["timestamp3_milli"],
    );
}

#[test]
fn nanoseconds_are_floored_only_under_the_cloudquery_profile() {
    let options = EncodeOptions {
        type_profile: TypeProfile::Cloudquery,
        ..EncodeOptions::default()
    };
    let values = vec![LEAP * 1_000_000_000 + 789_012_999, -1];
    let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(values));
    let source = field(DataType::Timestamp(TimeUnit::Nanosecond, None));
    let names = &["timestamp_micro", "timestamp_before"];
    check_with("timestamp", &PgType::Timestamp(None), &source, array, names, &options);
}

#[test]
fn durations_are_intervals_of_microseconds() {
    let cases: [(TimeUnit, &[(i64, &str)]); 4] = [
        (
            TimeUnit::Second,
            &[
                (90, "interval_second"),
                (360_000_000, "interval_hours"),
                (0, "interval_zero"),
                (9_223_372_036_854, "interval_max_seconds"),
                (-9_223_372_036_854, "interval_min_seconds"),
            ],
        ),
        (
            TimeUnit::Millisecond,
            &[
                (90_000, "interval_second"),
                (-1_500, "interval_milli"),
                (i64::MAX / 1_000, "interval_max_millis"),
                (-(i64::MAX / 1_000), "interval_min_millis"),
            ],
        ),
        (
            TimeUnit::Microsecond,
            &[
                (1, "interval_micro"),
                (i64::MAX, "interval_max_micros"),
                (i64::MIN, "interval_min_micros"),
            ],
        ),
        (
            TimeUnit::Nanosecond,
            &[
                (1_000, "interval_micro"),
                (-1_500_000_000, "interval_milli"),
                (i64::MAX / 1_000 * 1_000, "interval_max_nanos"),
                (-(i64::MAX / 1_000 * 1_000), "interval_min_nanos"),
            ],
        ),
    ];
    for (unit, rows) in cases {
        let data_type = DataType::Duration(unit);
        let values: Int64Array = rows.iter().map(|(value, _)| Some(*value)).collect();
        let names: Vec<&str> = rows.iter().map(|(_, name)| *name).collect();
        let array = cast(&values, &data_type).unwrap();
        check_with(
            "interval",
            &PgType::Interval,
            &field(data_type),
            array,
            &names,
            &EncodeOptions::default(),
        );
    }
}

#[test]
fn intervals_go_into_limited_columns_where_nothing_is_lost() {
    let source = field(DataType::Interval(IntervalUnit::MonthDayNano));
    let check = |limit: &str, value: (i32, i32, i64), name: &str| {
        let limit = PgType::LimitedInterval(IntervalLimit::parse(limit).unwrap());
        let value = IntervalMonthDayNano::new(value.0, value.1, value.2);
        check(
            "interval",
            &limit,
            &source,
            IntervalMonthDayNanoArray::from(vec![value]),
            &[name],
        );
    };
    check("interval(2)", (12, 0, 1_250_000_000), "interval_two_digits");
    check("interval year to month", (14, 0, 0), "interval_to_month");
    check("interval day to hour", (14, -3, 14_400_000_000_000), "interval_to_hour");
    check("interval year", (-24, 0, 0), "interval_years");
    check("interval minute", (0, 5, 420_000_000_000), "interval_minutes");
    check("interval day to second(3)", (0, 0, 125_000_000), "interval_to_milli");
}

#[test]
fn intervals_keep_months_days_and_time_apart() {
    let months = IntervalYearMonthArray::from(vec![14, -1, i32::MAX, i32::MIN, 0]);
    let names = &[
        "interval_months",
        "interval_minus_months",
        "interval_max_months",
        "interval_min_months",
        "interval_zero",
    ];
    check(
        "interval",
        &PgType::Interval,
        &field(DataType::Interval(IntervalUnit::YearMonth)),
        months,
        names,
    );
    let days = IntervalDayTimeArray::from(vec![
        IntervalDayTime::new(3, -250),
        IntervalDayTime::new(0, -1_500),
        IntervalDayTime::new(i32::MAX, i32::MAX),
        IntervalDayTime::new(i32::MIN, i32::MIN),
    ]);
    let names = &[
        "interval_days",
        "interval_milli",
        "interval_max_days",
        "interval_min_days",
    ];
    check(
        "interval",
        &PgType::Interval,
        &field(DataType::Interval(IntervalUnit::DayTime)),
        days,
        names,
    );
    let mixed = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(14, -3, 3_723_000_004_000),
        IntervalMonthDayNano::new(0, 3, -250_000_000),
        IntervalMonthDayNano::new(i32::MAX, i32::MAX, i64::MAX / 1_000 * 1_000),
        IntervalMonthDayNano::new(i32::MIN, i32::MIN, -(i64::MAX / 1_000 * 1_000)),
    ]);
    let names = &[
        "interval_mixed",
        "interval_days",
        "interval_max_parts",
        "interval_min_parts",
    ];
    check(
        "interval",
        &PgType::Interval,
        &field(DataType::Interval(IntervalUnit::MonthDayNano)),
        mixed,
        names,
    );
}

#[test]
fn intervals_are_read_from_the_form_that_documents_have() {
    let texts = StringArray::from(vec![
        "P1Y2M-3DT1H2M3.000004S",
        "PT2562047788H54.775807S",
        "PT-2562047788H-54.775808S",
        "P-178956970Y-8M-2147483648DT-2562047H-47M-16.854775S",
        "P-1M",
        "PT0S",
    ]);
    let names = &[
        "interval_mixed",
        "interval_max_micros",
        "interval_min_micros",
        "interval_min_parts",
        "interval_minus_months",
        "interval_zero",
    ];
    check("interval", &PgType::Interval, &field(DataType::Utf8), texts, names);
}
