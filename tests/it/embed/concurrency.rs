//! Two workers against an updater and a deleter: in the end every row has exactly the chunks of its present text.
//!
//! `PGFLIGHT_EMBED_SECONDS` sets how long they fight (3 in CI, 60 for a long run).

use std::time::{Duration, Instant};

use super::{Bench, DIMENSIONS, wanted};
use crate::support::embeddings::{Fault, drained, settings};
use crate::support::flight::Flight;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_an_updater_and_a_deleter_end_with_the_chunks_of_the_present_texts() {
    let seconds = std::env::var("PGFLIGHT_EMBED_SECONDS").map_or(3, |text| text.parse().expect("seconds"));
    let mut bench = Bench::start().await;
    bench.stub.set_delay(Duration::from_millis(7));
    let second = settings(&bench.stub, DIMENSIONS as u32);
    let other = Server::start_with(bench.database.uri(), second).await;
    let mut other_flight = Flight::connect(&other).await;
    bench.put(&[(0, "k", Some("first"))]).await;
    let deleter = bench.database.connect().await;
    let until = Instant::now() + Duration::from_secs(seconds);
    let deleting = tokio::spawn(async move {
        while Instant::now() < until {
            let id = fastrand::i64(0..50);
            deleter
                .execute("delete from docs where id = $1", &[&id])
                .await
                .expect("rows can be deleted");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let mut round = 0;
    while Instant::now() < until {
        round += 1;
        if round % 9 == 0 {
            bench.stub.fail_next([Fault::RateLimited { retry_after: None }]);
        }
        let bodies: Vec<(i64, String)> = (0..fastrand::usize(1..12))
            .map(|_| {
                (
                    fastrand::i64(0..50),
                    format!(
                        "round {} {}",
                        fastrand::u8(0..4),
                        "word ".repeat(fastrand::usize(0..25))
                    ),
                )
            })
            .collect();
        let rows: Vec<(i64, &str, Option<&str>)> = bodies
            .iter()
            .map(|(id, body)| (*id, "k", Some(body.as_str())))
            .collect();
        match fastrand::bool() {
            true => bench.put(&rows).await,
            false => drop(other_flight.put(super::upsert(), &[super::docs(&rows)]).await.unwrap()),
        }
    }
    deleting.await.unwrap();
    // Rows deleted behind the service's back are what reconcile is for.
    bench
        .database
        .execute("insert into pgflight.embed_journal (table_id, kind) select id, 2 from pgflight.embed_table")
        .await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let orphans = "select count(*) from docs_vectors v where not exists (select from docs d where d.id = v.id)";
    assert_eq!(bench.database.value(orphans).await, "0");
    let metadata = "select count(*) from docs_vectors v join docs d using (id) where v.kind is distinct from d.kind";
    assert_eq!(bench.database.value(metadata).await, "0");
    assert!(round > 3, "{round} rounds");
    other.stop().await;
}
