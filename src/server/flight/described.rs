//! What a read would bring, as the info of a flight: its schema, and a ticket for each part.

use arrow::error::ArrowError;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};

use super::put::PutContext;
use super::ticket;
use crate::ingest::error::Error;
use crate::ingest::ports::{Parts, ReadRequest, TableDescription};
use crate::model::caller::Caller;

/// Describes a read with an endpoint for each part, where several are asked for.
///
/// # Errors
/// What the destination says.
pub(super) async fn flight_info(
    context: &PutContext,
    caller: &Caller,
    request: ReadRequest,
    wanted: Option<u32>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    let description = context.destination.describe(caller, request.clone()).await?;
    let parts = match wanted {
        Some(wanted) if wanted > 1 && request.part.is_none() => {
            context.destination.parts(caller, request, wanted).await?
        }
        _ => Parts {
            reads: vec![request],
            whole: None,
        },
    };
    info(parts, &description, descriptor)
}

/// Locations stay empty, which tells clients to use the connection they have. Counts are estimates, and so go into the
/// metadata and not where clients look for facts.
pub(super) fn info(
    parts: Parts,
    description: &TableDescription,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    let mut estimates = serde_json::json!({
        "table": description.table.to_string(),
        "estimated_rows": description.estimated_rows,
        "estimated_bytes": description.estimated_bytes,
    });
    if let (Some(why), Some(told)) = (parts.whole, estimates.as_object_mut()) {
        told.insert("one_part".to_owned(), why.into());
    }
    let info = FlightInfo::new().try_with_schema(&description.schema);
    let mut info = info.map_err(unencodable)?.with_descriptor(descriptor);
    for mut read in parts.reads {
        read.table = description.table.clone();
        info = info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket::to_ticket(&read))));
    }
    Ok(info.with_app_metadata(estimates.to_string()))
}

fn unencodable(error: ArrowError) -> Error {
    Error::Internal(format!("the schema cannot be encoded: {error}"))
}
