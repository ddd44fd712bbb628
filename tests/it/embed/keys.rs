//! Keys about embeddings that no other test shows: what a request holds, how many go at once, how long one may take.

use std::time::Duration;

use serde_json::json;

use super::{Bench, DIMENSIONS};
use crate::support::embeddings::{Fault, drained};

#[tokio::test(flavor = "multi_thread")]
async fn the_template_and_the_dimensions_reach_the_service_where_they_are_asked_for() {
    let mut bench = Bench::start_with(|settings| {
        settings["pgvector_config"]["tables"][0]["template"] = json!("labelled");
        settings["pgvector_config"]["openai_embedding"]["send_dimensions"] = json!(true);
    })
    .await;
    bench.put(&[(1, "a", Some("short"))]).await;
    drained(&bench.database).await;
    let asked = bench.stub.take();
    assert_eq!(asked[0].texts, ["body: short"]);
    assert_eq!(asked[0].body["dimensions"], DIMENSIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_one_by_one_and_hold_as_many_tokens_as_configured() {
    let mut bench = Bench::start_with(|settings| {
        settings["embeddings"]["max_concurrency"] = json!(1);
        settings["embeddings"]["max_request_tokens"] = json!(16);
        settings["embeddings"]["claim_rows"] = json!(1);
    })
    .await;
    let pause = Duration::from_millis(100);
    bench.stub.set_delay(pause);
    let texts: Vec<String> = (0..8).map(|n| format!("the text number {n} of all of them")).collect();
    let rows: Vec<_> = (0..8).map(|n| (n as i64, "a", Some(&*texts[n]))).collect();
    bench.put(&rows).await;
    drained(&bench.database).await;
    let asked = bench.stub.take();
    assert!(
        asked.len() > 4,
        "{} requests for eight texts of some ten tokens",
        asked.len()
    );
    for pair in asked.windows(2) {
        assert!(pair[1].at - pair[0].at >= pause, "two at once: {pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_given_up_and_made_again() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["request_timeout"] = json!("300ms")).await;
    bench.stub.fail_next([Fault::Slow(Duration::from_secs(60))]);
    bench.put(&[(1, "a", Some("short"))]).await;
    drained(&bench.database).await;
    assert_eq!(bench.stub.requests(), 2);
}
