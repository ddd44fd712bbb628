//! Who and what is let in: schemas that are not for streams, tokens, and refusals that clients can read.

use serde_json::json;
use tonic::Code;

use crate::flight_refusals::{refused, rows, tables};
use crate::support::database::Database;
use crate::support::flight::{Flight, path};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn schemas_of_pgflight_and_of_postgres_are_not_for_streams() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for schema in ["pgflight", "pg_catalog", "pg_toast", "information_schema"] {
        refused(
            flight.put(path(&[schema, "stream"]), &[rows()]).await,
            Code::InvalidArgument,
            &[schema, "choose another schema"],
        );
        let body = json!({"schema": schema, "table": "stream", "where": []});
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
