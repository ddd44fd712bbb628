//! Read: a table back as records in exactly the asked types, one consistent snapshot, many rows per message.
//!
//! A client that takes nothing for longer than the idle timeout is cut off with an error, as with Flight, since it holds a
//! connection meanwhile. Columns are asked for by name; the destination refuses a type that it cannot give exactly.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use futures::stream::{BoxStream, StreamExt};
use tonic::{Code, Status};

use super::service::Shared;
use super::table::CqTable;
use super::{pb, text_form};
use crate::ingest::error::Error;
use crate::ingest::guard::Guarded;
use crate::ingest::ports::ReadRequest;
use crate::model::caller::Caller;
use crate::server::flight::stream::pumped;
use crate::server::status::{refusal, status};

/// The records of a table.
pub(super) type Records = BoxStream<'static, Result<pb::read::Response, Status>>;

/// Starts a read.
///
/// # Errors
/// Everything that can be refused before the first row.
pub(super) async fn read(
    destination: Guarded,
    caller: &Caller,
    table: &CqTable,
    shared: &Shared,
) -> Result<Records, Error> {
    let wanted = Arc::clone(&table.schema);
    let stored: Vec<Field> = wanted.fields().iter().map(|field| text_form::stored(field)).collect();
    let request = ReadRequest {
        schema: Some(Arc::new(Schema::new(stored))),
        ..ReadRequest::all(table.name.clone())
    };
    let reader = destination.read(caller, request).await?;
    let table = table.name.to_string();
    let batches = pumped(reader, shared.idle_timeout, &shared.life);
    let records = batches.filter_map(move |batch| {
        let record = match batch {
            // Clients take the first batch of a record and would stumble over an empty one.
            Ok(batch) if batch.num_rows() == 0 => None,
            Ok(batch) => Some(record(&wanted, &batch).map_err(|reason| {
                let text = format!("rows of {table} cannot be given in the asked types: {reason}");
                refusal(Code::DataLoss, text)
            })),
            Err(error) => Some(Err(status(&error))),
        };
        futures::future::ready(record.map(|record| record.map(|record| pb::read::Response { record })))
    });
    Ok(records.boxed())
}

fn record(wanted: &SchemaRef, batch: &RecordBatch) -> Result<bytes::Bytes, String> {
    let columns = wanted.fields().iter().zip(batch.columns()).map(|(field, column)| {
        text_form::restore(field, column).map_err(|reason| format!("column {:?}: {reason}", field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options);
    let batch = batch.map_err(|error| error.to_string())?;
    encode(&batch).map_err(|error| error.to_string())
}

/// Schema, one batch, end: what the protocol calls a record.
fn encode(batch: &RecordBatch) -> Result<bytes::Bytes, arrow::error::ArrowError> {
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes.into())
}
