//! Requests that happen once, and many of them at once.

use serde_json::json;

use super::bodies::{JSON, STREAM, rows, stream};
use super::client::{post, send};
use super::start;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_idempotency_key_happens_once_however_often_it_is_sent() {
    let (database, server) = start().await;
    let door = server.http_door();
    for (table, kind, body) in [
        ("objects", JSON, br#"[{"id": 1}, {"id": 2}, {"id": 3}]"#.to_vec()),
        ("arrow", STREAM, stream(&[rows()], Default::default())),
    ] {
        let path = format!("/v1/tables/public/{table}");
        let key = format!("{table}-7");
        let headers = [("content-type", kind), ("idempotency-key", key.as_str())];
        let first = send(door, "POST", &path, &headers, body.clone()).await.loaded();
        assert_eq!(
            (&first["duplicate"], &first["stream_id"], &first["rows"]),
            (&json!(false), &json!(key), &json!(3)),
            "{first}"
        );
        for _ in 0..2 {
            let again = send(door, "POST", &path, &headers, body.clone()).await.loaded();
            assert_eq!(
                (&again["duplicate"], &again["rows"]),
                (&json!(true), &json!(3)),
                "{again}"
            );
        }
        assert_eq!(database.value(&format!("select count(*) from {table}")).await, "3");
        let other = [("content-type", kind), ("idempotency-key", "another")];
        let query = format!("{path}?stream_id=another");
        send(door, "POST", &query, &other, body.clone()).await.loaded();
        assert_eq!(database.value(&format!("select count(*) from {table}")).await, "6");
        database
            .execute("delete from pgflight.stream where stream_id = 'another'")
            .await;
        let two_names = format!("{path}?stream_id=x");
        assert!(
            send(door, "POST", &two_names, &headers, body)
                .await
                .refused(400)
                .contains("two names")
        );
    }
    // A request that failed is no request that was done.
    let path = "/v1/tables/public/objects?expected_rows=2";
    let headers = [("content-type", JSON), ("idempotency-key", "retried")];
    send(door, "POST", path, &headers, r#"{"id": 9}"#).await.refused(409);
    let second = send(door, "POST", path, &headers, r#"[{"id": 9}, {"id": 10}]"#)
        .await
        .loaded();
    assert_eq!(
        (&second["duplicate"], &second["rows"]),
        (&json!(false), &json!(2)),
        "{second}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_single_rows_from_eight_clients_are_all_there_once() {
    let (database, server) = start().await;
    let door = server.http_door();
    for times in 1..=2 {
        let clients = (0..8).map(|client| async move {
            for id in 0..125 {
                let row = json!({"id": client * 125 + id, "client": client}).to_string();
                let answer = post(door, "t", JSON, row).await.loaded();
                assert_eq!(answer["committed"], 1, "{answer}");
            }
        });
        futures::future::join_all(clients).await;
        let question = "select count(*) || ' ' || count(distinct id) || ' ' || min(id) || ' ' || max(id) from t";
        assert_eq!(database.value(question).await, format!("{} 1000 0 999", times * 1_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_rejected_where_that_is_asked_for() {
    let (database, server) = start().await;
    database.execute("create table t (id int)").await;
    let answer = post(
        server.http_door(),
        "t?on_bad_row=reject&reject_values=true",
        "text/csv",
        "id\n1\nx\n3\n",
    )
    .await
    .loaded();
    assert_eq!(
        (&answer["rows"], &answer["rejected"]),
        (&json!(2), &json!(1)),
        "{answer}"
    );
    let load = answer["load_id"].as_str().expect("its name");
    let noted = format!("select row_in_stream, column_name, row_values from pgflight.reject where load_id = '{load}'");
    assert_eq!(database.lines(&noted).await, [r#"1|id|{"id":"x"}"#]);
}
