//! A server that is asked to end: what statements are told that still run, and those that come.

use std::time::Duration;

use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, ProstMessageExt};
use arrow_flight::{FlightData, Ticket};
use futures::StreamExt;
use prost::Message;
use tonic::{Code, Status};

use super::{descriptor, send};
use crate::flight_refusals::refused;
use crate::support::database::Database;
use crate::support::flight::Flight;
use crate::support::process::{Process, Signal};

fn query(text: &str) -> CommandStatementQuery {
    CommandStatementQuery {
        query: text.to_owned(),
        transaction_id: None,
    }
}

/// Reads a statement's rows, one message every now and then, to whatever end.
async fn read(mut flight: Flight, text: &str) -> Result<(), Status> {
    let ticket = Ticket::new(query(text).as_any().encode_to_vec());
    let mut messages = flight.client.do_get(ticket).await?.into_inner();
    while let Some(message) = messages.next().await {
        message?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn describe(mut flight: Flight, text: &str) -> Result<(), Status> {
    flight.client.get_flight_info(descriptor(&query(text))).await.map(drop)
}

async fn change(mut flight: Flight, text: &str) -> Result<i64, Status> {
    let update = CommandStatementUpdate {
        query: text.to_owned(),
        transaction_id: None,
    };
    let message = FlightData {
        flight_descriptor: Some(descriptor(&update)),
        ..FlightData::default()
    };
    send(&mut flight, vec![message]).await
}

/// New statements, each on a connection of its own.
async fn all_are_refused([first, second, third]: [Flight; 3]) {
    let late = [
        read(first, "select 1").await,
        describe(second, "create table late (n int)").await,
        change(third, "insert into t values (1)").await.map(drop),
    ];
    for status in late {
        let status = status.expect_err("a new statement is refused while draining");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_run_longer_than_the_drain_are_told_so_and_leave_nothing() {
    let database = Database::create().await;
    database
        .execute("create table t (n bigint); create table locked (n bigint)")
        .await;
    let settings = [("flight_sql.queries", "read-write"), ("shutdown.drain_timeout", "8s")];
    let mut process = Process::start(database.uri(), &settings).await;
    // A session of its own: one sees the activity of others as it was when its transaction began.
    let (locker, connection) = tokio_postgres::connect(database.uri(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    locker.batch_execute("begin; lock table locked").await.unwrap();
    let http = process.http();
    let flight = Flight::reach(&http).await;
    let start = |text: &'static str, work: &str| {
        let flight = flight.clone();
        match work {
            "read" => tokio::spawn(read(flight, text)),
            "describe" => tokio::spawn(describe(flight, text)),
            _ => tokio::spawn(async move { change(flight, text).await.map(drop) }),
        }
    };
    let running = [
        start(
            "select n, repeat('x', 1000) as pad from generate_series(1, 100000000) n",
            "read",
        ),
        start("select pg_sleep(600) is null as slept", "read"),
        start("create table made as select pg_sleep(600) is null as slept", "describe"),
        start("select n from locked", "describe"),
        start("insert into t select 1 from pg_sleep(600)", "change"),
    ];
    let at_work = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                   and state = 'active'";
    database.wait_for(&format!("select ({at_work}) = 5")).await;
    let idle = [
        Flight::reach(&http).await,
        Flight::reach(&http).await,
        Flight::reach(&http).await,
    ];
    process.signal(Signal::Terminate);
    process.logs("shutting down").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    all_are_refused(idle).await;
    for (n, call) in running.into_iter().enumerate() {
        let ended = call.await.unwrap();
        assert!(ended.is_err(), "statement {n} did not end by itself");
        refused(ended, Code::Unavailable, &["shutting down"]);
    }
    assert_eq!(
        process.exit_code(Duration::from_secs(60)).await,
        Some(0),
        "{}",
        process.log()
    );
    locker.batch_execute("rollback").await.unwrap();
    database.wait_for(&format!("select ({at_work}) = 0")).await;
    let left = "select (select count(*) from t) || ' ' || coalesce(to_regclass('made')::text, '') || coalesce(to_regclass('late')::text, '')";
    assert_eq!(database.value(left).await, "0 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_end_within_the_drain_are_answered_whole() {
    let database = Database::create().await;
    let mut process = Process::start(database.uri(), &[("flight_sql.queries", "read-write")]).await;
    let flight = Flight::reach(&process.http()).await;
    let reading = tokio::spawn(read(
        flight.clone(),
        "select n, repeat('x', 1000) as pad from generate_series(1, 50000) n",
    ));
    let making = tokio::spawn(describe(
        flight,
        "create table made as select pg_sleep(2) is null as slept",
    ));
    database
        .wait_for(
            "select count(*) = 2 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active'",
        )
        .await;
    process.signal(Signal::Terminate);
    reading.await.unwrap().unwrap();
    making.await.unwrap().unwrap();
    assert_eq!(
        process.exit_code(Duration::from_secs(60)).await,
        Some(0),
        "{}",
        process.log()
    );
    assert_eq!(database.value("select count(*) from made").await, "1");
}
