//! What no driver sends: each case gets its status and one sentence, writes nothing, and the server lives on.

use arrow_flight::sql::{
    Any, CommandGetSqlInfo, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
    TableDefinitionOptions,
};
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use prost::Message;
use tonic::Code;

use super::{descriptor, ingest, ingest_of, send};
use crate::flight_refusals::{refused, rows, tables};
use crate::support::flight::messages;
use crate::support::server::start;

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_says_too_little_or_too_much_is_refused() {
    let (database, _server, mut flight) = start().await;
    let invalid = Code::InvalidArgument;
    let mut without = ingest_of("t", "create");
    without.table_definition_options = None;
    refused(
        ingest(&mut flight, &without, &[rows()]).await,
        invalid,
        &["if_not_exist", "create_append"],
    );
    for (if_not_exist, if_exists, word) in [
        (0, 1, "if_not_exist"),
        (7, 1, "if_not_exist"),
        (1, 0, "if_exists"),
        (1, -1, "if_exists"),
    ] {
        without.table_definition_options = Some(TableDefinitionOptions {
            if_not_exist,
            if_exists,
        });
        refused(ingest(&mut flight, &without, &[rows()]).await, invalid, &[word]);
    }
    let nameless = ingest_of("", "create");
    refused(
        ingest(&mut flight, &nameless, &[rows()]).await,
        invalid,
        &["table name", "empty"],
    );
    let mut temporary = ingest_of("t", "create");
    temporary.temporary = true;
    refused(
        ingest(&mut flight, &temporary, &[rows()]).await,
        Code::Unimplemented,
        &["temporary"],
    );
    let mut within = ingest_of("t", "create");
    within.transaction_id = Some(b"x".as_slice().into());
    refused(
        ingest(&mut flight, &within, &[rows()]).await,
        Code::NotFound,
        &["transaction"],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
    assert_eq!(
        ingest(&mut flight, &ingest_of("t", "create"), &[rows()]).await.unwrap(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_ingest_are_refused() {
    let (database, _server, mut flight) = start().await;
    let invalid = Code::InvalidArgument;
    let create = ingest_of("t", "create");
    let without_schema = FlightData {
        flight_descriptor: Some(descriptor(&create)),
        ..FlightData::default()
    };
    refused(
        send(&mut flight, vec![without_schema]).await,
        invalid,
        &["no Arrow schema"],
    );
    let mut twice = messages(descriptor(&create), &[rows()]);
    let mut schema = twice[0].clone();
    schema.flight_descriptor = None;
    twice.insert(1, schema);
    refused(
        send(&mut flight, twice).await,
        invalid,
        &["message 2", "nothing of it was committed"],
    );
    let tables_by_put = messages(descriptor(&CommandGetTables::default()), &[rows()]);
    refused(
        send(&mut flight, tables_by_put).await,
        Code::Unimplemented,
        &["CommandGetTables"],
    );
    let by_get = Ticket::new(create.as_any().encode_to_vec());
    refused(
        flight.client.do_get(by_get).await.map(drop),
        Code::Unimplemented,
        &["DoPut"],
    );
    assert_eq!(tables(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_are_none_are_refused_wherever_they_stand() {
    let (database, _server, mut flight) = start().await;
    let invalid = Code::InvalidArgument;
    let any = |url: &str, value: &[u8]| Any {
        type_url: url.to_owned(),
        value: value.to_vec().into(),
    };
    for (any, code, word) in [
        (
            any("type.googleapis.com/google.protobuf.Empty", b""),
            Code::Unimplemented,
            "Empty",
        ),
        (
            any("type.googleapis.com/arrow.flight.protocol.sql.CommandDance", b""),
            Code::Unimplemented,
            "CommandDance",
        ),
        (
            any(
                "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementIngest",
                b"\xff",
            ),
            invalid,
            "CommandStatementIngest",
        ),
    ] {
        let bytes = any.encode_to_vec();
        let to = FlightDescriptor::new_cmd(bytes.clone());
        refused(send(&mut flight, messages(to.clone(), &[rows()])).await, code, &[word]);
        refused(flight.client.get_flight_info(to.clone()).await, code, &[word]);
        refused(flight.client.get_schema(to).await, code, &[word]);
        refused(flight.client.do_get(Ticket::new(bytes)).await.map(drop), code, &[word]);
    }
    assert_eq!(tables(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_refused_with_what_to_use_instead() {
    let (_database, _server, mut flight) = start().await;
    let query = CommandStatementQuery {
        query: "select 1".to_owned(),
        transaction_id: None,
    };
    let handle = CommandPreparedStatementQuery {
        prepared_statement_handle: b"somebody's".as_slice().into(),
    };
    let words = ["SQL", "connect to Postgres itself"];
    for cmd in [query.as_any(), handle.as_any()] {
        let cmd = cmd.encode_to_vec();
        let info = flight
            .client
            .get_flight_info(FlightDescriptor::new_cmd(cmd.clone()))
            .await;
        refused(info, Code::Unimplemented, &words);
        let got = flight.client.do_get(Ticket::new(cmd.clone())).await.map(drop);
        refused(got, Code::Unimplemented, &words);
        let put = send(&mut flight, messages(FlightDescriptor::new_cmd(cmd), &[rows()])).await;
        refused(put, Code::Unimplemented, &["Statement"]);
    }
    for (action, words) in [
        ("BeginTransaction", "one transaction"),
        ("CancelFlightInfo", "cancelling it"),
        ("pgflight.migrat", "did you mean"),
    ] {
        let refusal = flight.act(action, serde_json::json!({})).await;
        refused(refusal, Code::Unimplemented, &[action, words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_a_million_numbers_is_refused() {
    let (_database, _server, mut flight) = start().await;
    let all = CommandGetSqlInfo {
        info: (0..1_000_000).collect(),
    };
    let ticket = Ticket::new(all.as_any().encode_to_vec());
    let got = flight.client.do_get(ticket).await.map(drop);
    refused(got, Code::InvalidArgument, &["1000000 numbers"]);
}
