//! Sessions: calls before Init and after Close, state backends, two clients with specs of their own.

use std::time::Duration;

use arrow::datatypes::{DataType, Field, SchemaRef};
use pgflight::server::cloudquery::pb;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::client::{Cq, insert, key, migrate, schema};
use super::generator::rows;
use super::start;
use crate::support::database::Database;
use crate::support::server::Server;

fn ids(table: &str) -> SchemaRef {
    schema(table, vec![key(Field::new("id", DataType::Int64, false))])
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_init_and_after_close_say_so() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut cq = Cq::connect(&server).await;
    let (code, text) = cq.refused(vec![migrate(&ids("t"))]).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.contains("Write came before Init"), "{text}");
    cq.init(&json!({})).await.unwrap();
    cq.put(vec![migrate(&ids("t"))]).await;
    cq.plugin.close(pb::close::Request {}).await.unwrap();
    assert_eq!(cq.refused(vec![migrate(&ids("t"))]).await.0, Code::FailedPrecondition);
    let again = cq.plugin.close(pb::close::Request {}).await.unwrap_err();
    assert!(again.message().contains("closed already"), "{}", again.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_without_connection_takes_any_spec_and_no_write() {
    let (_database, _server, mut cq) = start().await;
    let request = pb::init::Request {
        spec: "{\"anything\": 1}".into(),
        no_connection: true,
        invocation_id: String::new(),
    };
    cq.plugin.init(request).await.unwrap();
    let (code, text) = cq.refused(vec![migrate(&ids("t"))]).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.contains("no_connection"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_with_different_specs_do_not_touch_each_other_when_one_dies() {
    let (first_database, server, mut first) = start().await;
    let second_database = Database::create().await;
    let mut second = Cq::connect(&server).await;
    second
        .init(&json!({"connection_string": second_database.uri(), "batch_size": 1}))
        .await
        .unwrap();

    // The first is in the middle of a Write when the second dies in the middle of its own.
    let (first_messages, open) = mpsc::channel(8);
    let first_write = tokio::spawn({
        let mut plugin = first.plugin.clone();
        async move { plugin.write(ReceiverStream::new(open)).await }
    });
    let (second_messages, open) = mpsc::channel(8);
    let second_write = tokio::spawn(async move {
        let answer = second.plugin.write(ReceiverStream::new(open)).await;
        drop(second);
        answer
    });
    let message = |message| pb::write::Request { message: Some(message) };
    for messages in [&first_messages, &second_messages] {
        messages.send(message(migrate(&ids("t")))).await.unwrap();
        messages
            .send(message(insert(&rows(&ids("t"), 0..3, false))))
            .await
            .unwrap();
    }
    let landed = async {
        while second_database.lines("select to_regclass('t')").await == ["<null>"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), landed)
        .await
        .expect("the second client's table appears");
    second_write.abort();
    assert!(second_write.await.is_err());
    drop(second_messages);
    first_messages
        .send(message(insert(&rows(&ids("t"), 3..5, false))))
        .await
        .unwrap();
    drop(first_messages);
    first_write.await.unwrap().unwrap();
    assert_eq!(first_database.value("select count(*) from t").await, "5");
    // And its settings are still its own.
    first.put(vec![insert(&rows(&ids("t"), 5..6, false))]).await;
    assert_eq!(first_database.value("select count(*) from t").await, "6");
    // Of what the second sent, each row is there once or not at all, and nothing that the first sent.
    let others = "select count(*) from (select id from t group by id having id not in (0, 1, 2) or count(*) > 1) odd";
    assert_eq!(second_database.value(others).await, "0");
}

/// A source that keeps its state here writes to where its own sync writes, whoever comes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_init_stays_with_its_first_client() {
    let (first_database, server, _first) = start().await;
    let mut backend = Cq::connect(&server).await;
    backend.put(vec![migrate(&ids("state"))]).await;
    let second_database = Database::create().await;
    let mut second = Cq::connect(&server).await;
    second
        .init(&json!({"connection_string": second_database.uri()}))
        .await
        .unwrap();
    backend.put(vec![insert(&rows(&ids("state"), 0..3, false))]).await;
    assert_eq!(first_database.value("select count(*) from state").await, "3");
    assert_eq!(second_database.lines("select to_regclass('state')").await, ["<null>"]);
    // Another CLI that ended, or was refused, writes nowhere.
    second.plugin.close(pb::close::Request {}).await.unwrap();
    assert_eq!(
        second.refused(vec![migrate(&ids("t"))]).await.0,
        Code::FailedPrecondition
    );
    let mut third = Cq::connect(&server).await;
    let long = third.init(&json!({"x".repeat(20_000): 1})).await.unwrap_err();
    assert_eq!(
        long.code(),
        Code::InvalidArgument,
        "a refusal is short enough for every client: {long:?}"
    );
    assert!(long.message().ends_with("is not a key"), "{}", long.message());
    let (code, text) = third.refused(vec![migrate(&ids("t"))]).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.contains("Init that was refused"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_than_the_servers_is_refused_where_the_policy_says_so() {
    let database = Database::create().await;
    let other = Database::create().await;
    for (policy, own, others) in [("equal", true, false), ("never", true, true), ("always", true, true)] {
        let settings = json!({"cloudquery": {"allow_client_connection_string": policy}});
        let server = Server::start_with(database.uri(), settings).await;
        for (uri, allowed) in [(database.uri(), own), (other.uri(), others)] {
            let mut cq = Cq::connect(&server).await;
            let answer = cq.init(&json!({"connection_string": uri})).await;
            assert_eq!(answer.is_ok(), allowed, "{policy}: {answer:?}");
        }
        let mut cq = Cq::connect(&server).await;
        cq.init(&json!({"connection_string": other.uri()})).await.ok();
        let table = format!("t_{policy}");
        cq.write(vec![migrate(&ids(&table))]).await.ok();
        let where_it_is = format!("select count(*) from pg_class where relname = '{table}'");
        assert_eq!(
            other.value(&where_it_is).await,
            if policy == "always" { "1" } else { "0" },
            "{policy}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn test_connection_tells_what_is_wrong() {
    let (database, _server, mut cq) = start().await;
    let uri = database.uri();
    let refused = "postgres://nobody@127.0.0.1:1/none?connect_timeout=2".to_owned();
    let missing = uri.replace(database.name(), "no_such_database");
    for (spec, code) in [
        (json!({"connection_string": uri}), ""),
        (json!({"connection_string": 7}), "INVALID_SPEC"),
        (json!({"connection_strong": uri}), "INVALID_SPEC"),
        (
            json!({"connection_string": uri, "lakebase": {"endpoint": "x"}}),
            "INVALID_SPEC",
        ),
        (
            json!({"connection_string": uri, "aws_iam_auth": {"region": "x"}}),
            "INVALID_SPEC",
        ),
        (json!({"connection_string": "postgres://[::1"}), "INVALID_CONFIG"),
        (json!({"connection_string": refused}), "CONN_FAILED"),
        (
            json!({"connection_string": "postgres://u@no-such-host.invalid/x"}),
            "DNS_FAILED",
        ),
        (json!({"connection_string": missing}), "UNKNOWN_DATABASE"),
        (
            json!({"connection_string": format!("{uri}{}options=-csearch_path%3Dnowhere", if uri.contains('?') { "&" } else { "?" })}),
            "UNKNOWN_SCHEMA",
        ),
    ] {
        let request = pb::test_connection::Request {
            spec: spec.to_string().into(),
        };
        let answer = cq.plugin.test_connection(request).await.unwrap().into_inner();
        assert_eq!(
            (answer.success, answer.failure_code.as_str()),
            (code.is_empty(), code),
            "{spec}: {answer:?}"
        );
        assert_eq!(answer.failure_description.is_empty(), code.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_versions_and_the_methods_of_sources() {
    let (_database, _server, mut cq) = start().await;
    let name = cq
        .plugin
        .get_name(pb::get_name::Request {})
        .await
        .unwrap()
        .into_inner()
        .name;
    let version = cq
        .plugin
        .get_version(pb::get_version::Request {})
        .await
        .unwrap()
        .into_inner()
        .version;
    assert_eq!(
        (name.as_str(), version.as_str()),
        ("pgflight", concat!("v", env!("CARGO_PKG_VERSION")))
    );
    let tables = cq
        .plugin
        .get_tables(pb::get_tables::Request::default())
        .await
        .unwrap_err();
    assert_eq!(tables.code(), Code::Unimplemented);
    let sync = cq.plugin.sync(pb::sync::Request::default()).await.unwrap_err();
    assert!(
        sync.message().contains("Sync is a method of sources"),
        "{}",
        sync.message()
    );
}

/// Each Write call is one of the streams that all clients together may have.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_beyond_the_limit_of_streams_is_refused_and_its_place_comes_back() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"limits": {"max_streams": 1}})).await;
    let mut first = Cq::ready(&server).await;
    let mut second = Cq::ready(&server).await;
    let (messages, received) = mpsc::channel(1);
    let writing = tokio::spawn(async move { first.plugin.write(ReceiverStream::new(received)).await });
    let message = Some(migrate(&ids("t")));
    messages.send(pb::write::Request { message }).await.unwrap();
    database.wait_for("select to_regclass('t') is not null").await;
    let (code, text) = second.refused(vec![migrate(&ids("u"))]).await;
    assert_eq!(code, Code::ResourceExhausted);
    assert!(text.contains("limits.max_streams"), "{text}");
    drop(messages);
    writing.await.unwrap().unwrap();
    second.put(vec![migrate(&ids("u"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_takes_is_cut_off_and_gives_its_connection_back() {
    let database = Database::create().await;
    database
        .execute("create table big as select n::bigint as n, repeat('x', 900) as t from generate_series(1, 60000) n")
        .await;
    let limits = json!({"limits": {"stream_idle_timeout": "1s"}});
    let server = Server::start_with(database.uri(), limits).await;
    let mut cq = Cq::ready(&server).await;
    let fields = vec![
        Field::new("n", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
    ];
    let table = super::client::schema_bytes(&schema("big", fields)).into();
    let mut records = cq.plugin.read(pb::read::Request { table }).await.unwrap().into_inner();
    assert!(records.message().await.unwrap().is_some());
    database
        .wait_for(
            "select not exists (select from pg_stat_activity where query like 'copy (select%' \
             and datname = current_database() and state = 'active')",
        )
        .await;
    let end = loop {
        match records.message().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    let status = end.expect_err("a read that was cut off does not look complete");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}
