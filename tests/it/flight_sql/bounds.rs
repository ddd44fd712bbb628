//! What statements may not do to others: what they leave, how long they work, what they hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandPreparedStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, Ticket};
use futures::StreamExt;
use prost::Message;
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

use super::queries::{Sql, fetch, first, select, server};
use super::send;
use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, messages, path, texts};
use crate::support::server::{Server, start};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_statement_is_left_for_those_who_come_after() {
    let (database, server, mut sql) = server("read-only").await;
    for text in [
        "select set_config('search_path', 'nowhere', false)",
        "select pg_advisory_lock(16)",
        "select set_config('default_transaction_read_only', 'on', false)",
    ] {
        select(&mut sql, text).await.unwrap();
    }
    let mut flight = Flight::connect(&server).await;
    for _ in 0..4 {
        flight.put(path(&["t"]), &[rows()]).await.unwrap();
    }
    assert_eq!(database.value("select count(*) from public.t").await, "8");
    let mut held = String::new();
    for _ in 0..100 {
        held = database
            .value("select count(*) from pg_locks where locktype = 'advisory'")
            .await;
        if held == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{held} advisory locks are held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_ends_the_work_in_postgres() {
    let (database, server, _) = server("read-only").await;
    let running = "select count(*) from pg_stat_activity where query like '%generate_series(1, 1000000000)%' and state = 'active' and pid <> pg_backend_pid()";
    for text in [
        "select count(*) from generate_series(1, 1000000000)",
        "select n from generate_series(1, 1000000000) n",
        "select count(*) from generate_series(1, 1000000000) where true; ",
    ] {
        let mut flight = Flight::connect(&server).await;
        let query = arrow_flight::sql::CommandStatementQuery {
            query: text.to_owned(),
            transaction_id: None,
        };
        let call = tokio::spawn(async move {
            let read = flight.client.do_get(Ticket::new(query.as_any().encode_to_vec())).await;
            if let Ok(read) = read {
                let mut read = read.into_inner();
                read.next().await;
                read.next().await;
                std::future::pending::<()>().await;
            }
        });
        wait_for(&database, running, "1").await;
        call.abort();
        drop(call.await);
        wait_for(&database, running, "0").await;
    }
}

async fn wait_for(database: &Database, sql: &str, expected: &str) {
    let since = Instant::now();
    loop {
        let found = database.value(sql).await;
        if found == expected {
            return;
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "{found} instead of {expected}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_prepared_statements_costs_nothing_and_handles_of_others_are_none() {
    let (_database, _server, mut sql) = server("read-only").await;
    for _ in 0..10_000 / 100 {
        let prepared = (0..100).map(|n| {
            let mut sql = sql.clone();
            async move { sql.prepare(format!("select {n}::bigint"), None).await.map(drop) }
        });
        futures::future::try_join_all(prepared).await.unwrap();
    }
    assert_eq!(first(&select(&mut sql, "select 5::bigint").await.unwrap()), [5]);
    let stranger = CommandPreparedStatementQuery {
        prepared_statement_handle: b"0123456789abcdef".as_slice().into(),
    };
    let (_d, server, _) = server_of_two().await;
    let mut flight = Flight::connect(&server)
        .await
        .with_header("authorization", "Bearer one");
    let mut request = tonic::Request::new(Ticket::new(stranger.as_any().encode_to_vec()));
    *request.metadata_mut() = flight.headers.clone();
    let got = flight.client.do_get(request).await.map(drop);
    refused(got, Code::NotFound, &["no handle"]);
}

async fn server_of_two() -> (Database, Server, ()) {
    let database = Database::create().await;
    let tokens = json!([{"principal": "a", "token": "one"}, {"principal": "b", "token": "two"}]);
    let settings = json!({"flight_sql": {"queries": "read-only"}, "auth": {"tokens": tokens}});
    let server = Server::start_with(database.uri(), settings).await;
    (database, server, ())
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_a_size_and_must_fit() {
    let (_database, server, mut sql) = server("read-write").await;
    let mut prepared = sql.prepare("select $1::bigint".to_owned(), None).await.unwrap();
    let large: ArrayRef = Arc::new(Int64Array::from_iter_values(0..400_000));
    prepared.set_parameters(batch(vec![("$1", large)])).unwrap();
    let told = prepared.execute().await.unwrap_err().to_string();
    assert!(told.contains("1048576") && told.contains("ingest"), "{told}");
    for (given, words) in [
        (batch(vec![("a", texts(&[Some("x")]))]), "do not fit"),
        (
            batch(vec![("a", longs([1])), ("b", longs([1]))]),
            "1 parameters and 2 were given",
        ),
    ] {
        let mut prepared = sql.prepare("select $1::bigint".to_owned(), None).await.unwrap();
        prepared.set_parameters(given).unwrap();
        let info = prepared.execute().await.unwrap();
        let told = fetch(&mut sql, info).await.unwrap_err();
        assert!(told.contains(words), "{told}");
    }
    // A batch that comes where a statement is expected.
    let mut flight = Flight::connect(&server).await;
    let nobody = CommandPreparedStatementQuery {
        prepared_statement_handle: Vec::new().into(),
    };
    let to = FlightDescriptor::new_cmd(nobody.as_any().encode_to_vec());
    refused(
        send(&mut flight, messages(to, &[rows()])).await,
        Code::NotFound,
        &["no handle"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_off_unless_configured() {
    let (_database, server, _) = start().await;
    let channel = Channel::from_shared(server.http()).unwrap().connect().await.unwrap();
    let mut sql: Sql = FlightSqlServiceClient::new(channel);
    let told = sql.prepare("select 1".to_owned(), None).await.unwrap_err().to_string();
    assert!(
        told.contains("CreatePreparedStatement") && told.contains("flight_sql.queries: off"),
        "{told}"
    );
}
