//! Rows that are deleted through the CloudQuery door take their chunks along, in the same transaction.

use std::sync::Arc;

use arrow::array::Int64Array;

use serde_json::json;

use super::{Bench, docs, wanted};
use crate::cloudquery::client::{Cq, all_of, delete_records, delete_stale, equals};
use crate::flight_sql::{ingest, ingest_of};
use crate::support::embeddings::drained;
use crate::support::flight::{Flight, batch, command, longs, texts};

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_and_stale_rows_leave_no_chunk_behind() {
    let mut bench = Bench::start().await;
    bench
        .database
        .execute(
            "create table docs (id bigint primary key, kind text, body text, _cq_id uuid, _cq_parent_id uuid, \
             _cq_source_name text, _cq_sync_time timestamp)",
        )
        .await;
    let rows: Vec<(i64, &str, Option<&str>)> = (0..6).map(|id| (id, "k", Some("some text"))).collect();
    bench.put(&rows).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.len(), 6);
    let mut cq = Cq::ready(&bench.server).await;
    let second = equals("id", Arc::new(Int64Array::from(vec![2])));
    cq.put(vec![delete_records("docs", vec![all_of(vec![second])], &[])])
        .await;
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [0, 1, 3, 4, 5]);

    let mark = "update docs set _cq_source_name = 's', _cq_sync_time = ('1970-01-01 00:00:0' || id)::timestamp";
    bench.database.execute(mark).await;
    cq.put(vec![delete_stale("docs", "s", 4_000_000)]).await;
    assert_eq!(
        bench
            .database
            .value("select string_agg(id::text, ',' order by id) from docs")
            .await,
        "4,5"
    );
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [4, 5]);
    assert_eq!(
        bench.database.value("select count(*) from pgflight.embed_state").await,
        "2"
    );
}

/// Mode `replace` of an ingest swaps the rows of a table that has the same columns, and makes every other one anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_an_ingest_replaces_has_the_chunks_of_its_new_rows_only() {
    let mut bench = Bench::start().await;
    let rows: Vec<(i64, &str, Option<&str>)> = (0..6).map(|id| (id, "k", Some("some text"))).collect();
    bench.put(&rows).await;
    drained(&bench.database).await;
    let keyed = Flight::connect(&bench.server)
        .await
        .with_header("pgflight-primary-key", "id");
    let mut flight = keyed;
    let oid = "select 'docs'::regclass::oid";
    let before = bench.database.value(oid).await;
    let new = docs(&[(4, "k", Some("some text")), (9, "k", Some("new text"))]);
    ingest(&mut flight, &ingest_of("docs", "replace"), &[new])
        .await
        .unwrap();
    assert_eq!(bench.database.value(oid).await, before, "its rows are swapped");
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [4, 9]);

    let other = batch(vec![
        ("id", longs([9, 20])),
        ("kind", texts(&[Some("k"), Some("k")])),
        ("body", texts(&[Some("changed text"), Some("another text")])),
        ("more", longs([1, 2])),
    ]);
    ingest(&mut flight, &ingest_of("docs", "replace"), &[other])
        .await
        .unwrap();
    assert_ne!(bench.database.value(oid).await, before, "it is another table");
    bench
        .database
        .wait_for("select (select array_agg(distinct id order by id) from docs_vectors) = array[9, 20]::bigint[]")
        .await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    // What comes later is embedded as ever.
    let third = docs(&[(21, "k", Some("a third text"))]);
    ingest(&mut flight, &ingest_of("docs", "append"), &[third])
        .await
        .unwrap();
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [9, 20, 21]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_contents_leave_the_chunks_of_the_new_rows_only() {
    let mut bench = Bench::start().await;
    let rows: Vec<(i64, &str, Option<&str>)> = (0..6).map(|id| (id, "k", Some("some text"))).collect();
    bench.put(&rows).await;
    drained(&bench.database).await;
    let to = command(json!({"table": "docs", "write_mode": "replace"}));
    let new = docs(&[(4, "k", Some("some text")), (9, "k", Some("new text"))]);
    bench.stub.take();
    bench.flight.put(to, &[new]).await.unwrap();
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [4, 9]);
    assert_eq!(
        bench.stub.take_texts(),
        ["new text"],
        "the row that came back keeps its vector"
    );
}
