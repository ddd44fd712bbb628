//! Tests of `kind`: every inferred type gives back exactly what the text said.

use arrow::array::AsArray;

use super::*;

fn csv(cells: &[&str]) -> Kind {
    cells
        .iter()
        .map(|cell| Kind::of(cell, Dialect::Csv))
        .reduce(|a, b| a.or(b, Dialect::Csv))
        .unwrap()
}

fn json(cells: &[&str]) -> Kind {
    cells
        .iter()
        .map(|cell| Kind::of(cell, Dialect::Json))
        .reduce(|a, b| a.or(b, Dialect::Json))
        .unwrap()
}

#[test]
fn texts_that_only_look_like_numbers_stay_text() {
    for cell in [
        "007",
        "+1",
        "1.",
        ".5",
        "1e999",
        "NaN",
        "0x10",
        "1_000",
        "123456789012345678901",
        " 1",
        "",
    ] {
        assert_eq!(csv(&[cell]), Kind::Text, "{cell:?}");
    }
}

#[test]
fn numbers_are_doubles_only_where_no_digit_is_lost() {
    assert_eq!(csv(&["1", "-9007199254740992", "0"]), Kind::Integer);
    let long = csv(&["1", "-9223372036854775808", "0"]);
    assert_eq!(
        (long, long.field("a").data_type()),
        (Kind::LongInteger, &DataType::Int64)
    );
    assert_eq!(csv(&["-0"]), Kind::Number);
    assert_eq!(csv(&["19.90", "1", "1e3", "0.30000000000000004"]), Kind::Number);
    assert_eq!(csv(&["0.1234567890123456789"]), Kind::Text);
    assert_eq!(csv(&["9007199254740993.5"]), Kind::Text);
    let cells = StringArray::from(vec![Some("9007199254740993"), None]);
    assert_eq!(
        Kind::Number.convert(&cells, Dialect::Csv).unwrap_err(),
        Misfit { row: 0 }
    );
    let cells = StringArray::from(vec![Some("0.30000000000000004"), None, Some("1E-7"), Some("-0.0")]);
    let values = Kind::Number.convert(&cells, Dialect::Csv).unwrap();
    let values = values.as_primitive::<Float64Type>();
    assert_eq!(
        (values.value(0), values.is_null(1), values.value(2)),
        (0.1 + 0.2, true, 1e-7)
    );
    assert!(values.value(3).is_sign_negative());
}

#[test]
fn dates_and_times_are_told_apart_and_mixtures_are_text() {
    assert_eq!(csv(&["2024-02-29"]), Kind::Date);
    assert_eq!(csv(&["2023-02-29"]), Kind::Text);
    assert_eq!(
        csv(&["2024-02-29 01:02:03", "2024-02-29T01:02:03.123456"]),
        Kind::Timestamp
    );
    assert_eq!(csv(&["2024-02-29 01:02:03.1234567"]), Kind::Text);
    assert_eq!(
        csv(&["2024-02-29T01:02:03Z", "2024-02-29T01:02:03.5+05:30"]),
        Kind::TimestampUtc
    );
    assert_eq!(csv(&["2024-02-29", "2024-02-29 01:02:03"]), Kind::Text);
    assert_eq!(csv(&["true", "FALSE"]), Kind::Boolean);
    assert_eq!(csv(&["true", "1"]), Kind::Text);
}

#[test]
fn a_time_that_no_clock_shows_stays_text() {
    for cell in [
        "2016-12-31 23:59:60",
        "2016-12-31T23:59:60Z",
        "2016-12-31 23:59:60.5+01:00",
        "2024-01-01 12:00:61",
        "2024-01-01 24:00:00",
        "2024-01-01T24:00:00Z",
        "2024-01-01 12:60:00",
        "2024-01-01T12:00:00+16:00",
        "2024-01-01T12:00:00+05:60",
        "2024-01-01T12:00:00+2460",
        "2024-01-01T12:00:00z",
        "2024-01-01 12:00",
        "2024-01-01 12:00:00.",
        "2024-01-01 12:00:00,5",
        "0000-01-01",
        "0000-01-01 00:00:00",
        "24-02-29",
        "02/29/2024",
        "2024-2-29",
        "2024-02-29 ",
        "20240229T010203Z",
        "12:00:00",
    ] {
        assert_eq!(csv(&[cell]), Kind::Text, "{cell:?}");
        let cells = StringArray::from(vec![cell]);
        for kind in [Kind::Date, Kind::Timestamp, Kind::TimestampUtc] {
            assert!(kind.convert(&cells, Dialect::Csv).is_err(), "{cell:?} as {kind:?}");
        }
    }
    assert_eq!(csv(&["2016-12-31 23:59:59.999999"]), Kind::Timestamp);
    assert_eq!(
        csv(&["2024-01-01T12:00:00+15:59", "2024-01-01T12:00:00-08"]),
        Kind::TimestampUtc
    );
}

#[test]
fn long_integers_and_fractions_are_no_doubles_together() {
    assert_eq!(csv(&["9007199254740993", "1"]), Kind::LongInteger);
    assert_eq!(csv(&["9007199254740992", "1.5"]), Kind::Number);
    for cells in [["9007199254740993", "1.5"], ["1.5", "9007199254740993"]] {
        assert_eq!(csv(&cells), Kind::Text, "{cells:?}");
        assert_eq!(json(&cells), Kind::Json, "{cells:?}");
    }
    assert_eq!(csv(&["1", "1.5", "9007199254740993"]), Kind::Text);
    assert_eq!(Kind::LongInteger.field("n"), Kind::Integer.field("n"));
}

#[test]
fn numbers_in_other_spellings_stay_text() {
    for cell in [
        "1,000", "1 000", "1'000", "1e400", "1e-400", "Infinity", "-inf", "nan", "1e", "1e+", "0e", "--1", "-",
        "1.2.3", "0b1", "\u{0661}", "00", "-00", "01.5", "1d", "1f", "$1", "1%",
    ] {
        assert_eq!(csv(&[cell]), Kind::Text, "{cell:?}");
    }
}

#[test]
fn an_instant_is_the_same_whatever_zone_it_is_written_in() {
    let cells = StringArray::from(vec!["1970-01-01T05:30:00.000001+05:30", "1970-01-01 00:00:00.000001Z"]);
    let values = Kind::TimestampUtc.convert(&cells, Dialect::Csv).unwrap();
    assert_eq!(
        values.as_primitive::<TimestampMicrosecondType>().values().as_ref(),
        &[1, 1]
    );
}

#[test]
fn json_strings_stay_text_and_mixtures_become_json() {
    assert_eq!(json(&["\"1\"", "\"2024-01-01\""]), Kind::Text);
    assert_eq!(json(&["1", "2.5"]), Kind::Number);
    assert_eq!(json(&["1", "\"1\""]), Kind::Json);
    assert_eq!(json(&["{}", "[1]"]), Kind::Json);
    assert_eq!(json(&["12345678901234567890123"]), Kind::Json);
    let cells = StringArray::from(vec![Some(r#""a\u00e9\n""#), None]);
    let texts = Kind::Text.convert(&cells, Dialect::Json).unwrap();
    assert_eq!(texts.as_string::<i32>().value(0), "aé\n");
    assert_eq!(
        Kind::Text
            .convert(&StringArray::from(vec!["1"]), Dialect::Json)
            .unwrap_err(),
        Misfit { row: 0 }
    );
}

#[test]
fn two_texts_of_the_same_number_have_the_same_significand() {
    assert_eq!(significand("1200.50"), significand("1.2005e3"));
    assert_eq!(significand("0.000"), significand("0e5"));
    assert_ne!(significand("1"), significand("10"));
}
