//! Every quoted literal of the golden files, read from Arrow text: the file's SQL gives the text and the type, its
//! captured bytes what Postgres made of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::DataType;

use super::{batch, coverage, encode, field, golden, hex, plan_with};
use crate::model::pg_name;
use crate::model::pg_type::{NumericMod, PgType};
use crate::postgres::copy::EncodeOptions;

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    every_literal_of_the_golden_files_is_read_from_text,
    a_text_that_is_no_value_of_the_type_is_a_bad_cell,
];

/// `(case, text, type)` of every line of the form `'text'::type as case`.
fn literals(file: &str) -> Vec<(String, String, String)> {
    let path = format!("{}/tests/golden/{file}.sql", env!("CARGO_MANIFEST_DIR"));
    let sql = std::fs::read_to_string(path).unwrap();
    sql.lines()
        .filter_map(|line| {
            let (expression, name) = line.trim().trim_end_matches(',').rsplit_once(" as ")?;
            let (text, ty) = expression.strip_prefix('\'')?.rsplit_once("'::")?;
            Some((name.to_owned(), text.replace("''", "'"), ty.to_owned()))
        })
        .collect()
}

fn pg_type(name: &str) -> PgType {
    match name {
        "time(3)" => PgType::Time(Some(3)),
        "timestamp(3)" => PgType::Timestamp(Some(3)),
        numeric if numeric.starts_with("numeric(") => {
            let inner = numeric.trim_start_matches("numeric(").trim_end_matches(')');
            let (precision, scale) = inner.split_once(',').unwrap();
            PgType::Numeric(Some(NumericMod {
                precision: precision.parse().unwrap(),
                scale: scale.parse().unwrap(),
            }))
        }
        builtin => pg_name::builtin(builtin).unwrap_or_else(|| panic!("no type {builtin}")),
    }
}

/// Encodes one text into a column of type `ty` through every text layout; what went wrong, if anything.
fn misread(file: &str, name: &str, text: &str, ty: &str) -> Vec<String> {
    let target = pg_type(ty);
    let expected = format!("0001{}", hex(&golden(file)[name]));
    let layouts: [(DataType, ArrayRef); 3] = [
        (DataType::Utf8, Arc::new(StringArray::from(vec![text]))),
        (DataType::LargeUtf8, Arc::new(LargeStringArray::from(vec![text]))),
        (DataType::Utf8View, Arc::new(StringViewArray::from(vec![text]))),
    ];
    let mut wrong = Vec::new();
    for (data_type, array) in layouts {
        let source = field(data_type);
        coverage::note(&source, &target);
        let plan = plan_with(&source, &target, &EncodeOptions::default()).unwrap();
        let found = encode(&plan, &batch(&source, &array), 1 << 20).map_or_else(|error| error.to_string(), |b| hex(&b));
        if found != expected {
            wrong.push(format!("{text:?} as {ty}: {found} for {expected}"));
        }
    }
    wrong
}

#[test]
fn every_literal_of_the_golden_files_is_read_from_text() {
    let mut count = 0;
    let mut wrong = Vec::new();
    let numbers = ["int", "float", "numeric"];
    let others = [
        "bytea",
        "uuid",
        "date",
        "time",
        "timestamp",
        "interval",
        "network",
        "geometric",
    ];
    for file in numbers.into_iter().chain(others) {
        for (name, text, ty) in literals(file) {
            if !matches!(ty.as_str(), "money" | "pg_lsn") {
                wrong.extend(misread(file, &name, &text, &ty));
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 150, "{count} literals");
}

#[test]
fn a_text_that_is_no_value_of_the_type_is_a_bad_cell() {
    let wrong = [
        ("bool", "maybe", "the text is not a boolean"),
        ("int4", "1.5", "the text is not an integer"),
        ("int4", "2147483648", "the value is outside the range of the type"),
        ("float8", "1e400", "the text is not a number"),
        ("float8", "1e-400", "the text is not a number"),
        ("numeric", "1,5", "the text is not a decimal number"),
        ("numeric", "--5", "the text is not a decimal number"),
        ("numeric", "1e", "the text is not a decimal number"),
        (
            "numeric(4,1)",
            "1.25",
            "the value has more fraction digits than the column keeps",
        ),
        ("numeric(4,1)", "1000", "the value is outside the range of the type"),
        ("numeric(4,1)", "Infinity", "NaN and infinities cannot be stored"),
        ("date", "01/02/2024", "the text is not a date in the form YYYY-MM-DD"),
        (
            "time(3)",
            "12:00:00.0001",
            "the value has more fraction digits of a second than the column keeps",
        ),
        (
            "timestamp",
            "2024-02-29 12:00:00.1234567",
            "the value has nanoseconds, Postgres keeps microseconds",
        ),
        (
            "timetz",
            "12:00:00",
            "the text is not a time in the form HH:MM:SS+HH:MM",
        ),
        ("cidr", "10.1.2.3/24", "the text is not a network without host bits"),
        (
            "macaddr",
            "08:00:2b:01:02:03:04:05",
            "the value has 8 bytes, 6 are needed",
        ),
        ("bytea", "\\x0", r"the text is not \x and hexadecimal digits"),
        (
            "point",
            "(1,2",
            "the text is not the form in which Postgres prints the type",
        ),
    ];
    for (ty, text, reason) in wrong {
        let source = field(DataType::Utf8);
        let plan = plan_with(&source, &pg_type(ty), &EncodeOptions::default()).unwrap();
        let array: ArrayRef = Arc::new(StringArray::from(vec![None, Some(text)]));
        let error = encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err();
        assert_eq!(
            (error.row, error.reason.to_string().as_str()),
            (1, reason),
            "{text} as {ty}"
        );
    }
}
