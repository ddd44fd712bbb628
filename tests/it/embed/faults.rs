//! Every fault of a service: nothing wrong is stored, nothing is lost, nothing that was sent is repeated by us.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Bench, wanted};
use crate::support::embeddings::{Fault, drained};

async fn survives(faults: impl IntoIterator<Item = Fault>) {
    // A request that takes longer than this is one of the faults.
    let short = |settings: &mut Value| settings["embeddings"]["request_timeout"] = json!("2s");
    let mut bench = Bench::start_with(short).await;
    bench.stub.fail_next(faults);
    bench
        .put(&[
            (1, "a", Some("one")),
            (2, "b", Some("two")),
            (3, "c", Some("three")),
            (4, "d", Some("four")),
        ])
        .await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let states = "select string_agg(distinct state::text, ',') from pgflight.embed_state";
    assert_eq!(bench.database.value(states).await, "2");
    // Each vector is that of its own text, whatever the order of the answer was.
    let mixed = "select count(distinct embedding) from docs_vectors";
    assert_eq!(bench.database.value(mixed).await, "4");
    for (id, text) in [(1, "one"), (2, "two")] {
        let numbers = pgflight::embed::hash_test::vector(text, super::DIMENSIONS);
        let literal = format!("{numbers:?}");
        let distance = format!("select (embedding <-> '{literal}') < 1e-6 from docs_vectors where id = {id}");
        assert_eq!(bench.database.value(&distance).await, "t", "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_another_order_is_sorted() {
    survives([Fault::Reordered]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_believed_are_not_stored_and_asked_for_again_later() {
    survives([Fault::ShortData]).await;
    survives([Fault::WrongWidth]).await;
    survives([Fault::NullNumber]).await;
    survives([Fault::ZeroVector]).await;
    survives([Fault::Huge]).await;
    survives([Fault::NotJson]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_failures_and_broken_answers_are_waited_out() {
    survives([
        Fault::RateLimited { retry_after: Some("1") },
        Fault::RateLimited { retry_after: None },
        Fault::Status(
            429,
            r#"{"error":{"message":"Rate limit reached","type":"requests","code":null}}"#,
        ),
        Fault::Status(429, r#"{"error":"Model is overloaded","error_type":"Overloaded"}"#),
        Fault::Status(429, r#"{"detail":"too many requests"}"#),
    ])
    .await;
    survives([
        Fault::Status(500, "oops"),
        Fault::Status(503, r#"{"message":"overloaded","code":503,"type":"Overloaded"}"#),
    ])
    .await;
    survives([Fault::Reset]).await;
    survives([Fault::Slow(Duration::from_secs(5))]).await;
    survives([Fault::SlowBody(Duration::from_secs(5))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_as_long_as_the_service_asks_and_the_same_request_comes_again() {
    let mut bench = Bench::start().await;
    bench.stub.fail_next([Fault::RateLimited { retry_after: Some("2") }]);
    let started = Instant::now();
    bench
        .put(&[(1, "a", Some("one")), (2, "b", Some("two")), (3, "c", Some("three"))])
        .await;
    drained(&bench.database).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    let asked: Vec<Vec<String>> = bench.stub.take().into_iter().map(|asked| asked.texts).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], asked[1], "the request stays whole");
    let charged = "select sum(attempts) from pgflight.embed_state";
    assert_eq!(bench.database.value(charged).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_before_a_limit_that_a_good_answer_names_is_over() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["max_inputs"] = json!(1)).await;
    bench.stub.fail_next([Fault::NothingLeft("1.5s")]);
    bench.put(&[(1, "a", Some("one"))]).await;
    drained(&bench.database).await;
    bench.put(&[(2, "b", Some("two"))]).await;
    drained(&bench.database).await;
    let asked = bench.stub.take();
    assert_eq!(asked.len(), 2, "no request was refused");
    assert!(asked[1].at - asked[0].at >= Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_requests_per_minute_are_kept() {
    // Four requests of one text; at 600 requests a minute they start 100 ms apart.
    let mut bench = Bench::start_with(|settings| {
        settings["embeddings"]["max_inputs"] = json!(1);
        settings["embeddings"]["requests_per_minute"] = json!(600);
    })
    .await;
    let four = [
        (1, "a", Some("one")),
        (2, "b", Some("two")),
        (3, "c", Some("three")),
        (4, "d", Some("four")),
    ];
    let started = Instant::now();
    bench.put(&four).await;
    drained(&bench.database).await;
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(bench.stub.take().len(), 4);

    // Eight characters are estimated as 2 tokens, and the stub counts 3; at 120 tokens a minute that is 1.5 s for each text.
    let mut bench = Bench::start_with(|settings| {
        settings["embeddings"]["max_inputs"] = json!(1);
        settings["embeddings"]["tokens_per_minute"] = json!(120);
    })
    .await;
    bench
        .put(&[
            (1, "a", Some("11111111")),
            (2, "b", Some("22222222")),
            (3, "c", Some("33333333")),
        ])
        .await;
    drained(&bench.database).await;
    let starts: Vec<Instant> = bench.stub.take().iter().map(|asked| asked.at).collect();
    let gaps: Vec<Duration> = starts.windows(2).map(|two| two[1] - two[0]).collect();
    // By the estimate alone it would be 1 s.
    let kept = |gap: &Duration| *gap > Duration::from_millis(1300);
    assert!(gaps.len() == 2 && gaps.iter().all(kept), "{gaps:?}");
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_sent_in_parts() {
    survives([Fault::Status(413, "")]).await;
    survives([Fault::Status(
        422,
        r#"{"error":"batch size 4 > maximum allowed batch size 2","error_type":"Validation"}"#,
    )])
    .await;
    survives([Fault::Status(
        400,
        r#"{"error":{"message":"'$.input' is invalid","type":"invalid_request_error"}}"#,
    )])
    .await;
}

/// The halves of the request lead to the text; they say nothing about how much a request may hold.
#[tokio::test(flavor = "multi_thread")]
async fn one_text_that_is_too_large_does_not_make_later_requests_smaller() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["max_inputs"] = json!(8)).await;
    bench.stub.too_large("huge");
    let rows = |first: i64, odd: &'static str| -> Vec<(i64, String)> {
        let body = |id: i64| if id == 5 { odd.to_owned() } else { format!("text {id}") };
        (first..first + 8).map(|id| (id, body(id))).collect()
    };
    for (first, odd, given_up) in [(0, "a huge text", "1"), (10, "", "1")] {
        bench.stub.take();
        let rows = rows(first, odd);
        let rows: Vec<(i64, &str, Option<&str>)> = rows.iter().map(|row| (row.0, "k", Some(row.1.as_str()))).collect();
        bench.put(&rows).await;
        drained(&bench.database).await;
        let dead = "select count(*) from pgflight.embed_state where state = 3 and err_code = 'too_large'";
        assert_eq!(bench.database.value(dead).await, given_up);
    }
    let sizes: Vec<usize> = bench.stub.take().iter().map(|asked| asked.texts.len()).collect();
    assert_eq!(sizes, [8], "as many texts as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_say_nothing_about_a_text_leave_the_rows_pending() {
    survives([Fault::Status(307, "")]).await;
    survives([Fault::Status(409, "busy")]).await;
    survives([Fault::Status(424, r#"{"error":"a part of the service failed"}"#)]).await;
    survives([Fault::Status(418, "")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_key_or_the_quota_leave_the_rows_pending() {
    survives([Fault::Status(
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-secret"}}"#,
    )])
    .await;
    survives([Fault::Status(
        429,
        r#"{"error":{"code":"insufficient_quota","message":"quota"}}"#,
    )])
    .await;
    survives([Fault::Status(404, r#"{"detail":"no such model"}"#)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_named_text_is_given_up_and_the_others_are_not() {
    let mut bench = Bench::start().await;
    let named = r#"{"error":{"message":"Invalid 'input[1]': maximum input length is 8192 tokens.","code":null}}"#;
    bench.stub.fail_next([Fault::Status(400, named)]);
    bench
        .put(&[(1, "a", Some("one")), (2, "b", Some("two")), (3, "c", Some("three"))])
        .await;
    drained(&bench.database).await;
    let states = "select state, err_code, err_msg, count(*) from pgflight.embed_state group by 1, 2, 3 order by 1";
    assert_eq!(
        bench.database.lines(states).await,
        [
            "2|<null>|<null>|2",
            "3|bad_input|the service does not take input 1 (HTTP 400)|1"
        ]
    );
    assert_eq!(bench.stub.take().len(), 2, "the others go out together");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_text_is_found_by_halves_and_can_be_tried_again() {
    let mut bench = Bench::start().await;
    bench.stub.poison(Some("poison"));
    let bodies: Vec<String> = (0..8)
        .map(|id| {
            if id == 5 {
                "poison ivy".to_owned()
            } else {
                format!("text {id}")
            }
        })
        .collect();
    let rows: Vec<(i64, &str, Option<&str>)> = bodies
        .iter()
        .enumerate()
        .map(|(id, body)| (id as i64, "k", Some(body.as_str())))
        .collect();
    bench.put(&rows).await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.len(), 7);
    let ledger = bench
        .database
        .lines("select err_code, err_msg from pgflight.embed_state where state = 3")
        .await;
    assert_eq!(ledger, ["bad_input|the service does not take an input (HTTP 400)"]);
    let whole = bench
        .database
        .lines("select s::text from pgflight.embed_state s where state = 3")
        .await;
    assert!(
        !whole[0].contains("ivy") && !whole[0].contains("sk-secret"),
        "{whole:?}"
    );

    bench.stub.take();
    bench.put(&rows).await;
    drained(&bench.database).await;
    assert_eq!(
        bench.stub.take_texts(),
        Vec::<String>::new(),
        "what was given up is not sent again and again"
    );
    bench.put(&[(5, "k", Some("harmless"))]).await;
    drained(&bench.database).await;
    assert_eq!(
        bench.chunks().await,
        wanted(&bench.database).await,
        "a new text is a new try"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_go_on_while_the_service_is_down_and_the_vectors_come_later() {
    let mut bench = Bench::start().await;
    bench.stub.set_down(true);
    for id in 0..5 {
        bench.put(&[(id, "a", Some(&format!("text {id}")))]).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.database.value("select count(*) from docs").await, "5");
    let charged = "select coalesce(sum(attempts), 0) from pgflight.embed_state";
    assert_eq!(bench.database.value(charged).await, "0", "the rows are not to blame");
    bench.stub.set_down(false);
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}
