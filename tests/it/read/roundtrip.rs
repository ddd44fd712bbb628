//! Write, read, write: the second table has the columns and the rows of the first.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use serde_json::json;

use super::get;
use crate::support::database::Database;
use crate::support::flight::{Flight, path};
use crate::support::server::Server;

const COLUMNS: &str = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) from pg_attribute where attnum > 0 and attrelid = ";

fn extension(name: &str, field: Field) -> Field {
    field.with_metadata([("ARROW:extension:name", name), ("ARROW:extension:metadata", "")])
}

/// A column of everything that creates a column of its own type.
#[expect(clippy::too_many_lines, reason = "one line per column")]
fn everything() -> RecordBatch {
    let texts = StringArray::from(vec![Some("grüß"), None, Some("")]);
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    let uuids =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([7u8; 16]), None, Some([0; 16])].into_iter(), 16);
    let intervals = IntervalMonthDayNanoArray::from(vec![
        Some(IntervalMonthDayNanoType::make_value(1, -2, 3_000)),
        None,
        None,
    ]);
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("b", DataType::Boolean, true),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            Field::new("i2", DataType::Int16, true),
            Arc::new(Int16Array::from(vec![Some(-1), None, Some(2)])),
        ),
        (
            Field::new("i4", DataType::Int32, true),
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(2)])),
        ),
        (
            Field::new("i8", DataType::Int64, true),
            Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(2)])),
        ),
        (
            Field::new("u8", DataType::UInt64, true),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(2)])),
        ),
        (
            Field::new("f4", DataType::Float32, true),
            Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::NAN)])),
        ),
        (
            Field::new("f8", DataType::Float64, true),
            Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY)])),
        ),
        (
            Field::new("d", DataType::Decimal128(30, 6), true),
            Arc::new(
                Decimal128Array::from(vec![Some(1), None, Some(-12_000_000)])
                    .with_precision_and_scale(30, 6)
                    .expect("valid"),
            ),
        ),
        (
            Field::new("d256", DataType::Decimal256(60, 0), true),
            Arc::new(
                Decimal256Array::from(vec![Some(i256::from_i128(i128::MAX)), None, None])
                    .with_precision_and_scale(60, 0)
                    .expect("valid"),
            ),
        ),
        (Field::new("t", DataType::Utf8, true), Arc::new(texts.clone())),
        (
            Field::new("lt", DataType::LargeUtf8, true),
            Arc::new(LargeStringArray::from(vec![Some("x"), None, None])),
        ),
        (
            Field::new("y", DataType::Binary, true),
            Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None, Some(b"")])),
        ),
        (
            extension("arrow.uuid", Field::new("u", DataType::FixedSizeBinary(16), true)),
            Arc::new(uuids.expect("valid")),
        ),
        (
            extension("arrow.json", Field::new("j", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("{\"a\": [1, null]}"), None, Some("3")])),
        ),
        (
            Field::new("da", DataType::Date32, true),
            Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)])),
        ),
        (
            Field::new("ti", DataType::Time64(TimeUnit::Microsecond), true),
            Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)])),
        ),
        (
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(-1),
                None,
                Some(1_714_979_289_500_000),
            ])),
        ),
        (
            Field::new(
                "tz",
                DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                true,
            ),
            Arc::new(TimestampNanosecondArray::from(vec![Some(-1_000), None, Some(0)]).with_timezone("UTC")),
        ),
        (
            Field::new("iv", DataType::Interval(IntervalUnit::MonthDayNano), true),
            Arc::new(intervals),
        ),
        (
            Field::new(
                "l",
                DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))),
                true,
            ),
            Arc::new(lists.finish()),
        ),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_makes_the_same_table_again() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    flight.put(path(&["first"]), &[everything()]).await.unwrap();
    let first = get(&server, json!({"table": "first"})).await.unwrap();
    assert_eq!(first.num_rows(), 3);
    flight
        .put(path(&["second"]), std::slice::from_ref(&first))
        .await
        .unwrap();
    let columns = async |table: &str| database.value(&format!("{COLUMNS} '{table}'::regclass")).await;
    assert_eq!(columns("second").await, columns("first").await);
    let difference = database
        .lines("(select * from (select t::text from first t) a except all select t::text from second t) union all (select t::text from second t except all select t::text from first t)")
        .await;
    assert_eq!(difference, [""; 0]);
    let second = get(&server, json!({"table": "second"})).await.unwrap();
    assert_eq!(second, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_goes_back_into_a_table_of_the_same_types() {
    let database = Database::create().await;
    database
        .execute(
            "create type mood as enum ('sad', 'happy'); create domain place as point; create domain further as place;
             create table first (p further, q place[], a int4, b json, c varchar(5), d char(4), e mood, f mood[], g timestamptz(0), h time(3), i oid, j text[], l money);
             insert into first values ('(1,2)', array['(3,4)'::point], 1, '{\"a\":  1}', 'ab', 'x', 'sad', '{happy,NULL}', '2024-01-01', '01:02:03.004', 4294967295, '{a,NULL,\"\"}', 12.34);
             insert into first default values; insert into first (a) values (2);
             create table second (like first)",
        )
        .await;
    let server = Server::start(&database).await;
    let first = get(&server, json!({"table": "first"})).await.unwrap();
    Flight::connect(&server)
        .await
        .put(path(&["second"]), &[first])
        .await
        .unwrap();
    let difference = database
        .lines("(select t::text from first t except all select t::text from second t) union all (select t::text from second t except all select t::text from first t)")
        .await;
    assert_eq!(difference, [""; 0]);
}
