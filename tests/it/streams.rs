//! Resumable streams through the real door: sequence numbers, replays, gaps, fencing, results that are kept.

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, reason};
use crate::support::server::{Server, start};

/// Ten rows of batch `seq`.
fn rows(seq: i64) -> RecordBatch {
    batch(vec![("id", longs(seq * 10..seq * 10 + 10))])
}

fn to(stream_id: &str) -> Value {
    json!({"table": "t", "stream_id": stream_id, "acks": "progress"})
}

/// Messages of batches with these numbers; the token is `t<seq>`.
fn labelled(options: Value, seqs: impl IntoIterator<Item = i64>) -> Vec<FlightData> {
    let seqs: Vec<i64> = seqs.into_iter().collect();
    let batches: Vec<RecordBatch> = seqs.iter().map(|seq| rows(*seq)).collect();
    let empty = [rows(0).slice(0, 0)];
    let source = if batches.is_empty() { &empty[..] } else { &batches[..] };
    let mut messages = messages(command(options), source);
    if batches.is_empty() {
        messages.truncate(1);
    }
    for (message, seq) in messages.iter_mut().skip(1).zip(&seqs) {
        message.app_metadata = json!({"seq": seq, "token": format!("t{seq}")}).to_string().into();
    }
    messages
}

fn next_seq(status: &Status) -> &str {
    status
        .metadata()
        .get("x-pgflight-next-seq")
        .map_or("", |next| next.to_str().expect("an ASCII trailer"))
}

async fn ids(database: &Database) -> String {
    database
        .value("select count(*) || '/' || count(distinct id) || '/' || coalesce(max(id), -1) from t")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_stream_doubles_nothing_and_tells_where_it_stands() {
    let (database, _server, mut flight) = start().await;
    // The shared cluster runs with synchronous_commit off, and an ack says so.
    let durable = database.value("show synchronous_commit").await != "off";
    let answers = flight.send(labelled(to("s"), 0..3)).await.unwrap();
    let last = answers.last().unwrap();
    assert_eq!(last["committed_through_seq"], 2, "{last}");
    assert_eq!((last["token"].clone(), last["epoch"].clone()), (json!("t2"), json!(1)));
    assert_eq!(
        (last["durable"].clone(), last["duplicate"].clone()),
        (json!(durable), json!(false))
    );
    // The client lost the answer and sends two batches again.
    let answers = flight.send(labelled(to("s"), 1..6)).await.unwrap();
    let first = answers.first().unwrap();
    assert_eq!(
        (
            first["next_seq"].clone(),
            first["epoch"].clone(),
            first["token"].clone()
        ),
        (json!(3), json!(2), json!("t2"))
    );
    let last = answers.last().unwrap();
    assert_eq!(
        (last["committed_through_seq"].clone(), last["duplicate_rows"].clone()),
        (json!(5), json!(20))
    );
    assert_eq!(last["rows"], 30, "rows of this call");
    assert_eq!(ids(&database).await, "60/60/59");
    let status = flight
        .act("pgflight.stream.status", json!({"stream_id": "s"}))
        .await
        .unwrap();
    // The shared server of the tests commits without waiting for its disk.
    let expected = json!({"stream_id": "s", "epoch": 2, "next_seq": 6, "token": "t5", "durable": false, "rows": 60, "result": null});
    assert_eq!(status, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_alone_is_acked_as_a_duplicate() {
    let (database, _server, mut flight) = start().await;
    flight.send(labelled(to("s"), 0..2)).await.unwrap();
    let answers = flight.send(labelled(to("s"), 0..2)).await.unwrap();
    let last = answers.last().unwrap();
    assert_eq!(
        (last["duplicate"].clone(), last["committed_through_seq"].clone()),
        (json!(true), json!(1)),
        "{last}"
    );
    assert_eq!(ids(&database).await, "20/20/19");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_refused_with_the_number_that_is_expected_and_the_stream_stays_usable() {
    let (database, _server, mut flight) = start().await;
    flight.send(labelled(to("s"), 0..2)).await.unwrap();
    let error = flight.send(labelled(to("s"), [3])).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error), next_seq(&error)),
        (Code::OutOfRange, "GAP", "2"),
        "{error}"
    );
    flight.send(labelled(to("s"), 2..4)).await.unwrap();
    assert_eq!(ids(&database).await, "40/40/39");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_batch_with_other_contents_is_refused() {
    let (database, _server, mut flight) = start().await;
    flight.send(labelled(to("s"), 0..2)).await.unwrap();
    let mut other = messages(command(to("s")), &[rows(7)]);
    other[1].app_metadata = json!({"seq": 1}).to_string().into();
    let error = flight.send(other).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error)),
        (Code::FailedPrecondition, "REPLAY_MISMATCH"),
        "{error}"
    );
    assert_eq!(ids(&database).await, "20/20/19");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_one_stream_the_newer_wins_and_the_older_is_fenced() {
    let (database, server, mut flight) = start().await;
    let mut newer = Flight::connect(&server).await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let old = tokio::spawn(async move {
        flight
            .stream(tokio_stream::wrappers::ReceiverStream::new(receive))
            .await
    });
    let mut messages = labelled(to("s"), 0..2).into_iter();
    for message in messages.by_ref().take(2) {
        send.send(message).await.unwrap();
    }
    database
        .wait_for("select coalesce((select next_seq from pgflight.stream), 0) = 1")
        .await;
    newer.send(labelled(to("s"), 1..3)).await.unwrap();
    // The zombie wakes up.
    for message in messages {
        send.send(message).await.unwrap();
    }
    drop(send);
    let error = old.await.unwrap().unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::Aborted, "FENCED"), "{error}");
    assert_eq!(ids(&database).await, "30/30/29");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_from_the_open_action_admits_only_its_holder() {
    let (database, _server, mut flight) = start().await;
    let open = json!({"stream_id": "s", "table": "t"});
    let first = flight.act("pgflight.stream.open", open.clone()).await.unwrap();
    assert_eq!(
        (first["epoch"].clone(), first["next_seq"].clone()),
        (json!(1), json!(0))
    );
    let with = |epoch: u64| json!({"table": "t", "stream_id": "s", "stream_epoch": epoch});
    flight.send(labelled(with(1), 0..1)).await.unwrap();
    let second = flight.act("pgflight.stream.open", open).await.unwrap();
    assert_eq!(
        (second["epoch"].clone(), second["next_seq"].clone()),
        (json!(2), json!(1))
    );
    let error = flight.send(labelled(with(1), 1..2)).await.unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::Aborted, "FENCED"), "{error}");
    flight.send(labelled(with(2), 1..2)).await.unwrap();
    assert_eq!(ids(&database).await, "20/20/19");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_stream_gives_its_result_again_and_writes_nothing() {
    let (database, _server, mut flight) = start().await;
    let mut complete = labelled(to("s"), 0..3);
    complete.push(metadata(r#"{"commit": {"rows": 30}}"#));
    let first = flight.send(complete.clone()).await.unwrap().pop().unwrap();
    assert_eq!(first["rows"], 30);
    let again = flight.send(complete).await.unwrap().pop().unwrap();
    assert_eq!(
        (again["duplicate"].clone(), again["rows"].clone()),
        (json!(true), json!(30)),
        "{again}"
    );
    assert_eq!(again["migration"], first["migration"]);
    assert_eq!(ids(&database).await, "30/30/29");
    let status = flight
        .act("pgflight.stream.status", json!({"stream_id": "s"}))
        .await
        .unwrap();
    assert_eq!(status["result"]["rows"], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_all_calls_count_against_the_commit_message() {
    let (_database, _server, mut flight) = start().await;
    flight.send(labelled(to("s"), 0..2)).await.unwrap();
    let mut short = labelled(to("s"), 2..3);
    short.push(metadata(r#"{"commit": {"rows": 10}}"#));
    let error = flight.send(short).await.unwrap_err();
    assert!(error.message().contains("announced 10 rows and 30 came"), "{error}");
    let mut right = labelled(to("s"), 2..3);
    right.push(metadata(r#"{"commit": {"rows": 30}}"#));
    flight.send(right).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_stream_id_makes_a_whole_load_happen_once() {
    let (database, _server, mut flight) = start().await;
    for mode in ["append", "replace"] {
        let to = || command(json!({"table": mode, "stream_id": mode, "commit": "atomic", "write_mode": mode}));
        let first = flight.put(to(), &[rows(0), rows(1)]).await.unwrap();
        assert_eq!(first["duplicate"], false, "{first}");
        let again = flight.put(to(), &[rows(0), rows(1)]).await.unwrap();
        assert_eq!(
            (again["duplicate"].clone(), again["rows"].clone()),
            (json!(true), json!(20)),
            "{again}"
        );
        assert_eq!(database.value(&format!("select count(*) from {mode}")).await, "20");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_behind_what_was_acked_is_reported() {
    let (database, _server, mut flight) = start().await;
    flight.send(labelled(to("s"), 0..3)).await.unwrap();
    // What a failover to a standby that was behind does: rows and progress go back together.
    database
        .execute("delete from t where id >= 10; update pgflight.stream set next_seq = 1, rows = 10")
        .await;
    let resumed = json!({"table": "t", "stream_id": "s", "acked_seq": 2});
    let error = flight.send(labelled(resumed, 3..4)).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error), next_seq(&error)),
        (Code::DataLoss, "OFFSET_REGRESSED", "1"),
        "{error}"
    );
    flight.send(labelled(to("s"), 1..3)).await.unwrap();
    assert_eq!(ids(&database).await, "30/30/29");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ids_are_rules_that_are_told() {
    let (_database, _server, mut flight) = start().await;
    let unlabelled = messages(command(to("s")), &[rows(0)]);
    let error = flight.send(unlabelled).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("carries no sequence number"), "{error}");
    let error = flight.send(labelled(json!({"table": "t"}), 0..1)).await.unwrap_err();
    assert!(error.message().contains("need a stream_id"), "{error}");
    let other = json!({"table": "other", "stream_id": "s"});
    let error = flight.send(labelled(other, 0..1)).await.unwrap_err();
    assert!(error.message().contains("belongs to table public.t"), "{error}");
    let error = flight
        .act("pgflight.stream.status", json!({"stream_id": "nope"}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let error = flight.act("pgflight.steam.status", json!({})).await.unwrap_err();
    assert!(error.message().contains("pgflight.stream.status"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_lives_in_the_configured_schema_and_survives_the_server() {
    let database = Database::create().await;
    let settings = json!({"state_schema": "My State"});
    let server = Server::start_with(database.uri(), settings.clone()).await;
    Flight::connect(&server)
        .await
        .send(labelled(to("s"), 0..2))
        .await
        .unwrap();
    drop(server);
    let server = Server::start_with(database.uri(), settings).await;
    let mut flight = Flight::connect(&server).await;
    flight.send(labelled(to("s"), 0..3)).await.unwrap();
    assert_eq!(database.value("select next_seq from \"My State\".stream").await, "3");
    assert_eq!(ids(&database).await, "30/30/29");
}
