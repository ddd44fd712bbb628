//! Two workers against an updater and a deleter: in the end every row has exactly the chunks of its present text.
//!
//! `PGFLIGHT_EMBED_SECONDS` sets how long they fight (3 in CI, 60 for a long run).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Bench, DIMENSIONS, wanted};
use crate::support::embeddings::{drained, settings};
use crate::support::flight::Flight;
use crate::support::server::Server;

/// Deletes random rows behind the service's back until then.
async fn delete_rows(deleter: tokio_postgres::Client, until: Instant) {
    while Instant::now() < until {
        let id = fastrand::i64(0..50);
        let deleted = deleter.execute("delete from docs where id = $1", &[&id]).await;
        deleted.expect("rows can be deleted");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Texts that have no chunk in common, so that whatever is answered twice was paid for twice.
fn distinct_bodies() -> impl FnMut() -> String {
    let mut counter = 0u64;
    move || {
        counter += 1;
        let words = (0..fastrand::usize(0..25)).map(|word| format!("w{counter}x{word} "));
        words.collect()
    }
}

/// Asks for a sweep over everything, and waits until nothing waits.
async fn reconciled(bench: &Bench) {
    let sweep = "insert into pgflight.embed_journal (table_id, kind) select id, 2 from pgflight.embed_table";
    bench.database.execute(sweep).await;
    drained(&bench.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_an_updater_and_a_deleter_end_with_the_chunks_of_the_present_texts() {
    let seconds = std::env::var("PGFLIGHT_EMBED_SECONDS").map_or(3, |text| text.parse().expect("seconds"));
    let mut bench = Bench::start().await;
    bench.stub.set_delay(Duration::from_millis(7));
    bench.stub.limit_one_in(9);
    let other = Server::start_with(bench.database.uri(), settings(&bench.stub, DIMENSIONS as u32)).await;
    let mut other_flight = Flight::connect(&other).await;
    bench.put(&[(0, "k", Some("first"))]).await;
    let until = Instant::now() + Duration::from_secs(seconds);
    let deleting = tokio::spawn(delete_rows(bench.database.connect().await, until));
    let (mut body, mut round) = (distinct_bodies(), 0);
    while Instant::now() < until {
        round += 1;
        let bodies: Vec<(i64, String)> = (0..fastrand::usize(1..12))
            .map(|_| (fastrand::i64(0..50), body()))
            .collect();
        let rows = bodies.iter().map(|(id, body)| (*id, "k", Some(body.as_str())));
        let rows: Vec<(i64, &str, Option<&str>)> = rows.collect();
        match fastrand::bool() {
            true => bench.put(&rows).await,
            false => drop(other_flight.put(super::upsert(), &[super::docs(&rows)]).await.unwrap()),
        }
    }
    deleting.await.unwrap();
    reconciled(&bench).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let orphans = "select count(*) from docs_vectors v where not exists (select from docs d where d.id = v.id)";
    assert_eq!(bench.database.value(orphans).await, "0");
    let metadata = "select count(*) from docs_vectors v join docs d using (id) where v.kind is distinct from d.kind";
    assert_eq!(bench.database.value(metadata).await, "0");
    let mut answered: HashMap<String, u32> = HashMap::new();
    for text in bench.stub.take_answered() {
        *answered.entry(text).or_default() += 1;
    }
    let twice: Vec<_> = answered.iter().filter(|(_, times)| **times > 1).collect();
    let (requests, texts) = (bench.stub.take().len(), answered.len());
    eprintln!(
        "{seconds} s: {round} loads, {requests} requests, {texts} texts, paid for twice: {}",
        twice.len()
    );
    assert!(twice.is_empty(), "{twice:?}");
    reconciled(&bench).await;
    assert_eq!(bench.stub.requests(), 0, "a sweep finds nothing to do");
    assert!(round > 3, "{round} rounds");
    other.stop().await;
}
