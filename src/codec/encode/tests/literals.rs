//! Every quoted literal of the golden files, read from Arrow text: the file's SQL gives the text and the type, its
//! captured bytes what Postgres made of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::DataType;

use super::{batch, coverage, encode, field, golden, hex, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::ident::Ident;
use crate::model::money::MoneyForm;
use crate::model::pg_name;
use crate::model::pg_type::{NumericMod, OtherType, PgType, TypeHome};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    every_literal_of_the_golden_files_is_read_from_text,
    a_text_that_is_no_value_of_the_type_is_a_bad_cell,
    blanks_may_stand_around_the_numbers_of_geometric_types,
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

/// The form of amounts with `lc_monetary` C, which the golden bytes were captured with.
pub(super) fn dollars() -> MoneyForm {
    MoneyForm::of("$1,234,567,890.00", "-$1,234,567,890.00", 100)
}

/// A type of `pg_catalog` without a variant of its own.
pub(super) fn system(name: &str) -> PgType {
    PgType::Other(Arc::new(OtherType {
        name: Ident::new(name).unwrap(),
        home: TypeHome {
            schema: Some(Ident::new("pg_catalog").unwrap()),
            ..TypeHome::default()
        },
        display: name.to_owned(),
    }))
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
        "money" => PgType::Money(dollars()),
        "hstore" => PgType::Hstore(TypeHome::default()),
        "tid" | "refcursor" | "int2vector" | "oidvector" | "pg_snapshot" | "txid_snapshot" => system(name),
        object if object.starts_with("reg") => system(object),
        builtin => pg_name::parse(builtin).unwrap_or_else(|| panic!("no type {builtin}")),
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
        "infinity",
        "fulltext",
        "hstore",
        "system",
    ];
    for file in numbers.into_iter().chain(others) {
        for (name, text, ty) in literals(file) {
            wrong.extend(misread(file, &name, &text, &ty));
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 180, "{count} literals");
}

/// Type, text and what is wrong with it.
const WRONG: &[(&str, &str, &str)] = &[
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
    (
        "money",
        "1.234",
        "the amount has more fraction digits than the server's currency",
    ),
    (
        "money",
        "92233720368547758.08",
        "the value is outside the range of the type",
    ),
    (
        "money",
        "1.234,56 €",
        "the text is not an amount in plain digits or as this server prints it",
    ),
    (
        "pg_lsn",
        "123",
        "the text is not a log position in the form 16/B374D848",
    ),
    (
        "interval(2)",
        "00:00:00.125",
        "the value has more fraction digits of a second than the column keeps",
    ),
    (
        "interval day to hour",
        "00:30:00",
        "the interval has parts that the column does not keep",
    ),
    (
        "interval year",
        "18 months",
        "the interval has parts that the column does not keep",
    ),
    (
        "interval month",
        "1 day",
        "the interval has parts that the column does not keep",
    ),
    (
        "interval day",
        "1 hour",
        "the interval has parts that the column does not keep",
    ),
    (
        "interval minute",
        "1 second",
        "the interval has parts that the column does not keep",
    ),
    ("interval", "infinity", "the text is not an interval"),
    (
        "interval",
        "P2147483647M2147483647DT9223372036854.775807S",
        "the value is outside the range of the type",
    ),
    ("tsvector", "'a':16384", "the value is outside the range of the type"),
    (
        "tsvector",
        "'a\0b'",
        "the text contains a NUL byte, which Postgres cannot store (option nul_bytes: strip or replace changes it)",
    ),
    (
        "tsvector",
        "the cat's",
        "the text is not a tsvector in the form 'a':1 'b'",
    ),
    ("tsquery", "a b", "the text is not a tsquery in the form 'a' & 'b'"),
    (
        "tsquery",
        " ",
        "the text is not a tsquery with a lexeme, and binary COPY takes no empty one",
    ),
    ("hstore", "a=>1, a=>2", "the text is not a map of distinct keys"),
    ("hstore", "{}", "the text is not pairs in the form \"key\"=>\"value\""),
    (
        "regclass",
        "pg_class",
        "the text is not an OID (a name depends on the search path)",
    ),
    (
        "int2vector",
        "",
        "the text is not one or more numbers with blanks between",
    ),
    ("int2vector", "1 32768", "the value is outside the range of the type"),
    ("tid", "(1,65536)", "the text is not a row's place in the form (0,1)"),
    (
        "pg_snapshot",
        "1:2",
        "the text is not a snapshot in the form xmin:xmax:xip,xip",
    ),
    ("\"char\"", "é", "the value has 2 bytes, 1 are needed"),
    ("bytea", "\\x0", r"the text is not \x and hexadecimal digits"),
    ("point", "(1,2", GEOMETRIC),
    ("point", "(1 2,3)", GEOMETRIC),
    ("point", "(- 1,2)", GEOMETRIC),
    ("line", "{1 1,2,3}", GEOMETRIC),
    ("lseg", "[(1,2),(3 3,4)]", GEOMETRIC),
    ("box", "(1,2),(3,4 4)", GEOMETRIC),
    ("path", "((1e 1,2))", GEOMETRIC),
    ("polygon", "((1,2),(3,4\t5))", GEOMETRIC),
    ("circle", "<(1,2),3 3>", GEOMETRIC),
    (
        "xml",
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>",
        "the XML declares an encoding other than UTF-8, in which Postgres would read its bytes; declare UTF-8 or no encoding",
    ),
];

const GEOMETRIC: &str = "the text is not the form in which Postgres prints the type";

#[test]
fn blanks_may_stand_around_the_numbers_of_geometric_types() {
    let mut wrong = Vec::new();
    for (name, text, ty) in literals("geometric") {
        if ty != "timetz" {
            let spaced: String = text.chars().map(spaced).collect();
            wrong.extend(misread("geometric", &name, &spaced, &ty));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn spaced(mark: char) -> String {
    match mark {
        '0'..='9' | '.' | '-' => mark.to_string(),
        _ => format!(" \n{mark}\t "),
    }
}

#[test]
fn a_text_that_is_no_value_of_the_type_is_a_bad_cell() {
    for (ty, text, reason) in WRONG {
        let source = field(DataType::Utf8);
        let plan = plan_with(&source, &pg_type(ty), &EncodeOptions::default()).unwrap();
        let array: ArrayRef = Arc::new(StringArray::from(vec![None, Some(*text)]));
        let error = encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err();
        assert_eq!(
            (error.row, error.reason.to_string().as_str()),
            (1, *reason),
            "{text} as {ty}"
        );
    }
}
