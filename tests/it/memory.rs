//! The memory of the real program under a stream that is many times larger than it may hold.
//!
//! By default 256 MiB are streamed; `PGFLIGHT_STREAM_MIB=5120` makes it the 5 GiB of the promise in docs/performance.md.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, RecordBatch};
use arrow_flight::FlightData;
use serde_json::json;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, texts};
use crate::support::process::Process;

/// Resident memory that the promise allows, whatever the length of the stream.
const BOUND_MIB: u64 = 200;
/// What one batch of [`ROWS`] rows carries in Arrow form, a little less than a megabyte.
const ROWS: i64 = 8_192;

/// Wide enough that its text columns dominate, as in event tables.
fn events() -> RecordBatch {
    let notes: Vec<String> = (0..ROWS).map(|row| format!("{row:064}")).collect();
    let notes: Vec<Option<&str>> = notes.iter().map(|note| Some(note.as_str())).collect();
    let prices: ArrayRef = Arc::new(
        Decimal128Array::from_iter_values((0..ROWS).map(|row| i128::from(row) * 101))
            .with_precision_and_scale(15, 2)
            .expect("a valid type"),
    );
    let weights: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 8.0)));
    batch(vec![
        ("id", longs(0..ROWS)),
        ("price", prices),
        ("weight", weights),
        ("note", texts(&notes)),
    ])
}

fn mebibytes() -> u64 {
    match std::env::var("PGFLIGHT_STREAM_MIB") {
        Ok(text) => text.parse().expect("PGFLIGHT_STREAM_MIB is a number"),
        Err(_) => 256,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_any_length_stays_under_200_mib_of_memory() {
    let database = Database::create().await;
    let process = Process::start(database.uri(), &[]).await;
    for commit in ["atomic", "batch"] {
        let events = events();
        let bytes = events.get_array_memory_size() as u64;
        let batches = mebibytes() * (1 << 20) / bytes + 1;
        let to = command(json!({"table": "events", "commit": commit}));
        let mut once = messages(to, std::slice::from_ref(&events)).into_iter();
        let schema: FlightData = once.next().expect("a schema message");
        let body: Vec<FlightData> = once.collect();
        let stream = std::iter::once(schema).chain((0..batches).flat_map(move |_| body.clone()));
        let mut flight = Flight::reach(&process.http()).await;
        let answers = flight.stream(futures::stream::iter(stream)).await.expect("it lands");
        let rows = batches * ROWS as u64;
        assert_eq!(answers.last().expect("a final answer")["committed"], rows);
        assert_eq!(database.value("select count(*) from events").await, rows.to_string());
        database.execute("drop table events").await;
        let peak = process.peak_memory() >> 20;
        println!(
            "{commit}: {} MiB in {batches} batches, peak resident memory {peak} MiB",
            mebibytes()
        );
        assert!(peak < BOUND_MIB, "{commit}: {peak} MiB resident at most");
    }
}
