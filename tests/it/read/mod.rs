//! Tables read back: what DoGet gives is what Postgres holds.

mod every_type;
mod flight;
mod matrix;
mod parts;
mod postgis;
mod requested;
mod roundtrip;
mod snapshot;
mod types;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use base64::Engine as _;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Channel;

use crate::support::server::Server;

/// A client with the limits that a client has by default: messages up to 4 MiB.
async fn client(server: &Server) -> FlightServiceClient<Channel> {
    let channel = Channel::from_shared(server.http()).expect("a URI").connect().await;
    FlightServiceClient::new(channel.expect("the server listens"))
}

/// All of what a ticket reads, as one batch.
pub(crate) async fn get(server: &Server, ticket: Value) -> Result<RecordBatch, Status> {
    let (schema, batches) = get_batches(server, ticket).await?;
    Ok(arrow::compute::concat_batches(&schema, &batches).expect("batches of one schema"))
}

async fn get_batches(server: &Server, ticket: Value) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
    let messages = client(server)
        .await
        .do_get(Ticket::new(ticket.to_string()))
        .await?
        .into_inner();
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    let batches: Vec<RecordBatch> = (&mut stream).try_collect().await.map_err(Status::from)?;
    let schema = stream.schema().expect("a stream starts with its schema").clone();
    Ok((schema, batches))
}

/// A ticket for exactly this schema.
fn exactly(table: &str, schema: Schema) -> Value {
    let options = arrow::ipc::writer::IpcWriteOptions::default();
    let message = arrow_flight::IpcMessage::try_from(arrow_flight::SchemaAsIpc::new(&schema, &options));
    let bytes = message.expect("the schema can be encoded").0;
    json!({"table": table, "arrow_schema": base64::engine::general_purpose::STANDARD.encode(bytes)})
}

fn schema(batch: &RecordBatch) -> Arc<Schema> {
    batch.schema()
}
