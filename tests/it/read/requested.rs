//! Reads of exactly the schema that was asked for, and the refusals where it cannot be given.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::*;
use serde_json::json;
use tonic::Code;

use super::{exactly, get};
use crate::support::database::Database;
use crate::support::server::Server;

fn field(name: &str, ty: DataType) -> Field {
    Field::new(name, ty, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_asked_for_is_given_exactly() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (id int8 not null, small int2, big numeric(20,0), at timestamp, doc jsonb, ip inet, mac macaddr, \
             tags text[], note text);
             insert into t values (1, -5, 18446744073709551615, '2024-05-06 07:08:09.5', '{\"a\": 1}', '10.0.0.1', \
             '08:00:2b:01:02:03', '{a,NULL}', 'x')",
        )
        .await;
    let server = Server::start(&database).await;
    let extension = |field: Field, name: &str| field.with_metadata([("ARROW:extension:name", name)]);
    let wanted = Schema::new(vec![
        field("big", DataType::UInt64),
        field("small", DataType::Int8),
        field("at", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        extension(field("doc", DataType::Binary), "json"),
        extension(field("ip", DataType::Binary), "inet"),
        extension(field("mac", DataType::Binary), "mac"),
        field("tags", DataType::LargeList(Arc::new(field("e", DataType::Utf8View)))),
        field("note", DataType::LargeUtf8),
        Field::new("id", DataType::UInt16, false),
    ])
    .with_metadata([("kept", "yes")]);
    let read = get(&server, exactly("t", wanted.clone())).await.unwrap();
    assert_eq!(*super::schema(&read), wanted);
    assert_eq!(read.column(0).as_primitive::<UInt64Type>().value(0), u64::MAX);
    assert_eq!(read.column(1).as_primitive::<Int8Type>().value(0), -5);
    assert_eq!(
        read.column(2).as_primitive::<TimestampNanosecondType>().value(0),
        1_714_979_289_500_000_000
    );
    assert_eq!(read.column(3).as_binary::<i32>().value(0), b"{\"a\": 1}");
    assert_eq!(read.column(4).as_binary::<i32>().value(0), b"10.0.0.1/32");
    assert_eq!(read.column(5).as_binary::<i32>().value(0), [8, 0, 0x2b, 1, 2, 3]);
    assert_eq!(read.column(8).as_primitive::<UInt16Type>().value(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_arrow_lacks_are_errors_by_default_and_text_on_request() {
    let cases = [
        ("date", "infinity", "Date32", "infinite"),
        ("timestamptz", "-infinity", "Timestamp(µs, \"UTC\")", "infinite"),
        (
            "timestamp",
            "294276-12-31 23:59:59",
            "Timestamp(µs)",
            "outside the range",
        ),
        (
            "interval",
            "9000000:00:00",
            "Interval(MonthDayNano)",
            "outside the range",
        ),
        ("numeric(6,2)", "NaN", "Decimal128(6, 2)", "NaN"),
        ("int4[]", "{{1,2},{3,4}}", "List(Int32)", "2 dimensions"),
        ("int4[]", "[0:1]={7,8}", "List(Int32)", "starts at 0"),
    ];
    let database = Database::create().await;
    let server = Server::start(&database).await;
    for (n, (ty, literal, arrow, reason)) in cases.into_iter().enumerate() {
        let table = format!("t{n}");
        database
            .execute(&format!(
                "create table {table} (c {ty}); insert into {table} values (null), (null), ('{literal}')"
            ))
            .await;
        let status = get(&server, json!({"table": table})).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let message = status.message();
        for part in [
            &format!("public.{table}"),
            "column \"c\"",
            "row 2 of the answer",
            arrow,
            reason,
            "for Utf8",
        ] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        let told = literal == "NaN" || !message.contains(literal);
        assert!(told, "values are not in messages: {message}");
        assert_eq!(status.metadata().get("x-pg-column").unwrap(), "c");
        assert_eq!(status.metadata().get("x-pgflight-row").unwrap(), "2");
        let text = Schema::new(vec![field("c", DataType::Utf8)]);
        let read = get(&server, exactly(&table, text)).await.unwrap();
        assert_eq!(read.column(0).as_string::<i32>().value(2), literal, "{ty}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_lists_and_lists_of_texts_are_given_on_request() {
    let database = Database::create().await;
    database
        .execute(
            "create table t (a int4[], d date[]); insert into t values ('{{1,2},{3,NULL}}', '{infinity,2024-02-29}')",
        )
        .await;
    let server = Server::start(&database).await;
    let list = |item| DataType::List(Arc::new(field("item", item)));
    let wanted = Schema::new(vec![
        field("a", list(list(DataType::Int64))),
        field("d", list(DataType::Utf8)),
    ]);
    let read = get(&server, exactly("t", wanted)).await.unwrap();
    let rows = read.column(0).as_list::<i32>().value(0);
    let second = rows.as_list::<i32>().value(1);
    assert_eq!(
        second.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(3), None]
    );
    let texts = read.column(1).as_list::<i32>().value(0);
    assert_eq!(
        texts.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("infinity"), Some("2024-02-29")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_given_is_refused_with_all_its_columns() {
    let database = Database::create().await;
    database.execute("create table t (a int4, b text, \"C\" bool)").await;
    let server = Server::start(&database).await;
    let refusal = async |ticket| {
        let status = get(&server, ticket).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().to_owned()
    };
    let pairs = Schema::new(vec![field("a", DataType::Boolean), field("C", DataType::Int64)]);
    let message = refusal(exactly("t", pairs)).await;
    assert!(
        message.contains("\"a\": integer cannot be read as Boolean"),
        "{message}"
    );
    assert!(message.contains("\"C\": boolean cannot be read as Int64"), "{message}");
    let unknown = refusal(json!({"table": "t", "columns": ["a", "c"]})).await;
    assert!(
        unknown.contains("no column \"c\"") && unknown.contains("did you mean \"C\""),
        "{unknown}"
    );
    let twice = refusal(json!({"table": "t", "columns": ["a", "a"]})).await;
    assert!(twice.contains("\"a\" is asked for twice"), "{twice}");
}
