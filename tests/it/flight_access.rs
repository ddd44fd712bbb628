//! Who and what is let in: schemas that are not for streams, tokens, and refusals that clients can read.

use futures::TryStreamExt;
use serde_json::json;
use tonic::Code;

use crate::flight_refusals::{refused, rows, tables};
use crate::support::database::Database;
use crate::support::flight::{Flight, command, messages, path};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_pgflight_and_of_postgres_are_not_for_streams() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for schema in ["pgflight", "pg_catalog", "pg_toast", "information_schema", "pg_temp"] {
        refused(
            flight.put(path(&[schema, "stream"]), &[rows()]).await,
            Code::InvalidArgument,
            &[schema, "choose another schema"],
        );
        let body = json!({"schema": schema, "table": "stream", "all": true});
        let status = flight.act("pgflight.delete_records", body).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let schemas = "select count(*) from pg_namespace where nspname = 'pgflight'";
    assert_eq!(database.value(schemas).await, "0");
    assert_eq!(
        flight.put(path(&["pgflights", "t"]), &[rows()]).await.unwrap()["rows"],
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_pgflight_and_of_postgres_are_neither_read_nor_described_nor_listed() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint); create schema pgflight; create table pgflight.mine (id bigint)")
        .await;
    // Another server's state is a table like others: only `state_schema` is ours.
    let server = Server::start_with(database.uri(), json!({"state_schema": "kept"})).await;
    let mut flight = Flight::connect(&server).await;
    flight
        .put(
            command(json!({"table": "t", "stream_id": "s", "commit": "atomic"})),
            &[rows()],
        )
        .await
        .unwrap();
    for [schema, table] in [
        ["kept", "stream"],
        ["pg_catalog", "pg_authid"],
        ["information_schema", "tables"],
        ["pg_toast", "pg_toast_1"],
        ["pg_temp", "t"],
        ["pg_temp_3", "t"],
    ] {
        let named = path(&[schema, table]);
        let ticket = arrow_flight::Ticket::new(json!({"schema": schema, "table": table}).to_string());
        let answers = [
            flight.client.get_flight_info(named.clone()).await.map(drop),
            flight.client.get_schema(named).await.map(drop),
            flight.client.do_get(ticket).await.map(drop),
            flight
                .client
                .do_get(arrow_flight::Ticket::new(format!("{schema}.{table}")))
                .await
                .map(drop),
        ];
        for answer in answers {
            let status = answer.expect_err(schema);
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains("is not read here"), "{status:?}");
        }
    }
    let listed = flight
        .client
        .list_flights(arrow_flight::Criteria::default())
        .await
        .unwrap()
        .into_inner();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let names = listed
        .into_iter()
        .map(|info| info.flight_descriptor.unwrap().path.join("."));
    assert_eq!(names.collect::<Vec<_>>(), ["pgflight.mine", "public.t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_twice_is_refused_wherever_it_is_said() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let twice = |status: tonic::Status, key: &str| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let text = status.message();
        assert!(text.contains(key) && text.contains("stands twice"), "{text}");
    };
    let descriptor = |text: &str| arrow_flight::FlightDescriptor::new_cmd(text.to_owned());
    for text in [
        r#"{"table": "t", "table": "u"}"#,
        r#"{"table": "t", "column_types": {"a": "text", "table": "int", "table": "text"}}"#,
    ] {
        twice(flight.put(descriptor(text), &[rows()]).await.unwrap_err(), "\"table\"");
    }
    let read = r#"{"table": "t", "limit": 1, "limit": 2}"#;
    twice(
        flight.client.get_flight_info(descriptor(read)).await.unwrap_err(),
        "\"limit\"",
    );
    twice(
        flight
            .client
            .do_get(arrow_flight::Ticket::new(read))
            .await
            .map(drop)
            .unwrap_err(),
        "\"limit\"",
    );
    for (name, body) in [
        (
            "pgflight.delete_records",
            r#"{"table": "t", "where": [{"all": {"id": 1, "id": 2}}]}"#,
        ),
        ("pgflight.delete_stale", r#"{"table": "t", "id": 1, "id": 2}"#),
        ("pgflight.migrate", r#"{"table": "t", "id": 1, "id": 2}"#),
        ("pgflight.stream.open", r#"{"stream_id": "s", "id": 1, "id": 2}"#),
        ("pgflight.stream.status", r#"{"id": 1, "id": 2}"#),
    ] {
        let action = arrow_flight::Action::new(name, body);
        twice(flight.client.do_action(action).await.map(drop).unwrap_err(), "\"id\"");
    }
    let mut sent = messages(command(json!({"table": "t"})), &[rows()]);
    sent[1].app_metadata = r#"{"seq": 0, "seq": 1}"#.into();
    twice(flight.send(sent).await.unwrap_err(), "\"seq\"");
    let mut spelled = flight
        .clone()
        .with_header("pgflight-batch-size", "1")
        .with_header("pgflight-batch_size", "2");
    twice(spelled.put(path(&["t"]), &[rows()]).await.unwrap_err(), "batch_size");
    assert_eq!(tables(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_the_client_however_long_the_name_in_it_is() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for name in ["é".repeat(3000), "x".repeat(1 << 20)] {
        let status = flight.put(path(&[&name]), &[rows()]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{}", status.message().len());
        assert!(status.message().contains("63"), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_every_put_needs_one_and_a_handshake_gives_it() {
    let database = Database::create().await;
    let auth = json!({"auth": {"tokens": [{"principal": "etl", "token": "s3cret"}]}});
    let server = Server::start_with(database.uri(), auth).await;
    let anonymous = Flight::connect(&server).await;
    refused(
        anonymous.clone().put(path(&["t"]), &[rows()]).await,
        Code::Unauthenticated,
        &["auth.tokens"],
    );
    let mut wrong = anonymous.clone().with_header("authorization", "Bearer nope");
    refused(
        wrong.put(path(&["t"]), &[rows()]).await,
        Code::Unauthenticated,
        &["auth.tokens"],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
    let mut known = anonymous.clone().with_header("authorization", "Bearer s3cret");
    assert_eq!(known.put(path(&["t"]), &[rows()]).await.unwrap()["rows"], 2);
    let mut shaken = arrow_flight::FlightClient::new_from_inner(anonymous.client.clone());
    shaken.add_header("authorization", "Basic ZXRsOnMzY3JldA").unwrap();
    shaken.handshake(Vec::new()).await.expect("Basic credentials are taken");
}
