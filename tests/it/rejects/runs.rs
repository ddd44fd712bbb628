//! Rejects over the life of a load: transactions that are run again, streams that are resumed, lanes, stale rows, and what
//! ends a load all the same.

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::{MODES, options, start};
use crate::support::flight::{batch, command, longs, messages, metadata, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_run_again_notes_each_reject_once() {
    for (write_mode, commit) in MODES.into_iter().filter(|(mode, _)| !mode.contains("stale")) {
        let (database, _server, mut flight) = start().await;
        // Fails as a deadlock does, once, after bad rows were noted; a sequence does not roll back.
        database
            .execute(
                "create table t (id bigint primary key, v bigint check (v < 5)); create sequence tries; \
                 create function once() returns trigger language plpgsql as $$ begin if new.id = 8 and nextval('tries') = 1 \
                 then raise exception 'in the way' using errcode = '40P01'; end if; return new; end $$; \
                 create trigger once before insert on t for each row execute function once()",
            )
            .await;
        let part = |ids: [i64; 4], vs: [i64; 4]| batch(vec![("id", longs(ids)), ("v", longs(vs))]);
        let batches = [part([1, 2, 3, 4], [1, 9, 1, 9]), part([5, 6, 7, 8], [9, 1, 1, 1])];
        let mut options = options(write_mode, commit);
        options["batch_size"] = json!(4);
        let answer = flight.put(command(options), &batches).await.unwrap();
        let context = format!("{write_mode} {commit}: {answer}");
        assert_eq!(
            (&answer["rows"], &answer["rejected"]),
            (&json!(5), &json!(3)),
            "{context}"
        );
        assert!(
            database.value("select last_value from tries").await != "1",
            "it was run again: {context}"
        );
        assert_eq!(
            database
                .lines("select row_in_stream from pgflight.reject order by id")
                .await,
            ["1", "3", "4"],
            "{context}"
        );
        assert_eq!(
            database
                .value("select string_agg(id::text, ' ' order by id) from t")
                .await,
            "1 3 6 7 8",
            "{context}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_numbers_names_the_batch_and_a_replay_rejects_nothing_again() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint check (id % 10 <> 7), small smallint)")
        .await;
    let to = json!({"table": "t", "stream_id": "s", "on_bad_row": "reject", "migrate_mode": "off", "batch_size": 20});
    let one = |seq: i64| {
        let small = (0..10).map(|row| if row == 3 { 70_000 } else { 1 });
        batch(vec![("id", longs(seq * 10..seq * 10 + 10)), ("small", longs(small))])
    };
    let labelled = |seqs: std::ops::Range<i64>| {
        let batches: Vec<RecordBatch> = seqs.clone().map(one).collect();
        let mut messages = messages(command(to.clone()), &batches);
        for (message, seq) in messages.iter_mut().skip(1).zip(seqs) {
            message.app_metadata = json!({"seq": seq}).to_string().into();
        }
        messages
    };
    let answers = flight.send(labelled(0..3)).await.unwrap();
    let last = answers.last().unwrap();
    assert_eq!((&last["rows"], &last["rejected"]), (&json!(24), &json!(6)), "{last}");
    let mut again = labelled(1..4);
    again.push(metadata(&json!({"commit": {"rows": 40}}).to_string()));
    let answers = flight.send(again).await.unwrap();
    let last = answers.last().unwrap();
    assert_eq!(
        (&last["rows"], &last["rejected"]),
        (&json!(8), &json!(2)),
        "the replayed batches are not counted: {last}"
    );
    assert_eq!(
        database
            .lines("select stream_id, seq, row_in_batch, sqlstate from pgflight.reject order by seq, row_in_batch")
            .await,
        [0, 1, 2, 3]
            .map(|seq| [format!("s|{seq}|3|22003"), format!("s|{seq}|7|23514")])
            .concat()
    );
    assert_eq!(database.value("select count(*) from t").await, "32");
    let status = flight
        .act("pgflight.stream.status", json!({"stream_id": "s"}))
        .await
        .unwrap();
    let result = &status["result"];
    assert_eq!(
        (&result["rows"], &result["rejected"]),
        (&json!(32), &json!(8)),
        "of all calls: {status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_rows_stay_when_a_row_was_rejected() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint primary key, v bigint check (v < 5), _cq_source_name text, _cq_sync_time timestamp)",
        )
        .await;
    let sync = |ids: [i64; 2], v: i64, time: &str| {
        let times = arrow::compute::cast(
            &texts(&[Some(time), Some(time)]),
            &arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
        );
        batch(vec![
            ("id", longs(ids)),
            ("v", longs([1, v])),
            ("_cq_source_name", texts(&[Some("s"), Some("s")])),
            ("_cq_sync_time", times.unwrap()),
        ])
    };
    let mut options = options("overwrite-delete-stale", "atomic");
    options["expected_rows"] = json!(2);
    let mut put = async |rows: RecordBatch| flight.put(command(options.clone()), &[rows]).await.unwrap();
    put(sync([1, 2], 1, "2026-01-01T00:00:00")).await;
    let answer = put(sync([3, 2], 9, "2026-01-02T00:00:00")).await;
    assert_eq!(
        (&answer["rejected"], &answer["deleted"]),
        (&json!(1), &Value::Null),
        "{answer}"
    );
    let left = "select string_agg(id::text, ' ' order by id) from t";
    assert_eq!(
        database.value(left).await,
        "1 2 3",
        "the old version of the rejected row is still there"
    );
    let answer = put(sync([3, 2], 2, "2026-01-03T00:00:00")).await;
    assert_eq!(answer["deleted"], 1, "{answer}");
    assert_eq!(database.value(left).await, "2 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_reject_no_more_than_they_may_together() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint check (id % 100 <> 99))")
        .await;
    let mut options = options("append", "batch");
    options["batch_size"] = json!(100);
    options["lanes"] = json!(4);
    let all = [batch(vec![("id", longs(0..1000))])];
    let answer = flight.put(command(options.clone()), &all).await.unwrap();
    assert_eq!(
        (&answer["rows"], &answer["rejected"]),
        (&json!(990), &json!(10)),
        "{answer}"
    );
    options["max_rejects"] = json!(3);
    let error = flight.put(command(options), &all).await.unwrap_err();
    assert!(error.message().contains("more than 3 rows"), "{error:?}");
    let counts = "select (select count(*) from pgflight.reject) - 10 <= 3, (select count(*) from t) % 99";
    assert_eq!(
        database.lines(counts).await,
        ["t|0"],
        "whole chunks without their bad row"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_load_counts_the_bad_rows_behind_the_first_and_notes_none() {
    let (database, _server, mut flight) = start().await;
    database.execute("create table t (id smallint)").await;
    let values = (0..100).map(|row| if row % 10 == 4 { 70_000 } else { row });
    let to = command(json!({"table": "t", "migrate_mode": "off"}));
    let error = flight.put(to, &[batch(vec![("id", longs(values))])]).await.unwrap_err();
    assert!(error.message().contains("row 4 of the stream"), "{error:?}");
    assert!(error.message().contains("9 more rows"), "{error:?}");
    assert_eq!(database.value("select count(*) from pgflight.reject").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_row_is_to_blame_for_fails_the_load_and_rejects_nothing() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table parent (id bigint primary key); \
             create table t (id bigint references parent deferrable initially deferred)",
        )
        .await;
    let one = [batch(vec![("id", longs([1, 2]))])];
    for commit in ["atomic", "batch"] {
        let error = flight.put(command(options("append", commit)), &one).await.unwrap_err();
        assert!(error.message().contains("23503"), "{error:?}");
        assert_eq!(
            database
                .lines("select (select count(*) from t), (select count(*) from pgflight.reject)")
                .await,
            ["0|0"]
        );
    }
}
