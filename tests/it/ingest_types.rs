//! The list of ingest types of ADBC's validation suites, by their names there (and the layouts that its C suite adds): each
//! lands in the column type and with the values that are written here, or is refused with the documented reason.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use half::f16;
use serde_json::json;
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command};
use crate::support::server::Server;

/// Name, array, column type, and what Postgres prints; every array has a NULL in the middle.
type Case = (&'static str, ArrayRef, &'static str, [&'static str; 2]);

fn numbers(data_type: &DataType, values: [i64; 2]) -> ArrayRef {
    let values = Int64Array::from(vec![Some(values[0]), None, Some(values[1])]);
    cast(&values, data_type).expect("whole numbers go into every numeric type")
}

fn units(of: impl Fn(TimeUnit) -> DataType, seconds: [i64; 2]) -> Vec<ArrayRef> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    [
        (Second, 1),
        (Millisecond, 1_000),
        (Microsecond, 1_000_000),
        (Nanosecond, 1_000_000_000),
    ]
    .into_iter()
    .map(|(unit, per_second)| {
        let [first, last] = seconds.map(|seconds| seconds * per_second);
        let values = Int64Array::from(vec![Some(first), None, Some(last)]);
        let data_type = of(unit);
        // Times of day in coarse units are 32 bits wide, and only those cast from 32 bits.
        match data_type {
            DataType::Time32(_) => {
                cast(&cast(&values, &DataType::Int32).expect("a valid array"), &data_type).expect("a valid array")
            }
            _ => cast(&values, &data_type).expect("a valid array"),
        }
    })
    .collect()
}

fn integers() -> Vec<Case> {
    use DataType::*;
    vec![
        ("int8", numbers(&Int8, [-128, 127]), "smallint", ["-128", "127"]),
        (
            "int16",
            numbers(&Int16, [-32_768, 32_767]),
            "smallint",
            ["-32768", "32767"],
        ),
        (
            "int32",
            numbers(&Int32, [i32::MIN.into(), i32::MAX.into()]),
            "integer",
            ["-2147483648", "2147483647"],
        ),
        (
            "int64",
            numbers(&Int64, [i64::MIN, i64::MAX]),
            "bigint",
            ["-9223372036854775808", "9223372036854775807"],
        ),
        ("uint8", numbers(&UInt8, [0, 255]), "smallint", ["0", "255"]),
        ("uint16", numbers(&UInt16, [0, 65_535]), "integer", ["0", "65535"]),
        (
            "uint32",
            numbers(&UInt32, [0, u32::MAX.into()]),
            "bigint",
            ["0", "4294967295"],
        ),
        // The ADBC driver wraps this one to -1.
        (
            "uint64",
            Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)])),
            "numeric(20,0)",
            ["0", "18446744073709551615"],
        ),
    ]
}

fn other_numbers() -> Vec<Case> {
    let decimals = Decimal128Array::from(vec![Some(-12_345), None, Some(99_999)]);
    let wide = Decimal256Array::from(vec![Some(i256::from(-1_i64)), None, Some(i256::from(10_i64))]);
    vec![
        (
            "boolean",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            "boolean",
            ["true", "false"],
        ),
        (
            "float16",
            Arc::new(Float16Array::from(vec![
                Some(f16::from_f32(-0.5)),
                None,
                Some(f16::MAX),
            ])),
            "real",
            ["-0.5", "65504"],
        ),
        (
            "float32",
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::NEG_INFINITY)])),
            "real",
            ["0.1", "-Infinity"],
        ),
        (
            "float64",
            Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::MAX)])),
            "double precision",
            ["0.1", "1.7976931348623157e+308"],
        ),
        (
            "decimal",
            Arc::new(decimals.with_precision_and_scale(10, 2).expect("a valid array")),
            "numeric(10,2)",
            ["-123.45", "999.99"],
        ),
        (
            "decimal256",
            Arc::new(wide.with_precision_and_scale(50, 1).expect("a valid array")),
            "numeric(50,1)",
            ["-0.1", "1.0"],
        ),
        ("null", Arc::new(NullArray::new(3)), "text", ["<null>", "<null>"]),
    ]
}

fn texts_and_bytes() -> Vec<Case> {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("grüß"), None, Some("")]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(b"")]));
    let fixed =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(*b"ab"), None, Some(*b"\0\0")].into_iter(), 2);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let as_text = |ty: DataType| cast(&texts, &ty).expect("a valid array");
    let as_bytes = |ty: DataType| cast(&bytes, &ty).expect("a valid array");
    vec![
        ("string", as_text(DataType::Utf8), "text", ["grüß", ""]),
        ("large_string", as_text(DataType::LargeUtf8), "text", ["grüß", ""]),
        ("string_view", as_text(DataType::Utf8View), "text", ["grüß", ""]),
        ("string_dictionary", as_text(dictionary), "text", ["grüß", ""]),
        ("binary", as_bytes(DataType::Binary), "bytea", ["\\x00ff", "\\x"]),
        (
            "large_binary",
            as_bytes(DataType::LargeBinary),
            "bytea",
            ["\\x00ff", "\\x"],
        ),
        (
            "binary_view",
            as_bytes(DataType::BinaryView),
            "bytea",
            ["\\x00ff", "\\x"],
        ),
        (
            "fixed_size_binary",
            Arc::new(fixed.expect("a valid array")),
            "bytea",
            ["\\x6162", "\\x0000"],
        ),
    ]
}

fn times() -> Vec<Case> {
    let days = Date32Array::from(vec![Some(-1), None, Some(19_782)]);
    let date64 = cast(&days, &DataType::Date64).expect("a valid array");
    let months = IntervalMonthDayNanoArray::from(vec![
        Some(IntervalMonthDayNano::new(14, -3, 1_000)),
        None,
        Some(IntervalMonthDayNano::new(0, 0, 0)),
    ]);
    let mut cases: Vec<Case> = vec![
        ("date", Arc::new(days), "date", ["1969-12-31", "2024-02-29"]),
        ("date64", date64, "date", ["1969-12-31", "2024-02-29"]),
        (
            "interval",
            Arc::new(months),
            "interval",
            ["1 year 2 mons -3 days +00:00:00.000001", "00:00:00"],
        ),
    ];
    let moments = [-1, 1_709_210_096];
    let wall = ["1969-12-31 23:59:59", "2024-02-29 12:34:56"];
    let instants = ["1969-12-31 23:59:59+00", "2024-02-29 12:34:56+00"];
    let names = |names: [&'static str; 4], arrays: Vec<ArrayRef>, ty: &'static str, texts: [&'static str; 2]| {
        names
            .into_iter()
            .zip(arrays)
            .map(move |(name, array)| (name, array, ty, texts))
    };
    let time = |unit| match unit {
        TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(unit),
        _ => DataType::Time64(unit),
    };
    cases.extend(names(
        ["time_s", "time_ms", "time_us", "time_ns"],
        units(time, [0, 45_296]),
        "time without time zone",
        ["00:00:00", "12:34:56"],
    ));
    cases.extend(names(
        ["timestamp_s", "timestamp_ms", "timestamp_us", "timestamp_ns"],
        units(|unit| DataType::Timestamp(unit, None), moments),
        "timestamp without time zone",
        wall,
    ));
    cases.extend(names(
        ["timestamptz_s", "timestamptz_ms", "timestamptz_us", "timestamptz_ns"],
        units(
            |unit| DataType::Timestamp(unit, Some("America/New_York".into())),
            moments,
        ),
        "timestamp with time zone",
        instants,
    ));
    cases.extend(names(
        ["duration_s", "duration_ms", "duration_us", "duration_ns"],
        units(DataType::Duration, [-1, 100_000]),
        "interval",
        ["-00:00:01", "27:46:40"],
    ));
    cases
}

fn lists() -> Vec<Case> {
    let lists = || {
        let mut lists = ListBuilder::new(Int32Builder::new());
        lists.append_value([Some(1), None]);
        lists.append_null();
        lists.append_value([Some(-2), Some(3)]);
        let lists: ArrayRef = Arc::new(lists.finish());
        lists
    };
    let mut words = ListBuilder::new(StringBuilder::new());
    words.append_value([Some("a b"), None]);
    words.append_null();
    words.append_value([Some(""), Some("NULL")]);
    let item = || Arc::new(Field::new_list_field(DataType::Int32, true));
    let as_list = |ty: DataType| cast(&lists(), &ty).expect("a valid array");
    let both = ["{1,NULL}", "{-2,3}"];
    vec![
        ("list_of_int32", lists(), "integer[]", both),
        (
            "large_list_of_int32",
            as_list(DataType::LargeList(item())),
            "integer[]",
            both,
        ),
        (
            "list_view_of_int32",
            as_list(DataType::ListView(item())),
            "integer[]",
            both,
        ),
        (
            "fixed_size_list_of_int32",
            as_list(DataType::FixedSizeList(item(), 2)),
            "integer[]",
            both,
        ),
        (
            "list_of_string",
            Arc::new(words.finish()),
            "text[]",
            ["{\"a b\",NULL}", "{\"\",\"NULL\"}"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_the_list_lands_with_its_values() {
    let database = Database::create().await;
    database.execute("set timezone = 'UTC'").await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let cases = [integers(), other_numbers(), texts_and_bytes(), times(), lists()].concat();
    assert_eq!(cases.len(), 47);
    for (name, array, column, [first, last]) in cases {
        let to = command(json!({"table": name}));
        let answer = flight.put(to, &[batch(vec![("value", array)])]).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let shape = format!(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = '{name}'::regclass and attname = 'value'"
        );
        assert_eq!(database.value(&shape).await, column, "{name}");
        let stored = database
            .lines(&format!("select value::text from \"{name}\" order by ctid"))
            .await;
        assert_eq!(stored, [first, "<null>", last], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_list_has_and_postgres_cannot_hold_is_refused_with_its_reason() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let refused: [(&str, ArrayRef, &str); 4] = [
        (
            "timestamp_ns",
            Arc::new(TimestampNanosecondArray::from(vec![1_001])),
            "microsecond",
        ),
        ("time_ns", Arc::new(Time64NanosecondArray::from(vec![1])), "microsecond"),
        (
            "duration_ns",
            Arc::new(DurationNanosecondArray::from(vec![1])),
            "microsecond",
        ),
        ("string", Arc::new(StringArray::from(vec!["a\0b"])), "NUL byte"),
    ];
    for (name, array, reason) in refused {
        let to = command(json!({"table": name}));
        let error = flight.put(to, &[batch(vec![("value", array)])]).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{name}: {error:?}");
        assert!(
            error.message().contains(reason) && error.message().contains("row 0"),
            "{name}: {error:?}"
        );
        assert_eq!(
            database.value(&format!("select to_regclass('{name}') is null")).await,
            "t",
            "{name}"
        );
    }
}
