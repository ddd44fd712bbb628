//! What embeddings cost a load, and what a second load of the same rows costs: TPC-H orders and their comments.
//!
//! `PGFLIGHT_EMBED_ROWS` sets how many orders (3000 in CI; 100000 for figures).

use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringViewArray};
use serde_json::{Value, json};
use std::sync::Arc;
use tpchgen::generators::OrderGenerator;
use tpchgen_arrow::OrderArrow;

use super::DIMENSIONS;
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::{Flight, command, path};
use crate::support::server::Server;

fn orders(rows: usize) -> Vec<RecordBatch> {
    let scale = rows as f64 / 1_500_000.0;
    OrderArrow::new(OrderGenerator::new(scale, 1, 1))
        .with_batch_size(8192)
        .map(|batch| batch.expect("orders can be generated"))
        .collect()
}

fn comments(batch: &RecordBatch) -> Vec<String> {
    let column = batch.column_by_name("o_comment").expect("orders have comments");
    let views = column
        .as_any()
        .downcast_ref::<StringViewArray>()
        .expect("a string view");
    views.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

/// Every hundredth comment is another one.
fn changed(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut row = 0;
    let batches = batches.iter().map(|batch| {
        let texts = comments(batch).into_iter().map(|text| {
            row += 1;
            if row % 100 == 0 {
                format!("{text} changed {row}")
            } else {
                text
            }
        });
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let at = batch.schema().index_of("o_comment").expect("orders have comments");
        let mut columns = batch.columns().to_vec();
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(texts.data_type().clone()));
        columns[at] = texts;
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).expect("one length")
    });
    batches.collect()
}

fn orders_settings(stub: &Stub) -> Value {
    let mut settings = settings(stub, DIMENSIONS as u32);
    settings["pgvector_config"]["tables"] = json!([{
        "source_table_name": "orders", "target_table_name": "orders_vectors", "embed_columns": ["o_comment"],
    }]);
    settings["pgvector_config"]["text_splitter"] = json!({});
    settings["embeddings"]["claim_rows"] = json!(256);
    settings
}

/// Seconds of one atomic append of all rows into an empty keyed table, workers off.
async fn load_seconds(stub: &Stub, batches: &[RecordBatch], embedded: bool) -> f64 {
    let database = Database::create().await;
    let mut settings = orders_settings(stub);
    settings["embeddings"]["workers"] = json!(false);
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
    database.execute("truncate orders").await;
    let started = Instant::now();
    flight
        .put(path(&["orders"]), batches)
        .await
        .expect("orders can be loaded");
    started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_notes_few_bytes_and_a_second_one_asks_for_what_changed() {
    let rows: usize = std::env::var("PGFLIGHT_EMBED_ROWS").map_or(3000, |text| text.parse().expect("a number"));
    let batches = orders(rows);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let stub = Stub::start(DIMENSIONS).await;
    stub.set_delay(Duration::from_millis(20));
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        off.push(load_seconds(&stub, &batches, false).await);
        on.push(load_seconds(&stub, &batches, true).await);
    }
    let best = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    eprintln!(
        "{rows} orders: {:.3} s without, {:.3} s with embeddings, ratio {:.3}",
        best(&off),
        best(&on),
        best(&on) / best(&off)
    );

    let database = Database::create().await;
    let server = Server::start_with(database.uri(), orders_settings(&stub)).await;
    let mut flight = Flight::connect(&server).await;
    let to = || command(json!({"table": "orders", "write_mode": "overwrite", "primary_key": ["o_orderkey"]}));
    let texts: std::collections::HashSet<String> = batches.iter().flat_map(comments).collect();
    let started = Instant::now();
    flight.put(to(), &batches).await.unwrap();
    drained(&database).await;
    let first = stub.take();
    let asked: usize = first.iter().map(|asked| asked.texts.len()).sum();
    eprintln!(
        "{asked} texts in {} requests, drained after {:.1} s",
        first.len(),
        started.elapsed().as_secs_f64()
    );
    // Equal comments are asked for once per batch of rows, so there may be a few more texts than different ones.
    assert!(
        asked >= texts.len() && asked <= rows,
        "{asked} of {} different",
        texts.len()
    );
    flight.put(to(), &batches).await.unwrap();
    drained(&database).await;
    assert_eq!(stub.take().len(), 0, "a load of unchanged rows");
    flight.put(to(), &changed(&batches)).await.unwrap();
    drained(&database).await;
    assert_eq!(
        stub.take_texts().len(),
        rows / 100,
        "a load with one changed row in a hundred"
    );
    let unlike = "select count(*) from orders o left join orders_vectors v using (o_orderkey) where v.chunk is distinct from btrim(o.o_comment)";
    assert_eq!(database.value(unlike).await, "0");
}
