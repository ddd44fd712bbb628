//! A table in parts that are read at once: one snapshot, each row once, and an end of what is kept for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::{FlightDescriptor, FlightInfo};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use super::{client, get};
use crate::support::database::Database;
use crate::support::python::Python;
use crate::support::server::Server;

const ROWS: i64 = 40_000;
const KEPT: &str =
    "select count(*) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()";

/// A table of some thousand pages whose rows can be told apart.
async fn big(database: &Database) {
    let create = format!(
        "create table big as select n::int8 as n, repeat(md5(n::text), 10) as pad from generate_series(1, {ROWS}) n"
    );
    database.execute(&create).await;
}

async fn info(server: &Server, descriptor: Value) -> FlightInfo {
    let descriptor = FlightDescriptor::new_cmd(descriptor.to_string());
    let info = client(server).await.get_flight_info(descriptor).await;
    info.expect("a description").into_inner()
}

fn tickets(info: &FlightInfo) -> Vec<Value> {
    let ticket = |endpoint: &arrow_flight::FlightEndpoint| {
        assert!(
            endpoint.location.is_empty(),
            "clients use the connection that they have"
        );
        serde_json::from_slice(&endpoint.ticket.as_ref().expect("a ticket").ticket).expect("JSON")
    };
    info.endpoint.iter().map(ticket).collect()
}

fn why_whole(info: &FlightInfo) -> String {
    let told: Value = serde_json::from_slice(&info.app_metadata).expect("JSON");
    told["one_part"].as_str().unwrap_or_default().to_owned()
}

async fn numbers(server: &Server, ticket: Value) -> Result<Vec<i64>, Status> {
    let read = get(server, ticket).await?;
    Ok(read.column(0).as_primitive::<Int64Type>().values().to_vec())
}

fn gone(answer: Result<Vec<i64>, Status>) {
    let status = answer.expect_err("the snapshot is gone");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(status.message().contains("call GetFlightInfo again"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_that_are_read_at_once_give_each_row_once_while_writers_change_the_table() {
    let database = Database::create().await;
    big(&database).await;
    let (server, other) = (Server::start(&database).await, Server::start(&database).await);
    let tickets = tickets(&info(&server, json!({"table": "big", "partitions": 8})).await);
    assert_eq!(tickets.len(), 8);
    assert_eq!(database.value(KEPT).await, "1", "one session keeps the snapshot");
    // Every row changes its number and its place, again and again, and new ones come.
    let ended = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (ended, uri) = (Arc::clone(&ended), database.uri().to_owned());
        async move {
            let (client, connection) = tokio_postgres::connect(&uri, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let mut turns = 0;
            while !ended.load(Ordering::Relaxed) {
                let change = "update big set n = n + 1000000 where n % 3 = 0; delete from big where n % 7 = 1; \
                              insert into big select -n, pad from big where n > 0 limit 2000";
                client.batch_execute(change).await.unwrap();
                client.batch_execute("vacuum big").await.unwrap();
                turns += 1;
            }
            turns
        }
    });
    database.wait_for("select exists (select from big where n < 0)").await;
    let half = tickets.len() / 2;
    let reads = tickets.iter().enumerate().map(|(at, ticket)| {
        // A part may be read from any server of the same database.
        let from = if at < half { &server } else { &other };
        numbers(from, ticket.clone())
    });
    let parts = futures::future::try_join_all(reads).await.unwrap();
    // The other server's reads are not seen by the one that keeps the snapshot.
    for (ticket, expected) in tickets.iter().zip(&parts).skip(half) {
        assert_eq!(
            &numbers(&server, ticket.clone()).await.unwrap(),
            expected,
            "the same again"
        );
    }
    ended.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0, "the table changed meanwhile");
    assert!(
        parts.iter().all(|part| part.len() > 1000),
        "about the same number in each"
    );
    let all: Vec<i64> = parts.concat();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct), (ROWS as usize, (1..=ROWS).collect()));
    // All were read, so nothing is kept any more.
    database.wait_for(&format!("select ({KEPT}) = 0")).await;
    gone(numbers(&server, tickets[0].clone()).await);
    gone(numbers(&other, tickets[7].clone()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_children_are_read_in_parts_as_they_were() {
    let database = Database::create().await;
    database
        .execute(
            "create table p (n int8, pad text) partition by range (n);
             create table p1 partition of p for values from (0) to (1000); create table p2 partition of p for values from (1000) to (20001)
               partition by range (n); create table p3 partition of p2 for values from (1000) to (20001);
             insert into p select n, repeat('x', 200) from generate_series(1, 20000) n;
             create table later (n int8, pad text); insert into later select -n, repeat('x', 200) from generate_series(1, 20000) n;
             create table c (n int8, pad text); create table c1 () inherits (c);
             insert into c select n, repeat('x', 200) from generate_series(1, 500) n; insert into c1 select n, pad from p where n > 500",
        )
        .await;
    let server = Server::start(&database).await;
    for table in ["p", "c"] {
        let tickets = tickets(&info(&server, json!({"table": table, "partitions": 5, "columns": ["n"]})).await);
        assert_eq!(tickets.len(), 5, "{table}");
        let mut all = numbers(&server, tickets[0].clone()).await.unwrap();
        if table == "p" {
            database
                .execute("alter table p attach partition later for values from (-20001) to (0)")
                .await;
        }
        for ticket in &tickets[1..] {
            let part = numbers(&server, ticket.clone()).await.unwrap();
            assert!(part.len() < 8_000, "{table}: {}", part.len());
            all.extend(part);
        }
        all.sort_unstable();
        assert_eq!(all, (1..=20_000).collect::<Vec<i64>>(), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cut_is_one_part_and_says_why() {
    let database = Database::create().await;
    big(&database).await;
    database
        .execute(
            "create table small as select 1::int8 as n; create view v as select n from big; create materialized view m as select n from big",
        )
        .await;
    let server = Server::start(&database).await;
    for (asked, words) in [
        (json!({"table": "small", "partitions": 4}), "too small"),
        (json!({"table": "v", "partitions": 4}), "only tables"),
        (json!({"table": "m", "partitions": 4}), "only tables"),
        (json!({"table": "big", "partitions": 4, "limit": 10}), "limit"),
        (json!({"table": "big", "partitions": 1}), ""),
        (json!({"table": "big"}), ""),
    ] {
        let info = info(&server, asked.clone()).await;
        let why = why_whole(&info);
        assert!(
            why.contains(words) && why.is_empty() == words.is_empty(),
            "{asked}: {why}"
        );
        let tickets = tickets(&info);
        assert_eq!((tickets.len(), tickets[0].get("part")), (1, None), "{asked}");
        assert!(!numbers(&server, tickets[0].clone()).await.unwrap().is_empty());
    }
    assert_eq!(database.value(KEPT).await, "0", "nothing is kept for one part");
    let mut client = client(&server).await;
    for wrong in ["0", "257", "x"] {
        let mut asked = Request::new(FlightDescriptor::new_path(vec!["big".to_owned()]));
        asked
            .metadata_mut()
            .insert("pgflight-partitions", wrong.parse().unwrap());
        let status = client.get_flight_info(asked).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("from 1 to 256"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_few_and_end_when_nobody_reads() {
    let database = Database::create().await;
    big(&database).await;
    let settings = json!({"limits": {"stream_idle_timeout": "2s"}, "pool": {"max_size": 8}});
    let server = Server::start_with(database.uri(), settings).await;
    let ask = json!({"table": "big", "partitions": 3});
    let first = tickets(&info(&server, ask.clone()).await);
    let second = tickets(&info(&server, ask.clone()).await);
    assert_eq!((first.len(), second.len()), (3, 3));
    let third = info(&server, ask.clone()).await;
    assert!(
        why_whole(&third).contains("kept for other reads"),
        "{}",
        why_whole(&third)
    );
    assert_eq!(
        numbers(&server, tickets(&third)[0].clone()).await.unwrap().len(),
        ROWS as usize
    );
    database.wait_for(&format!("select ({KEPT}) = 0")).await;
    for ticket in first.iter().chain(&second) {
        gone(numbers(&server, ticket.clone()).await);
    }
    // Their places and their sessions are free again, and a session that Postgres ends says so, too.
    let again = tickets(&info(&server, ask).await);
    assert_eq!(again.len(), 3);
    database
        .execute("select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()")
        .await;
    database.wait_for(&format!("select ({KEPT}) = 0")).await;
    gone(numbers(&server, again[0].clone()).await);
    let forged = json!({"table": "big", "part": {"snapshot": "x'; drop table big", "number": 0, "from": null, "to": null, "tables": []}});
    gone(numbers(&server, forged).await);
    assert_eq!(database.value("select count(*) from big").await, ROWS.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_table_waits_until_the_parts_are_read() {
    let database = Database::create().await;
    big(&database).await;
    let server = Server::start(&database).await;
    let tickets = tickets(&info(&server, json!({"table": "big", "partitions": 2})).await);
    let truncated = database
        .client()
        .batch_execute("set lock_timeout = '200ms'; truncate big")
        .await;
    assert_eq!(truncated.unwrap_err().code().map(|code| code.code()), Some("55P03"));
    for ticket in tickets {
        numbers(&server, ticket).await.unwrap();
    }
    database.execute("set lock_timeout = '10s'; truncate big").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adbc_driver_reads_partitions_at_once() {
    let database = Database::create().await;
    big(&database).await;
    let server = Server::start_with(database.uri(), json!({"flight_sql": {"queries": "read-only"}})).await;
    let printed = Python::pinned().run("adbc.py", &["partitions", &server.uri()]).await;
    let told: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(told["partitions"], 4, "{told}");
    assert_eq!(told["schema"], json!(["n", "pad"]), "{told}");
    assert_eq!(
        (&told["rows"], &told["distinct"]),
        (&json!(ROWS), &json!(ROWS)),
        "{told}"
    );
    assert_eq!((&told["other"], &told["ingested"]), (&json!(1), &json!(2)), "{told}");
}
