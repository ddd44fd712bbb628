//! Rows that are larger than a message should be: refused above the limit, one after the other below it, in a program whose memory is
//! bounded, and with a sibling that goes on.

use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, StringArray};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{FlightData, Ticket};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::{Code, Status, Streaming};

use super::descriptor;
use crate::faults::bombs::{STALL, Sibling};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, messages};
use crate::support::oracle::assert_documented;
use crate::support::process::Process;

/// Address space of the program.
const SPACE: u64 = 2 << 30;
const LIMIT: usize = 64 << 20;
const CELL: usize = 60_000_000;

async fn start(database: &Database, settings: &[(&str, &str)]) -> Process {
    let limit = LIMIT.to_string();
    let all = [
        &[("flight_sql.queries", "read-only"), ("limits.max_row_bytes", &limit)],
        settings,
    ]
    .concat();
    Process::start_in_space(database.uri(), &all, SPACE).await
}

async fn reach(process: &Process) -> Flight {
    let mut flight = Flight::reach(&process.http()).await;
    flight.client = flight.client.max_decoding_message_size(1 << 30);
    flight
}

fn query(text: &str) -> Ticket {
    let query = CommandStatementQuery {
        query: text.to_owned(),
        transaction_id: None,
    };
    Ticket::new(query.as_any().encode_to_vec())
}

async fn begin(process: &Process, ticket: Ticket) -> Result<Streaming<FlightData>, Status> {
    Ok(reach(process).await.client.do_get(ticket).await?.into_inner())
}

/// The lengths of the texts in the first column.
async fn lengths(messages: Streaming<FlightData>) -> Result<Vec<usize>, Status> {
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(Status::from)?;
        let texts: &StringArray = batch.column(0).as_string();
        all.extend((0..texts.len()).map(|row| texts.value(row).len()));
    }
    Ok(all)
}

async fn read(process: &Process, ticket: Ticket) -> Result<Vec<usize>, Status> {
    lengths(begin(process, ticket).await?).await
}

/// The ticket of a prepared statement with this number as its parameter: rows come by the extended protocol.
async fn bound(process: &Process, text: &str, number: i64) -> Ticket {
    let mut flight = reach(process).await;
    let created = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: text.to_owned(),
        transaction_id: None,
    };
    let action = arrow_flight::Action {
        r#type: "CreatePreparedStatement".to_owned(),
        body: created.as_any().encode_to_vec().into(),
    };
    let mut answers = flight.client.do_action(action).await.expect("an answer").into_inner();
    let answer = answers.next().await.expect("an answer").expect("an answer").body;
    let any = arrow_flight::sql::Any::decode(answer).expect("an answer");
    let created: arrow_flight::sql::ActionCreatePreparedStatementResult =
        any.unpack().expect("an answer").expect("an answer");
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: created.prepared_statement_handle,
    };
    let values = batch(vec![("$1", longs([number]))]);
    let put = flight
        .client
        .do_put(futures::stream::iter(messages(descriptor(&command), &[values])))
        .await
        .expect("an answer");
    let put = put.into_inner().next().await.expect("an answer").expect("an answer");
    let bound = DoPutPreparedStatementResult::decode(put.app_metadata).expect("an answer");
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: bound.prepared_statement_handle.expect("an answer"),
    };
    Ticket::new(command.as_any().encode_to_vec())
}

fn too_large(answer: Result<Vec<usize>, Status>, bytes: usize) {
    let status = answer.expect_err("a row above the limit");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("limits.max_row_bytes"), "{status}");
    // The first row of a COPY comes with the header of the COPY.
    let told = [bytes, bytes + 19].map(|bytes| status.message().contains(&format!("a row of {bytes} bytes")));
    assert!(told.contains(&true), "{status}");
    assert_documented(&status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_above_the_limit_is_refused_and_named_by_its_size() {
    let database = Database::create().await;
    let mut process = start(&database, &[]).await;
    // Two bytes for the number of fields, four for the length of each.
    let size = |text: usize| text + 6;
    let sibling = Sibling::start(&process.http());
    let gigabyte = query("select repeat('x', 1000000000)");
    too_large(read(&process, gigabyte.clone()).await, size(1_000_000_000));
    let extended = bound(&process, "select repeat('x', $1::bigint::int)", 1_000_000_000).await;
    too_large(read(&process, extended).await, size(1_000_000_000));
    let at_once = (0..4).map(|_| read(&process, gigabyte.clone()));
    for answer in futures::future::join_all(at_once).await {
        too_large(answer, size(1_000_000_000));
    }
    too_large(
        read(&process, query(&format!("select repeat('x', {LIMIT})"))).await,
        size(LIMIT),
    );
    let largest = LIMIT - 25;
    let text = format!("select repeat('x', {largest})");
    assert_eq!(read(&process, query(&text)).await.unwrap(), [largest]);
    // A table is no other case.
    database
        .execute(&format!(
            "create table large as select repeat('x', 100000000) as cell; insert into large select repeat('y', {CELL})"
        ))
        .await;
    too_large(read(&process, Ticket::new("large")).await, size(100_000_000));
    let small = Ticket::new(r#"{"table": "sibling"}"#);
    begin(&process, small).await.unwrap();
    let (rows, slowest) = sibling.end(&mut process).await;
    println!(
        "slowest of {rows} puts {slowest:.2?}, peak {} MiB",
        process.peak_memory() >> 20
    );
    assert!(slowest < STALL, "{slowest:?}");
    assert!(process.peak_memory() < 600 << 20, "{} MiB", process.peak_memory() >> 20);
    assert_eq!(process.exit_code(Duration::ZERO).await, None, "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_rows_come_one_after_the_other_whatever_the_number_of_readers() {
    let database = Database::create().await;
    let mut process = start(&database, &[]).await;
    let copied = query(&format!("select repeat('x', {CELL}) from generate_series(1, 3)"));
    let extended = bound(
        &process,
        "select repeat('y', $1::bigint::int) from generate_series(1, 3)",
        CELL as i64,
    )
    .await;
    let sibling = Sibling::start(&process.http());
    let started = Instant::now();
    let reads = (0..8).map(|n| {
        let ticket = if n % 2 == 0 { &copied } else { &extended };
        read(&process, ticket.clone())
    });
    for lengths in futures::future::try_join_all(reads).await.unwrap() {
        assert_eq!(lengths, [CELL; 3]);
    }
    let (rows, slowest) = sibling.end(&mut process).await;
    let peak = process.peak_memory() >> 20;
    println!(
        "24 rows in {:.1?}, slowest of {rows} puts {slowest:.2?}, peak {peak} MiB",
        started.elapsed()
    );
    assert!(slowest < STALL, "{slowest:?}");
    // Without a bound it would be some four times 8 cells of 57 MiB. 643 MiB were seen with mimalloc, and 520 with
    // glibc's allocator.
    assert!(peak < 700, "{peak} MiB");
    assert_eq!(process.exit_code(Duration::ZERO).await, None, "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_holds_large_rows_of_others_up_for_a_while_only() {
    let database = Database::create().await;
    let process = start(&database, &[("limits.stream_idle_timeout", "2s")]).await;
    let ticket = query(&format!("select repeat('x', {CELL}) from generate_series(1, 3)"));
    let mut still = Vec::new();
    for _ in 0..2 {
        let mut messages = begin(&process, ticket.clone()).await.unwrap();
        messages.next().await.unwrap().unwrap();
        still.push(messages);
    }
    let started = Instant::now();
    assert_eq!(read(&process, ticket).await.unwrap(), [CELL; 3]);
    println!("after {:.1?}", started.elapsed());
    drop(still);
}
