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

/// Keeps everybody from the journal until the session ends.
async fn hold_the_journal(bench: &Bench) -> tokio_postgres::Client {
    let holder = bench.database.connect().await;
    let lock = "select pg_advisory_lock(512024738, id) from pgflight.embed_table";
    holder.batch_execute(lock).await.expect("the lock comes free");
    holder
}

async fn journal_is_read(bench: &Bench) {
    let read = "select not exists (select from pgflight.embed_journal)";
    bench.database.wait_for(read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_taken_before_the_ledger_knows_of_it_is_asked_for_once() {
    let mut bench = Bench::start().await;
    bench.put(&[(1, "k", Some("first"))]).await;
    drained(&bench.database).await;
    bench.stub.take();
    bench.stub.hold(true);
    let journal = hold_the_journal(&bench).await;
    bench.put(&[(1, "k", Some("second"))]).await;
    let pending = "update pgflight.embed_state set state = 0, want_hash = 'older', have_hash = 'older'";
    bench.database.execute(pending).await;
    asked(&bench).await;
    drop(journal);
    journal_is_read(&bench).await;
    bench.stub.hold(false);
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await[&1], ["second"]);
    assert_eq!(bench.stub.take_answered(), ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_comes_back_while_it_is_embedded_is_asked_for_once() {
    let mut bench = Bench::start().await;
    bench.stub.hold(true);
    bench.put(&[(1, "k", Some("here"))]).await;
    asked(&bench).await;
    bench.put(&[(1, "k", Some("gone"))]).await;
    journal_is_read(&bench).await;
    bench.put(&[(1, "k", Some("here"))]).await;
    journal_is_read(&bench).await;
    bench.stub.hold(false);
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await[&1], ["here"]);
    assert_eq!(bench.stub.take_answered(), ["here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_while_its_old_text_is_refused_is_not_given_up() {
    let mut bench = Bench::start().await;
    bench.stub.hold(true);
    bench.stub.poison(Some("bad"));
    bench.put(&[(1, "k", Some("bad")), (2, "k", Some("bad, too"))]).await;
    asked(&bench).await;
    bench.put(&[(1, "k", Some("better"))]).await;
    journal_is_read(&bench).await;
    bench.stub.hold(false);
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(bench.chunks().await[&1], ["better"]);
    let dead = "select count(*) from pgflight.embed_state where state = 3";
    assert_eq!(bench.database.value(dead).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_others_delete_while_it_is_embedded_leaves_nothing() {
    let mut bench = Bench::start().await;
    bench.stub.hold(true);
    bench.put(&[(1, "k", Some("doomed")), (2, "k", Some("other"))]).await;
    asked(&bench).await;
    let delete = "delete from docs where id = 1; \
                  insert into pgflight.embed_journal (table_id, kind) select id, 2 from pgflight.embed_table";
    bench.database.execute(delete).await;
    journal_is_read(&bench).await;
    bench.stub.hold(false);
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.into_keys().collect::<Vec<_>>(), [2]);
    assert_eq!(
        bench.database.value("select count(*) from pgflight.embed_state").await,
        "1"
    );
    let mut answered = bench.stub.take_answered();
    answered.sort();
    assert_eq!(answered, ["doomed", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_texts_cannot_be_read_are_given_back_at_once() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["lease"] = "1h".into()).await;
    bench.put(&[(1, "k", Some("first"))]).await;
    drained(&bench.database).await;
    bench
        .database
        .execute(
            "create table public.taken (by_whom bigint); \
             create function note_taken() returns trigger language plpgsql as \
             $$ begin insert into public.taken values (new.lease_owner); return null; end $$; \
             create trigger note_taken after update on pgflight.embed_state \
             for each row when (new.state = 1) execute function note_taken(); \
             alter table docs_vectors rename column _chunk_hash to out_of_sight",
        )
        .await;
    bench.put(&[(1, "k", Some("second"))]).await;
    bench.database.wait_for("select exists (select from taken)").await;
    let waits = "select exists (select from pgflight.embed_state where state = 0)";
    bench.database.wait_for(waits).await;
    bench
        .database
        .execute("alter table docs_vectors rename column out_of_sight to _chunk_hash")
        .await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await[&1], ["second"]);
    assert_eq!(bench.stub.take_answered(), ["first", "second"]);
}
