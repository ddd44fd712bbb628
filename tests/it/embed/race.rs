//! A row changes or goes while the service embeds its text: what was asked for in vain is dropped.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::Int64Array;

use super::{Bench, wanted};
use crate::cloudquery::client::{Cq, all_of, delete_records, equals};
use crate::support::embeddings::drained;

/// Waits until the service was asked, and answers only then.
async fn asked(bench: &Bench) {
    let started = std::time::Instant::now();
    while bench.stub.requests() == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no request came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_while_it_is_embedded_gets_the_chunks_of_its_new_text() {
    let mut bench = Bench::start().await;
    bench.stub.set_delay(Duration::from_millis(1500));
    bench.put(&[(1, "k", Some("old")), (2, "k", Some("other"))]).await;
    asked(&bench).await;
    bench.put(&[(1, "k", Some("new"))]).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    assert_eq!(bench.chunks().await[&1], ["new"]);
    let mut answered = bench.stub.take_answered();
    answered.sort();
    assert_eq!(answered, ["new", "old", "other"], "the other row is not paid again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_deleted_while_it_is_embedded_leaves_no_chunk() {
    let mut bench = Bench::start().await;
    bench.stub.set_delay(Duration::from_millis(1500));
    bench.put(&[(1, "k", Some("doomed")), (2, "k", Some("other"))]).await;
    asked(&bench).await;
    let mut cq = Cq::ready(&bench.server).await;
    let first = equals("id", Arc::new(Int64Array::from(vec![1])));
    cq.put(vec![delete_records("docs", vec![all_of(vec![first])], &[])])
        .await;
    let ledger = "select count(*) from pgflight.embed_state";
    assert_eq!(bench.database.value(ledger).await, "1", "gone with the row");
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_text_goes_loses_its_chunks_without_a_request() {
    let mut bench = Bench::start().await;
    bench.put(&[(1, "k", Some("text")), (2, "k", Some("other"))]).await;
    drained(&bench.database).await;
    bench.stub.take();
    bench.put(&[(1, "k", None)]).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(bench.stub.requests(), 0);
}
