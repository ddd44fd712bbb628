//! One read is one snapshot, and a reader that goes away gives its connection back.

use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, Ticket};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tonic::{Code, Streaming};

use super::{client, get};
use crate::support::database::Database;
use crate::support::server::Server;

/// Far more than what fits into the buffers between a client that does not read and the table.
const BIG: &str =
    "create table big as select n::int8 as n, repeat(md5(n::text), 30) as pad from generate_series(1, 60000) n";
const SUM: i64 = 60_000 * 60_001 / 2;

async fn begin(server: &Server) -> Streaming<FlightData> {
    let answer = client(server).await.do_get(Ticket::new("big")).await;
    let mut messages = answer.expect("the table is there").into_inner();
    // The schema, and the first rows: the read is under way.
    for _ in 0..2 {
        let message = messages.next().await.expect("there is more");
        message.expect("the read goes well");
    }
    messages
}

const COPIES: &str = "select count(*) from pg_stat_activity where query like 'copy (select%' and state = 'active' \
                      and datname = current_database()";

async fn copies(database: &Database) -> String {
    database.value(COPIES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_does_not_change_what_a_running_read_sees() {
    let database = Database::create().await;
    database.execute(BIG).await;
    let server = Server::start(&database).await;
    let messages = client(&server)
        .await
        .do_get(Ticket::new("big"))
        .await
        .unwrap()
        .into_inner();
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    let mut sum = 0;
    let mut rows = 0;
    let mut reads = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        if reads == 0 {
            assert_eq!(copies(&database).await, "1", "the read goes on while the writer writes");
            database
                .execute("update big set n = n + 1000000; delete from big where n % 2 = 0")
                .await;
        }
        reads += 1;
        rows += batch.num_rows();
        sum += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
    }
    assert_eq!((rows, sum), (60_000, SUM));
    assert!(reads > 10, "a table of 58 MB came in {reads} batches");
    let after = get(&server, json!({"table": "big", "columns": ["n"]})).await.unwrap();
    assert_eq!(after.num_rows(), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_table_waits_for_a_running_read() {
    let database = Database::create().await;
    database.execute(BIG).await;
    let server = Server::start(&database).await;
    let mut messages = begin(&server).await;
    let altered = database
        .client()
        .batch_execute("set lock_timeout = '200ms'; alter table big alter n type float8")
        .await;
    assert_eq!(altered.unwrap_err().code().map(|code| code.code()), Some("55P03"));
    while let Some(message) = messages.next().await {
        message.unwrap();
    }
    database
        .execute("set lock_timeout = '10s'; alter table big alter n type float8")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_gives_its_connection_back() {
    let database = Database::create().await;
    database.execute(BIG).await;
    let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 1}})).await;
    for _ in 0..3 {
        let messages = begin(&server).await;
        assert_eq!(copies(&database).await, "1");
        drop(messages);
        let mut left = copies(&database).await;
        for _ in 0..100 {
            if left == "0" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            left = copies(&database).await;
        }
        assert_eq!(left, "0", "the COPY ends when its reader is gone");
    }
    let read = get(&server, json!({"table": "big", "columns": ["n"], "limit": 10}))
        .await
        .unwrap();
    assert_eq!(read.num_rows(), 10, "the only connection of the pool works again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_is_cut_off_with_an_error() {
    let database = Database::create().await;
    database.execute(BIG).await;
    let settings = json!({"limits": {"stream_idle_timeout": "1s"}});
    let server = Server::start_with(database.uri(), settings).await;
    let mut messages = begin(&server).await;
    database.wait_for(&format!("select ({COPIES}) = 0")).await;
    let end = loop {
        match messages.next().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    let status = end
        .expect("a read that was cut off does not look complete")
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_ends_in_the_middle_is_an_error_and_no_short_table() {
    let database = Database::create().await;
    database.execute(BIG).await;
    let server = Server::start(&database).await;
    let mut messages = begin(&server).await;
    let ended = database
        .value("select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'copy (select%' and datname = current_database() and state = 'active'")
        .await;
    assert_eq!(ended, "1");
    let end = loop {
        match messages.next().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    let status = end.expect("a read that broke does not look complete").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}
