//! What is not offered says so, and what to use instead: Flight SQL as drivers send it, bodies of another shape.

use arrow_flight::sql::{CommandGetTables, CommandStatementIngest, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message;
use serde_json::json;
use tonic::Code;

use crate::flight_refusals::{refused, rows};
use crate::support::server::start;

#[tokio::test(flavor = "multi_thread")]
async fn what_flight_sql_clients_send_is_named_with_what_to_use_instead() {
    let (_database, _server, mut flight) = start().await;
    let query = CommandStatementQuery {
        query: "select 1".to_owned(),
        transaction_id: None,
    };
    let query = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let (unimplemented, query_words) = (
        Code::Unimplemented,
        ["CommandStatementQuery", "Flight SQL", "connect to Postgres"],
    );
    let info = flight.client.get_flight_info(query.clone()).await;
    refused(info, unimplemented, &query_words);
    let ticket = Ticket::new(query.cmd.clone());
    refused(
        flight.client.do_get(ticket).await.map(drop),
        unimplemented,
        &query_words,
    );
    let tables = FlightDescriptor::new_cmd(CommandGetTables::default().as_any().encode_to_vec());
    let listed = flight.client.get_flight_info(tables).await;
    refused(listed, unimplemented, &["CommandGetTables", "ListFlights"]);
    let ingest = FlightDescriptor::new_cmd(CommandStatementIngest::default().as_any().encode_to_vec());
    refused(
        flight.put(ingest, &[rows()]).await,
        unimplemented,
        &["CommandStatementIngest", "DoPut", "PATH [table]"],
    );
    for (action, words) in [
        ("CreatePreparedStatement", ["Flight SQL", "JDBC"]),
        ("BeginTransaction", ["Flight SQL", "commit: atomic"]),
        ("CloseSession", ["no sessions", "pgflight-<option>"]),
        ("pgflight.migrat", ["did you mean", "pgflight.migrate"]),
    ] {
        refused(
            flight.act(action, json!({})).await,
            unimplemented,
            &[action, words[0], words[1]],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_shape_is_told_in_jsons_words() {
    let (_database, _server, mut flight) = start().await;
    for (action, body, words) in [
        (
            "pgflight.delete_records",
            json!({"table": "t", "where": {"all": {"id": 1}}}),
            "an object stands where a list is expected",
        ),
        (
            "pgflight.delete_records",
            json!(["t"]),
            "a list stands where an object is expected",
        ),
        (
            "pgflight.stream.status",
            json!({"stream_id": ["s"]}),
            "a list stands where a string is expected",
        ),
    ] {
        let status = flight.act(action, body).await.expect_err("not a body");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(words), "{status}");
        assert!(
            !status.message().contains("sequence") && !status.message().contains("struct"),
            "{status}"
        );
    }
}
