//! The Flight SQL door: ingests and what drivers ask, spoken message by message here and by the published ADBC driver in `adbc`.

mod adbc;
mod bounds;
mod draining;
mod examples;
mod hostile;
mod ingest;
mod large;
mod metadata;
pub(crate) mod queries;

use arrow::array::RecordBatch;
use arrow_flight::sql::{CommandStatementIngest, DoPutUpdateResult, ProstMessageExt, TableDefinitionOptions};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::TryStreamExt;
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::flight::{Flight, messages};
use crate::support::server::start;

/// The four modes of ADBC as the driver sends them: where there is no table, and where there is one.
const MODES: [(&str, i32, i32); 4] = [
    ("create", 1, 1),
    ("append", 2, 2),
    ("replace", 1, 3),
    ("create_append", 1, 2),
];

/// An ingest into a table of the default schema.
pub(crate) fn ingest_of(table: &str, mode: &str) -> CommandStatementIngest {
    let (_, if_not_exist, if_exists) = MODES.into_iter().find(|(name, ..)| *name == mode).expect("a mode");
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist,
            if_exists,
        }),
        table: table.to_owned(),
        ..CommandStatementIngest::default()
    }
}

/// A command as a descriptor.
fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// Ingests whole batches; the number of rows that the one answer names.
pub(crate) async fn ingest(
    flight: &mut Flight,
    command: &CommandStatementIngest,
    batches: &[RecordBatch],
) -> Result<i64, Status> {
    send(flight, messages(descriptor(command), batches)).await
}

/// Sends messages as they are.
async fn send(flight: &mut Flight, messages: Vec<FlightData>) -> Result<i64, Status> {
    let mut request = tonic::Request::new(futures::stream::iter(messages));
    *request.metadata_mut() = flight.headers.clone();
    let answers = flight.client.do_put(request).await?.into_inner();
    let answers: Vec<_> = answers.try_collect().await?;
    assert_eq!(answers.len(), 1, "an ingest has one answer");
    let result = DoPutUpdateResult::decode(&answers[0].app_metadata[..]).expect("an update result");
    Ok(result.record_count)
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
