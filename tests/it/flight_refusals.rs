//! Bad input over plain Flight: each case gets its gRPC code and one sentence, writes nothing, and the server lives on.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::{FlightData, FlightDescriptor};
use serde_json::json;
use tonic::{Code, Status};

use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, path, texts};
use crate::support::server::Server;

pub(crate) fn rows() -> RecordBatch {
    batch(vec![("id", longs([1, 2])), ("name", texts(&[Some("a"), None]))])
}

#[track_caller]
pub(crate) fn refused(result: Result<impl std::fmt::Debug, Status>, code: Code, words: &[&str]) {
    let error = result.expect_err("the put must be refused");
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{:?} lacks {word:?}", error.message());
    }
    assert!(!error.message().contains('\n'), "one sentence: {:?}", error.message());
}

pub(crate) async fn tables(database: &Database) -> Vec<String> {
    database
        .lines("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_descriptors_are_explained() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let invalid = Code::InvalidArgument;
    refused(
        flight.put(path(&[]), &[rows()]).await,
        invalid,
        &["0 parts", "[schema, table]"],
    );
    refused(
        flight.put(path(&["a", "b", "c"]), &[rows()]).await,
        invalid,
        &["3 parts"],
    );
    refused(
        flight.put(path(&[""]), &[rows()]).await,
        invalid,
        &["table name", "empty"],
    );
    refused(
        flight.put(path(&["a\0b"]), &[rows()]).await,
        invalid,
        &["table name", "NUL"],
    );
    refused(
        flight.put(path(&["x".repeat(64).as_str()]), &[rows()]).await,
        invalid,
        &["64 bytes", "63"],
    );
    refused(
        flight.put(FlightDescriptor::new_cmd("{\"table\":"), &[rows()]).await,
        invalid,
        &["not valid JSON"],
    );
    refused(
        flight.put(FlightDescriptor::new_cmd("drop"), &[rows()]).await,
        invalid,
        &["{\"table\": \"t\"}"],
    );
    refused(
        flight.put(command(json!({"schema": "s"})), &[rows()]).await,
        invalid,
        &["names no \"table\""],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
    assert_eq!(
        flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"],
        2,
        "the server serves on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_options_and_first_messages_are_explained() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let invalid = Code::InvalidArgument;
    let typo = command(json!({"table": "t", "wirte_mode": "append"}));
    refused(
        flight.put(typo, &[rows()]).await,
        invalid,
        &["descriptor", "wirte_mode", "did you mean", "write_mode"],
    );
    let value = command(json!({"table": "t", "write_mode": "upsert"}));
    refused(
        flight.put(value, &[rows()]).await,
        invalid,
        &["write_mode", "upsert", "append", "overwrite"],
    );
    let lanes = command(json!({"table": "t", "lanes": 2}));
    refused(flight.put(lanes, &[rows()]).await, invalid, &["lanes", "commit: batch"]);
    let mut with_header = flight.clone().with_header("pgflight-nope", "1");
    refused(
        with_header.put(path(&["t"]), &[rows()]).await,
        invalid,
        &["header", "nope"],
    );
    let mut no_descriptor = messages(path(&["t"]), &[rows()]);
    no_descriptor[0].flight_descriptor = None;
    refused(flight.send(no_descriptor).await, invalid, &["no Flight descriptor"]);
    refused(flight.send(vec![]).await, invalid, &["before its first message"]);
    let no_schema = FlightData {
        flight_descriptor: Some(path(&["t"])),
        ..FlightData::default()
    };
    refused(flight.send(vec![no_schema]).await, invalid, &["no Arrow schema"]);
    assert_eq!(tables(&database).await, Vec::<String>::new());
    assert_eq!(
        flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"],
        2,
        "the server serves on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_schemas_are_explained_with_all_their_problems() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let of = |names: &[&str]| {
        let fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Int32, true))
            .collect();
        let columns = names.iter().map(|_| Arc::clone(&column)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
    };
    let invalid = Code::InvalidArgument;
    refused(flight.put(path(&["t"]), &[of(&[])]).await, invalid, &["no columns"]);
    refused(
        flight.put(path(&["t"]), &[of(&["a", "b", "a"])]).await,
        invalid,
        &["1 and 3", "\"a\""],
    );
    refused(
        flight.put(path(&["t"]), &[of(&["x".repeat(64).as_str()])]).await,
        invalid,
        &["64 bytes", "63"],
    );
    refused(
        flight.put(path(&["t"]), &[of(&["", "a", "a"])]).await,
        invalid,
        &["empty", "\"a\""],
    );
    refused(flight.put(path(&["t"]), &[of(&["ctid"])]).await, invalid, &["ctid"]);
    assert_eq!(tables(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_streams_are_refused_and_rolled_back() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let invalid = Code::InvalidArgument;
    let whole = messages(path(&["t"]), &[rows(), rows()]);

    let mut second_schema = whole.clone();
    second_schema.push(messages(path(&["t"]), &[batch(vec![("x", longs([1]))])]).remove(0));
    refused(flight.send(second_schema).await, invalid, &["second schema"]);

    let mut other_batch = whole.clone();
    other_batch.push(messages(path(&["t"]), &[batch(vec![("id", longs([1]))])]).remove(1));
    refused(
        flight.send(other_batch).await,
        invalid,
        &["message 4", "does not match the stream's schema"],
    );

    let mut cut = whole.clone();
    cut[2].data_body = cut[2].data_body.slice(0..8);
    refused(
        flight.send(cut).await,
        invalid,
        &["message 3", "nothing of it was committed"],
    );

    let mut garbage = whole.clone();
    garbage[1].data_header = b"garbage".as_slice().into();
    refused(flight.send(garbage).await, invalid, &["message 2"]);

    let mut after_commit = whole.clone();
    after_commit.push(metadata(r#"{"commit": {"rows": 4}}"#));
    after_commit.push(whole[1].clone());
    refused(flight.send(after_commit).await, invalid, &["after the commit message"]);

    let mut odd_metadata = whole.clone();
    odd_metadata[1].app_metadata = "{\"x\": 1}".into();
    refused(flight.send(odd_metadata).await, invalid, &["app_metadata", "commit"]);

    assert_eq!(
        tables(&database).await,
        Vec::<String>::new(),
        "an aborted stream leaves no table behind"
    );
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_postgres_cannot_store_are_named_by_row_and_column() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let nul = batch(vec![
        ("id", longs([1, 2])),
        ("name", texts(&[Some("fine"), Some("a\0b")])),
    ]);
    let result = flight.put(path(&["t"]), &[rows(), nul.clone()]).await;
    refused(
        result,
        Code::InvalidArgument,
        &["row 3 of the stream", "\"name\"", "NUL", "nul_bytes"],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
    flight
        .put(command(json!({"table": "t", "nul_bytes": "strip"})), &[nul])
        .await
        .unwrap();
    assert_eq!(database.value("select name from t where id = 2").await, "ab");
    let no_number = batch(vec![("id", texts(&[Some("7"), Some("x")]))]);
    refused(
        flight.put(path(&["t"]), &[no_number]).await,
        Code::InvalidArgument,
        &["row 1 of the stream", "public.t", "\"id\"", "bigint"],
    );
    let dates = batch(vec![(
        "id",
        Arc::new(arrow::array::Date32Array::from(vec![1])) as ArrayRef,
    )]);
    refused(
        flight.put(path(&["t"]), &[dates]).await,
        Code::FailedPrecondition,
        &["public.t", "\"id\"", "Date32", "bigint"],
    );
    let no_key = command(json!({"table": "t", "write_mode": "overwrite"}));
    refused(
        flight.put(no_key, &[rows()]).await,
        Code::InvalidArgument,
        &["overwrite needs a key", "primary_key"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_says_which_limit() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"limits": {"max_message_bytes": 1 << 20}})).await;
    let mut flight = Flight::connect(&server).await;
    let large = "x".repeat(2 << 20);
    let rows = batch(vec![("name", texts(&[Some(&large)]))]);
    refused(
        flight.put(path(&["t"]), &[rows]).await,
        Code::InvalidArgument,
        &["limits.max_message_bytes", "smaller batches"],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_named_with_the_reason() {
    let cluster = Cluster::private(&Options {
        password: Some("right"),
        fast: true,
        ..Options::default()
    });
    let good = cluster.uri("postgres");
    let nowhere = cluster.uri("nowhere");
    let cases = [
        (nowhere, Code::NotFound, "nowhere"),
        (good.replace("right", "wrong"), Code::Internal, "password"),
        (
            "postgres://nobody@127.0.0.1:1/postgres".to_owned(),
            Code::Unavailable,
            "127.0.0.1",
        ),
    ];
    for (uri, code, word) in cases {
        // A server that cannot be reached is waited for that long; the others are told at once.
        let server = Server::start_with(&uri, json!({"retry_timeout": "1s"})).await;
        let result = Flight::connect(&server).await.put(path(&["t"]), &[rows()]).await;
        refused(result, code, &[word, "Postgres"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_privileges_are_named() {
    let database = Database::create().await;
    database.execute("create table t (id bigint, name text)").await;
    let role = format!("poor_{}", database.name());
    database
        .execute(&format!(
            "create role {role} login; revoke create on schema public from public"
        ))
        .await;
    let uri = url_with_user(database.uri(), &role);
    let server = Server::start_with(&uri, json!({})).await;
    let mut flight = Flight::connect(&server).await;
    refused(
        flight.put(path(&["t"]), &[rows()]).await,
        Code::PermissionDenied,
        &["public.t"],
    );
    refused(
        flight.put(path(&["u"]), &[rows()]).await,
        Code::PermissionDenied,
        &["public"],
    );
    database.execute(&format!("grant insert on t to {role}")).await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    drop((flight, server));
    database
        .execute(&format!("revoke all on t from {role}; drop role {role}"))
        .await;
}

/// The same connection string for another user.
pub(crate) fn url_with_user(uri: &str, user: &str) -> String {
    let (scheme, rest) = uri.split_once("://").expect("a URI");
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}@{host}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_holds_no_transaction_beyond_the_idle_timeout() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"limits": {"stream_idle_timeout": "300ms"}})).await;
    let mut flight = Flight::connect(&server).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    for message in messages(command(json!({"table": "t", "batch_size": 1})), &[rows()]) {
        sender.send(message).await.unwrap();
    }
    let result = flight
        .stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
        .await;
    refused(
        result,
        Code::DeadlineExceeded,
        &["limits.stream_idle_timeout", "0.3 s", "nothing of it was committed"],
    );
    drop(sender);
    let open = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while database.value(open).await != "0" {
        assert!(tokio::time::Instant::now() < deadline, "a transaction stays open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tables(&database).await, Vec::<String>::new());
}
