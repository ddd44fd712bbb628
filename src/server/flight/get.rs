//! DoGet, GetFlightInfo, GetSchema, ListFlights: tables read back as Arrow. Decides nothing about rows or types.
//!
//! Batches are of about 2 MiB, so that a message stays under the 4 MiB that gRPC clients take by default (a single row
//! larger than that is a message of its own). A client that takes nothing for longer than the idle timeout is cut off with
//! an error, since it holds a connection to Postgres meanwhile; a stream that ends without an error is complete.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::Command;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, SchemaAsIpc, SchemaResult, Ticket};
use futures::stream::StreamExt;

use tonic::metadata::MetadataMap;

use super::put::PutContext;
use super::stream::{Answers, encoded, pumped};
use super::{described, parts, sql, ticket};
use crate::ingest::error::{Error, RequestError};
use crate::ingest::guard::Guarded;
use crate::ingest::ports::{ListRequest, Parts, ReadRequest};
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::model::ident::{Ident, TableName};
use crate::server::status::status;

/// Tables asked for at once when all are listed.
const PAGE: u32 = 100;

/// Starts a read and answers with its batches.
///
/// # Errors
/// All that can be refused before the first row.
pub async fn do_get(context: &PutContext, caller: &Caller, ticket: &Ticket) -> Result<Answers<FlightData>, Error> {
    if let Some(command) = sql::command(&ticket.ticket)? {
        return sql::get(context, caller, command).await;
    }
    let request = ticket::of_ticket(&ticket.ticket)?;
    let reader = context.destination.read(caller, request).await?;
    let schema = Arc::clone(&reader.schema);
    Ok(encoded(schema, pumped(reader, context.idle_timeout, &context.life)))
}

/// Describes what a descriptor asks for, with the ticket that reads it.
///
/// # Errors
/// A descriptor that names no table, or what the destination says.
pub async fn flight_info(
    context: &PutContext,
    caller: &Caller,
    headers: &MetadataMap,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    let by_header = parts::of_headers(headers)?;
    if let Some(command) = sql_command(&descriptor)? {
        return sql::flight_info(context, caller, command, by_header, descriptor).await;
    }
    let (request, partitions) = ticket::of_descriptor(&descriptor)?;
    described::flight_info(context, caller, request, partitions.or(by_header), descriptor).await
}

/// The schema of what a descriptor asks for.
///
/// # Errors
/// As [`flight_info`].
pub async fn schema(
    context: &PutContext,
    caller: &Caller,
    descriptor: &FlightDescriptor,
) -> Result<SchemaResult, Error> {
    let schema = match sql_command(descriptor)? {
        Some(command) => sql::schema(context, caller, &command).await?,
        None => {
            let (request, _) = ticket::of_descriptor(descriptor)?;
            context.destination.describe(caller, request).await?.schema
        }
    };
    let options = IpcWriteOptions::default();
    SchemaResult::try_from(SchemaAsIpc::new(&schema, &options)).map_err(unencodable)
}

fn sql_command(descriptor: &FlightDescriptor) -> Result<Option<Command>, RequestError> {
    match DescriptorType::try_from(descriptor.r#type) {
        Ok(DescriptorType::Cmd) => sql::command(&descriptor.cmd),
        _ => Ok(None),
    }
}

/// All tables that can be read, or those of the schema that the criteria name. Pages are asked for as the client reads.
///
/// # Errors
/// Criteria that are no schema's name.
pub fn list(context: &PutContext, caller: Caller, criteria: &[u8]) -> Result<Answers<FlightInfo>, RequestError> {
    let schema = match std::str::from_utf8(criteria).unwrap_or("\0") {
        "" => None,
        name => Some(
            Ident::new(name).map_err(|source| crate::ingest::error::RequestError::Name { what: "schema", source })?,
        ),
    };
    let listing = Listing {
        destination: context.destination.clone(),
        caller,
        request: ListRequest {
            schema,
            after: None,
            limit: PAGE,
        },
        page: VecDeque::new(),
        ended: false,
    };
    let infos = futures::stream::unfold(Some(listing), |listing| async move {
        let mut listing = listing?;
        match listing.next().await {
            Ok(Some(info)) => Some((Ok(info), Some(listing))),
            Ok(None) => None,
            Err(error) => Some((Err(status(&error)), None)),
        }
    });
    Ok(infos.boxed())
}

struct Listing {
    destination: Guarded,
    caller: Caller,
    request: ListRequest,
    page: VecDeque<TableName>,
    ended: bool,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<FlightInfo>, Error> {
        loop {
            let Some(table) = self.page.pop_front() else {
                if self.ended {
                    return Ok(None);
                }
                self.turn().await?;
                continue;
            };
            let path = [table.schema.as_ref(), Some(&table.name)];
            let path = path.into_iter().flatten().map(|part| part.as_str().to_owned());
            let descriptor = FlightDescriptor::new_path(path.collect());
            let request = ReadRequest::all(table);
            match self.destination.describe(&self.caller, request.clone()).await {
                Ok(description) => {
                    let (reads, whole) = (vec![request], None);
                    return described::info(Parts { reads, whole }, &description, descriptor).map(Some);
                }
                // Dropped since the page was read.
                Err(error) if error.class() == Class::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Error> {
        let page = self.destination.list(&self.caller, self.request.clone()).await?;
        self.ended = page.len() < PAGE as usize;
        self.request.after = page.last().cloned();
        self.page = page.into();
        Ok(())
    }
}

fn unencodable(error: ArrowError) -> Error {
    Error::Internal(format!("the schema cannot be encoded: {error}"))
}
