//! Messages that no honest client sends, and orders that matter: every one gets a status, and the server goes on.

use std::sync::Arc;

use arrow::array::{BinaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use pgflight::server::cloudquery::pb;
use pgflight::server::cloudquery::pb::write::request::Message;
use serde_json::json;
use tonic::Code;

use super::client::{
    Cq, T, all_of, any_of, delete_records, delete_stale, equals, insert, key, migrate, record_bytes, schema,
    schema_bytes, unique,
};
use super::generator::{extended, rows};
use super::start;
use crate::support::database::Database;
use crate::support::server::Server;

fn table(name: &str) -> SchemaRef {
    schema(
        name,
        vec![
            key(Field::new("id", DataType::Int64, false)),
            Field::new("name", DataType::Utf8, true),
        ],
    )
}

fn raw_insert(record: Vec<u8>) -> Message {
    Message::Insert(pb::write::MessageInsert { record: record.into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_no_single_batch_are_refused() {
    let (_database, _server, mut cq) = start().await;
    let schema = table("t");
    cq.put(vec![migrate(&schema)]).await;
    let row = rows(&schema, 0..3, false);
    let whole = record_bytes(std::slice::from_ref(&row));
    let (code, text) = cq.refused(vec![raw_insert(schema_bytes(&schema))]).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("insert into t") && text.contains("no batch"), "{text}");
    let (code, text) = cq
        .refused(vec![raw_insert(record_bytes(&[row.clone(), row.clone()]))])
        .await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("more than one batch"), "{text}");
    for keep in [0, 1, 4, 7, 9, 40, 200, whole.len() / 2, whole.len() - 12] {
        let (code, text) = cq.refused(vec![raw_insert(whole[..keep].to_vec())]).await;
        assert_eq!(code, Code::InvalidArgument, "{keep} of {} bytes: {text}", whole.len());
    }
    let (code, _) = cq
        .refused(vec![raw_insert(b"neither Arrow nor anything".to_vec())])
        .await;
    assert_eq!(code, Code::InvalidArgument);
    cq.put(vec![insert(&row)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_never_stop_the_server() {
    let (_database, _server, mut cq) = start().await;
    let schema = table("t");
    cq.put(vec![migrate(&schema)]).await;
    let row = rows(&schema, 0..3, false);
    let whole = record_bytes(std::slice::from_ref(&row));
    fastrand::seed(11);
    for _ in 0..300 {
        let mut damaged = whole.clone();
        for _ in 0..fastrand::usize(1..4) {
            let at = fastrand::usize(..damaged.len());
            damaged[at] = fastrand::u8(..);
        }
        // Damage in the values is not to be seen; any answer is fine as long as there is one.
        cq.write(vec![raw_insert(damaged)]).await.ok();
    }
    cq.put(vec![insert(&row)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_missing_is_named() {
    let (_database, _server, mut cq) = start().await;
    let nameless = Schema::new(vec![Field::new("id", DataType::Int64, false)]);
    let (code, text) = cq.refused(vec![migrate(&nameless)]).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(
        text.contains("cq:table_name") && text.contains("message 1 of Write"),
        "{text}"
    );
    let mut empty = cq.clone();
    let status = empty
        .plugin
        .write(tokio_stream::iter([pb::write::Request { message: None }]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_do_not_exist_are_named() {
    let (_database, _server, mut cq) = start().await;
    for message in [
        insert(&rows(&table("nowhere"), 0..1, false)),
        delete_stale("nowhere", "s", T),
        delete_records("nowhere", vec![], &[]),
    ] {
        let (code, text) = cq.refused(vec![message]).await;
        assert!(text.contains("nowhere"), "{text}");
        assert!(
            matches!(code, Code::NotFound | Code::FailedPrecondition),
            "{code:?} {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_value_names_table_column_and_sqlstate_and_keeps_out_the_value() {
    let (_database, _server, mut cq) = start().await;
    let json = extended(Field::new("doc", DataType::Binary, true), "json");
    let schema = schema("documents", vec![key(Field::new("id", DataType::Int64, false)), json]);
    cq.put(vec![migrate(&schema)]).await;
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1])),
        Arc::new(BinaryArray::from_vec(vec![b"{broken-secret"])),
    ];
    let bad = RecordBatch::try_new(schema, columns).unwrap();
    let (code, text) = cq.refused(vec![insert(&bad)]).await;
    assert_eq!(code, Code::InvalidArgument, "{text}");
    assert!(text.contains("documents") && text.contains("doc"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_violation_names_its_constraint() {
    let (_database, _server, mut cq) = start().await;
    let fields = vec![
        key(Field::new("id", DataType::Int64, false)),
        unique(Field::new("name", DataType::Utf8, true)),
    ];
    let schema = schema("named", fields);
    cq.put(vec![migrate(&schema)]).await;
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(arrow::array::StringArray::from(vec!["x", "x"])),
    ];
    let (_, text) = cq
        .refused(vec![insert(&RecordBatch::try_new(schema, columns).unwrap())])
        .await;
    assert!(
        text.contains("named_name_key") && text.contains("23505") && text.contains("named"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_deletion_of_stale_rows_the_error_comes_when_the_client_has_sent_all() {
    let (_database, _server, mut cq) = start().await;
    let schema = table("t");
    cq.put(vec![migrate(&schema)]).await;
    let mut messages = vec![delete_stale("nowhere", "s", T)];
    messages.extend((0..200).map(|at| insert(&rows(&schema, at..at + 1, false))));
    let (_, text) = cq.refused(messages).await;
    assert!(text.contains("nowhere"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted_with_what_hangs_below_them() {
    let (database, _server, mut cq) = start().await;
    database
        .execute(
            "create table p (id bigint primary key, kind text, _cq_id uuid, _cq_parent_id uuid); \
             create table c (id bigint primary key, _cq_id uuid, _cq_parent_id uuid); \
             create table g (id bigint primary key, _cq_id uuid, _cq_parent_id uuid); \
             insert into p select n, case when n % 2 = 0 then 'even' end, lpad(n::text, 32, '0')::uuid from generate_series(1, 6) n; \
             insert into c select n, lpad(n::text, 32, 'c')::uuid, lpad(n::text, 32, '0')::uuid from generate_series(1, 6) n; \
             insert into g select n, null, lpad(n::text, 32, 'c')::uuid from generate_series(1, 6) n",
        )
        .await;
    let number = |n: i64| equals("id", Arc::new(Int64Array::from(vec![n])));
    let kind = |kind: Option<&str>| equals("kind", Arc::new(arrow::array::StringArray::from(vec![kind])));
    // NULL equals nothing, also where the row's value is NULL.
    cq.put(vec![delete_records("p", vec![all_of(vec![kind(None)])], &[])])
        .await;
    assert_eq!(database.value("select count(*) from p").await, "6");
    // (id = 2 or id = 3 or id = 4) and (kind = 'even')
    let groups = vec![
        any_of(vec![number(2), number(3), number(4)]),
        all_of(vec![kind(Some("even"))]),
    ];
    cq.put(vec![delete_records("p", groups, &[("c", "p"), ("g", "c")])])
        .await;
    for table in ["p", "c", "g"] {
        let left = database
            .value(&format!("select string_agg(id::text, ',' order by id) from {table}"))
            .await;
        assert_eq!(left, "1,3,5,6", "{table}");
    }
    let (code, text) = cq.refused(vec![delete_records("p", vec![any_of(vec![])], &[])]).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("group 1 is empty"), "{text}");
    let (code, text) = cq
        .refused(vec![delete_records("p", vec![], &[("g", "c"), ("c", "p")])])
        .await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("hangs below"), "{text}");
    let (code, text) = cq
        .refused(vec![delete_records(
            "p",
            vec![all_of(vec![equals("nope", Arc::new(Int64Array::from(vec![1])))])],
            &[],
        )])
        .await;
    assert_eq!(code, Code::NotFound);
    assert!(text.contains("\"nope\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_call_are_carried_out_in_their_order() {
    let (database, _server, mut cq) = start().await;
    let (a, b) = (table("a"), table("b"));
    let mut messages = vec![migrate(&a), migrate(&b)];
    for round in 0..20 {
        messages.push(insert(&rows(&a, round * 10..round * 10 + 10, false)));
        messages.push(insert(&rows(&b, round * 10..round * 10 + 10, round % 2 == 0)));
        let first = equals("id", Arc::new(Int64Array::from(vec![round * 10])));
        messages.push(delete_records("a", vec![all_of(vec![first])], &[]));
    }
    // A key that was deleted comes back.
    messages.push(insert(&rows(&a, 0..1, false)));
    cq.put(messages).await;
    assert_eq!(database.value("select count(*) from a").await, "181");
    assert_eq!(
        database.value("select count(*) || ' ' || count(name) from b").await,
        "200 100"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_of_one_call_are_refused_together_and_change_nothing() {
    let (database, _server, mut cq) = start().await;
    database
        .execute("create table one (id text primary key, name text); create table two (id text primary key)")
        .await;
    let (code, text) = cq
        .refused(vec![
            migrate(&table("new")),
            migrate(&table("one")),
            migrate(&table("two")),
        ])
        .await;
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    assert!(text.contains("one") && text.contains("two"), "{text}");
    assert_eq!(
        database
            .value("select count(*) from pg_class where relname = 'new'")
            .await,
        "0"
    );
}

/// Two clients at once, each of whose records unpacks to more than both may hold.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_unpack_to_more_than_there_is_memory_go_one_by_one() {
    let database = Database::create().await;
    let limits = json!({"max_inflight_bytes": 1 << 20, "max_message_bytes": 1 << 20});
    let server = Server::start_with(database.uri(), json!({"limits": limits})).await;
    let schema = schema("packed", vec![Field::new("v", DataType::Int64, false)]);
    let zeros = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![0; 150_000]))]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options.unwrap()).unwrap();
    writer.write(&zeros).unwrap();
    let record = writer.into_inner().unwrap();
    assert!(record.len() < 100 << 10, "{} bytes are sent", record.len());
    let mut first = Cq::ready(&server).await;
    let mut second = Cq::ready(&server).await;
    first.put(vec![migrate(&schema)]).await;
    let both = || vec![raw_insert(record.clone()); 3];
    tokio::join!(first.put(both()), second.put(both()));
    assert_eq!(database.value("select count(*) from packed").await, "900000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_and_the_server_goes_on() {
    let (_database, _server, mut cq) = start().await;
    let schema = table("t");
    cq.put(vec![migrate(&schema)]).await;
    let (code, text) = cq.refused(vec![raw_insert(vec![0; 201 << 20])]).await;
    assert_eq!(code, Code::InvalidArgument, "{text}");
    assert!(
        text.contains("message 1 of Write") && text.contains("max_message_bytes"),
        "{text}"
    );
    cq.put(vec![insert(&rows(&schema, 0..3, false))]).await;
}
