//! A connection that is lost at any message of any call: the call is carried out all the same, or says UNAVAILABLE. It never
//! blames the table, the role or the configuration for it.

use std::time::Duration;

use arrow_flight::{Criteria, FlightDescriptor, Ticket};
use base64::Engine as _;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::chaos::{Deed, Point, Proxy};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, path, texts};
use crate::support::server::Server;

/// Words of remedies that have nothing to do with a connection.
const MISLEADING: [&str; 9] = [
    "USAGE",
    "CREATE",
    "GRANT",
    "grant ",
    "privilege",
    "the role",
    "does not exist",
    "not installed",
    "internal error",
];

type Call = fn(Flight, u64) -> BoxFuture<'static, Result<(), Status>>;

/// Sends something under a number of its own, so that it finds what no try before it has left.
macro_rules! calls {
    ($($name:literal: |$flight:ident, $n:ident| $call:expr;)*) => {
        &[$(($name, |mut $flight, $n| Box::pin(async move { $call.await.map(drop) }))),*]
    };
}

const WRITES: &[(&str, Call)] = calls! {
    "a put into a new table": |flight, n| flight.put(path(&["public", &format!("new_{n}")]), &[rows()]);
    "a put that adds a column": |flight, n| flight.put(path(&["wide"]), &[batch(vec![("id", longs([1])), (&format!("c{n}"), longs([1]))])]);
    "an append in batches": |flight, _n| flight.put(command(json!({"table": "plain", "commit": "batch"})), &[rows()]);
    "an overwrite": |flight, _n| flight.put(command(json!({"table": "keyed", "write_mode": "overwrite"})), &[rows()]);
    "a replacement": |flight, _n| flight.put(command(json!({"table": "plain", "write_mode": "replace"})), &[rows()]);
    "a put with rejects": |flight, _n| flight.put(command(json!({"table": "plain", "on_bad_row": "reject"})), &[rows()]);
    "a put of a stream": |flight, n| flight.put(command(json!({"table": "plain", "commit": "atomic", "stream_id": format!("s{n}")})), &[rows()]);
    "a put of embedded rows": |flight, _n| flight.put(command(json!({"table": "docs", "write_mode": "overwrite"})), &[docs()]);
};

const ACTIONS: &[(&str, Call)] = calls! {
    "a plan": |flight, n| flight.act("pgflight.migrate", migrate(&format!("planned_{n}"), json!({"dry_run": true})));
    "a migration": |flight, n| flight.act("pgflight.migrate", migrate(&format!("migrated_{n}"), json!({})));
    "a forced migration": |flight, _n| flight.act("pgflight.migrate", migrate("worded", json!({"migrate_mode": "forced", "as_load": true})));
    "a deletion of stale rows": |flight, _n| flight.act("pgflight.delete_stale", json!({"table": "synced", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"}));
    "a deletion of stale embedded rows": |flight, _n| flight.act("pgflight.delete_stale", json!({"table": "docs", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"}));
    "a deletion of records": |flight, _n| flight.act("pgflight.delete_records", json!({"table": "synced", "where": [{"all": {"id": 7}}]}));
    "a deletion of embedded records": |flight, _n| flight.act("pgflight.delete_records", json!({"table": "docs", "where": [{"all": {"id": 7}}]}));
    "the opening of a stream": |flight, n| flight.act("pgflight.stream.open", json!({"table": "plain", "stream_id": format!("o{n}")}));
    "a question about a stream": |flight, _n| flight.act("pgflight.stream.status", json!({"stream_id": "there"}));
};

const READS: &[(&str, Call)] = calls! {
    "a read": |flight, _n| read(&mut flight);
    "a description": |flight, _n| flight.client.get_flight_info(named("plain"));
    "a schema": |flight, _n| flight.client.get_schema(named("plain"));
    "a list": |flight, _n| list(&mut flight);
};

fn rows() -> arrow::array::RecordBatch {
    batch(vec![("id", longs([1, 2])), ("name", texts(&[Some("a"), None]))])
}

fn docs() -> arrow::array::RecordBatch {
    batch(vec![("id", longs([1, 2])), ("body", texts(&[Some("a"), Some("b")]))])
}

fn named(table: &str) -> FlightDescriptor {
    path(&[table])
}

fn migrate(table: &str, options: Value) -> Value {
    let ipc =
        arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &rows().schema()).and_then(|writer| writer.into_inner());
    let mut body = options;
    body["table"] = json!(table);
    body["arrow_schema"] = json!(base64::engine::general_purpose::STANDARD.encode(ipc.expect("a schema")));
    body
}

async fn read(flight: &mut Flight) -> Result<(), Status> {
    let ticket = Ticket::new(json!({"table": "plain"}).to_string());
    let messages = flight.client.do_get(ticket).await?.into_inner();
    messages.try_for_each(|_| async { Ok(()) }).await
}

async fn list(flight: &mut Flight) -> Result<(), Status> {
    let listed = flight.client.list_flights(Criteria::default()).await?.into_inner();
    listed.try_for_each(|_| async { Ok(()) }).await
}

/// Tables of every call, a proxy before them, and the settings of a server behind it. Nobody asks for vectors.
async fn scene() -> (Database, Proxy, String, Value) {
    let database = Database::create().await;
    database
        .execute(
            "create extension vector; \
             create table plain (id bigint, name text); insert into plain select n, 'x' from generate_series(1, 10) n; \
             create table wide (id bigint); create table worded (id bigint, name bigint); \
             create table keyed (id bigint primary key, name text); \
             create table synced (id bigint, _cq_source_name text, _cq_sync_time timestamp); \
             create table docs (id bigint primary key, body text, _cq_id uuid, _cq_parent_id uuid, _cq_source_name text, _cq_sync_time timestamp)",
        )
        .await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let settings = json!({
        "retry_timeout": "20s",
        "pgvector_config": {
            "tables": [{"source_table_name": "docs", "target_table_name": "doc_chunks", "embed_columns": ["body"]}],
            "openai_embedding": {"dimensions": 4, "model_name": "m", "api_key": "k", "base_url": "http://127.0.0.1:1/v1"},
        },
        // They would use the line as they please.
        "embeddings": {"workers": false},
    });
    (database, proxy, uri, settings)
}

/// Cuts the line at the n-th message of a call, for every n that the call has.
async fn cut_everywhere(calls: &[(&str, Call)], point: Point) {
    let (database, proxy, uri, settings) = scene().await;
    let first = Server::start_with(&uri, settings.clone()).await;
    let open = json!({"table": "plain", "stream_id": "there"});
    let opened = Flight::connect(&first).await.act("pgflight.stream.open", open).await;
    opened.expect("a stream");
    first.stop().await;
    let mut wrong = Vec::new();
    for (name, call) in calls {
        let mut n = 0;
        loop {
            n += 1;
            // A new one knows nothing yet of the tables, and has to ask all over again.
            let server = Server::start_with(&uri, settings.clone()).await;
            let flight = Flight::connect(&server).await;
            let fired = proxy.fired().len();
            proxy.arm(point, n, Deed::Cut);
            let called = tokio::time::timeout(Duration::from_secs(60), call(flight, n)).await;
            proxy.disarm();
            match called {
                Err(_) => wrong.push(format!("{name}, {n}: no answer within a minute")),
                Ok(Err(status)) => {
                    let told = status.message();
                    let misled = MISLEADING.iter().any(|word| told.contains(word));
                    if status.code() != Code::Unavailable || misled {
                        wrong.push(format!("{name}, {n}: {:?} {told}", status.code()));
                    }
                }
                Ok(Ok(())) => {}
            }
            server.stop().await;
            if proxy.fired().len() == fired {
                break;
            }
        }
        assert!(n > 2, "{name} has messages");
    }
    assert_eq!(wrong, Vec::<String>::new(), "\n{}", wrong.join("\n"));
    drop(database);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_connection_is_lost_anywhere_is_done_or_unavailable() {
    cut_everywhere(WRITES, Point::ReadyForQuery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_whose_connection_is_lost_anywhere_is_done_or_unavailable() {
    cut_everywhere(ACTIONS, Point::ReadyForQuery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_connection_is_lost_anywhere_is_done_or_unavailable() {
    cut_everywhere(READS, Point::ReadyForQuery).await;
    cut_everywhere(READS, Point::AnyMessage).await;
}

/// Somebody listens and never answers: a machine between, or a server that was stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_accepts_and_says_nothing_is_unavailable() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("a TCP address").port();
    let uri = format!("postgres://nobody@127.0.0.1:{port}/nowhere?connect_timeout=1");
    let settings = json!({"retry_timeout": "1s", "pool": {"acquire_timeout": "3s"}});
    let server = Server::start_with(&uri, settings).await;
    let calls: [(&str, Call); 4] = [WRITES[0], ACTIONS[1], ACTIONS[3], READS[0]];
    let asked = calls.map(|(name, call)| {
        let server = &server;
        async move {
            let called = call(Flight::connect(server).await, 1).await;
            let status = called.expect_err("nothing can be done");
            assert_eq!(status.code(), Code::Unavailable, "{name}: {status}");
            let misled = MISLEADING.iter().any(|word| status.message().contains(word));
            assert!(!misled, "{name}: {status}");
        }
    });
    futures::future::join_all(asked).await;
    drop(silent);
}
