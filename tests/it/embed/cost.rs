//! What embeddings cost a load, and what a second load of the same rows costs: TPC-H orders and their comments.
//!
//! `PGFLIGHT_EMBED_ROWS` sets how many orders (3000 in CI). For figures, on a machine that does nothing else:
//! `make bench-embeddings`, which is `PGFLIGHT_EMBED_ROWS=100000 cargo test --release --locked --test it embed::cost -- --nocapture`;
//! from 100000 rows on the load may be at most a tenth slower.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringViewArray};
use pgflight::embed::split::split;
use pgflight::model::embed::{ChunkSize, Splitter};
use serde_json::{Value, json};
use tpchgen::generators::{OrderGenerator, PartGenerator};
use tpchgen_arrow::{OrderArrow, PartArrow};

use super::DIMENSIONS;
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::{Flight, command, path};
use crate::support::server::Server;

/// From here on the times of two loads can be compared.
const ENOUGH_ROWS: usize = 100_000;

/// Loads of each kind then: one takes 0.4 s, and single ones differ by more than the tenth that is looked for.
const PAIRS: usize = 25;

/// Orders whose comments vary in length: every tenth has a part's comment (5 to 22 characters), every fiftieth those of 30
/// orders, which makes several chunks; the others their own (19 to 78).
fn orders(rows: usize) -> Vec<RecordBatch> {
    let scale = rows as f64 / 1_500_000.0;
    let parts = PartArrow::new(PartGenerator::new(scale.max(0.001), 1, 1));
    let mut short = parts.flat_map(|batch| texts_of(&batch.expect("parts can be generated"), "p_comment"));
    let mut row = 0;
    let orders = OrderArrow::new(OrderGenerator::new(scale, 1, 1)).with_batch_size(8192);
    let orders = orders.map(|batch| {
        let batch = batch.expect("orders can be generated");
        let own = texts_of(&batch, "o_comment");
        let texts = own.iter().enumerate().map(|(at, text)| {
            row += 1;
            match row % 50 {
                0 => own[at.saturating_sub(30)..at].join("\n"),
                10 | 20 | 30 | 40 => short.next().unwrap_or_else(|| text.clone()),
                _ => text.clone(),
            }
        });
        with_comments(&batch, texts.collect())
    });
    orders.collect()
}

fn texts_of(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).expect("a column of TPC-H");
    if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
        return texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect();
    }
    let views = column
        .as_any()
        .downcast_ref::<StringViewArray>()
        .expect("a string view");
    views.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

fn comments(batch: &RecordBatch) -> Vec<String> {
    texts_of(batch, "o_comment")
}

fn with_comments(batch: &RecordBatch, texts: Vec<String>) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let at = batch.schema().index_of("o_comment").expect("orders have comments");
    let mut columns = batch.columns().to_vec();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(texts.data_type().clone()));
    columns[at] = texts;
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).expect("one length")
}

/// One comment in a hundred is another one.
fn changed(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut row = 0;
    let batches = batches.iter().map(|batch| {
        let texts = comments(batch).into_iter().map(|text| {
            row += 1;
            if row % 100 == 37 {
                format!("{text} changed {row}")
            } else {
                text
            }
        });
        with_comments(batch, texts.collect())
    });
    batches.collect()
}

/// What should be stored: chunks in order, row by row, without rows that have none.
fn wanted(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let splitter = Splitter::Recursive(ChunkSize::default());
    let texts = batches.iter().flat_map(comments);
    let chunks = texts.map(|text| split(&text, splitter));
    chunks.filter(|chunks| !chunks.is_empty()).collect()
}

async fn stored(database: &Database) -> Vec<Vec<String>> {
    let rows = database
        .query(
            "select o_orderkey::bigint, chunk from orders_vectors order by o_orderkey, _chunk_seq",
            &[],
        )
        .await;
    let mut chunks: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in rows {
        chunks.entry(row.get(0)).or_default().push(row.get(1));
    }
    chunks.into_values().collect()
}

fn orders_settings(stub: &Stub) -> Value {
    let mut settings = settings(stub, DIMENSIONS as u32);
    settings["pgvector_config"]["tables"] = json!([{
        "source_table_name": "orders", "target_table_name": "orders_vectors", "embed_columns": ["o_comment"],
    }]);
    settings["pgvector_config"]["text_splitter"] = json!({});
    // The defaults: a look at the ledger every 20 ms, as in other tests, would be paid for by the load.
    settings["embeddings"]["claim_rows"] = json!(256);
    settings["embeddings"]["poll_interval"] = json!("1s");
    settings
}

/// Seconds of one atomic append of all rows into an empty keyed table; the workers run where rows are embedded.
async fn load_seconds(stub: &Stub, batches: &[RecordBatch], embedded: bool) -> f64 {
    let database = Database::create().await;
    let mut settings = orders_settings(stub);
    if !embedded {
        settings.as_object_mut().expect("an object").remove("pgvector_config");
    }
    let server = Server::start_with(database.uri(), settings).await;
    let mut flight = Flight::connect(&server).await;
    let to = || command(json!({"table": "orders", "primary_key": ["o_orderkey"]}));
    flight
        .put(
            to(),
            &batches[..1].iter().map(|batch| batch.slice(0, 1)).collect::<Vec<_>>(),
        )
        .await
        .expect("orders can be loaded");
    if embedded {
        drained(&database).await;
    }
    database.execute("truncate orders").await;
    // What was written before must not be flushed while the time is taken.
    database.execute("checkpoint").await;
    let started = Instant::now();
    flight
        .put(path(&["orders"]), batches)
        .await
        .expect("orders can be loaded");
    started.elapsed().as_secs_f64()
}

/// Loads with and without embeddings; from [`ENOUGH_ROWS`] on the median may be a tenth slower with them.
async fn compare_loads(stub: &Stub, batches: &[RecordBatch], rows: usize) {
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for pair in 0..if rows >= ENOUGH_ROWS { PAIRS } else { 1 } {
        // In both orders, so that neither side is always the one after the other's writes.
        for embedded in [pair % 2 == 0, pair % 2 != 0] {
            let seconds = load_seconds(stub, batches, embedded).await;
            if embedded { &mut on } else { &mut off }.push(seconds);
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (on, off) = (median(&mut on), median(&mut off));
    eprintln!(
        "{rows} orders: {off:.3} s without, {on:.3} s with embeddings (medians), ratio {:.3}",
        on / off
    );
    assert!(
        rows < ENOUGH_ROWS || on / off <= 1.10,
        "the load is more than a tenth slower"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_notes_few_bytes_and_a_second_one_asks_for_what_changed() {
    let rows: usize = std::env::var("PGFLIGHT_EMBED_ROWS").map_or(3000, |text| text.parse().expect("a number"));
    let batches = orders(rows);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let stub = Stub::start(DIMENSIONS).await;
    stub.set_delay(Duration::from_millis(20));
    compare_loads(&stub, &batches, rows).await;
    stub.take();

    let database = Database::create().await;
    let server = Server::start_with(database.uri(), orders_settings(&stub)).await;
    let mut flight = Flight::connect(&server).await;
    let to = || command(json!({"table": "orders", "write_mode": "overwrite", "primary_key": ["o_orderkey"]}));
    let texts: HashSet<String> = wanted(&batches).into_iter().flatten().collect();
    let chunks: usize = wanted(&batches).iter().map(Vec::len).sum();
    let started = Instant::now();
    flight.put(to(), &batches).await.unwrap();
    drained(&database).await;
    let first = stub.take();
    let asked: usize = first.iter().map(|asked| asked.texts.len()).sum();
    eprintln!(
        "{chunks} chunks: {asked} texts in {} requests, drained after {:.1} s",
        first.len(),
        started.elapsed().as_secs_f64()
    );
    // Equal comments are asked for once per batch of rows, so there may be a few more texts than different ones.
    assert!(
        asked >= texts.len() && asked <= chunks,
        "{asked} of {} different",
        texts.len()
    );
    assert_eq!(stored(&database).await, wanted(&batches));
    flight.put(to(), &batches).await.unwrap();
    drained(&database).await;
    assert_eq!(stub.take().len(), 0, "a load of unchanged rows");
    let changed = changed(&batches);
    flight.put(to(), &changed).await.unwrap();
    drained(&database).await;
    let again = stub.take();
    let texts: usize = again.iter().map(|asked| asked.texts.len()).sum();
    eprintln!(
        "unchanged rows: 0 requests; one changed row in a hundred: {texts} texts in {} requests",
        again.len()
    );
    assert_eq!(texts, (rows + 63) / 100, "a load with one changed row in a hundred");
    assert_eq!(stored(&database).await, wanted(&changed));
}
