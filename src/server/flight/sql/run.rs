//! Statements of SQL and prepared ones: described, read by DoGet, changed by DoPut. Off unless configured.

use std::time::Instant;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, Command, DoPutPreparedStatementResult, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, PutResult, SchemaAsIpc,
    Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::Status;

use super::handle::{Handle, MOST_BYTES};
use super::{NO_SQL, name_of, refusal, unencodable};
use crate::config::QueryAccess;
use crate::ingest::error::{Error, RequestError, StreamError};
use crate::ingest::guard::GuardedQueries;
use crate::ingest::ports::ReadRequest;
use crate::ingest::ports::query::{Prepared, Statement};
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::server::flight::answers::rows_changed;
use crate::server::flight::put::PutContext;
use crate::server::flight::stream::{Answers, encoded, pumped};
use crate::server::flight::{described, parts};
use crate::server::upload::Gate;

/// The actions of prepared statements, as ListActions tells where statements may be run.
pub(in crate::server::flight) fn types(context: &PutContext) -> Vec<ActionType> {
    let action = |(name, description): (&str, &str)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    };
    match context.config.query_access() {
        QueryAccess::Off => Vec::new(),
        QueryAccess::ReadOnly | QueryAccess::ReadWrite => [
            (
                "CreatePreparedStatement",
                "Parses a statement and tells its columns and parameters.",
            ),
            (
                "ClosePreparedStatement",
                "Ends a prepared statement, of which nothing is kept here.",
            ),
        ]
        .map(action)
        .into(),
    }
}

/// Who runs statements, where that is configured.
fn queries<'a>(context: &'a PutContext, what: &str) -> Result<GuardedQueries<'a>, Error> {
    if context.config.query_access() == QueryAccess::Off {
        return Err(RequestError::Unsupported(format!(
            "{what} runs SQL, which is not allowed here (flight_sql.queries: off); {NO_SQL}"
        ))
        .into());
    }
    if context.life.draining.is_cancelled() {
        return Err(Error::Draining);
    }
    let queries = context.destination.queries();
    queries.ok_or_else(|| RequestError::Unsupported("there is no database to run SQL in".to_owned()).into())
}

fn changes(context: &PutContext, what: &str) -> Result<(), Error> {
    match context.config.query_access() {
        QueryAccess::ReadWrite => Ok(()),
        QueryAccess::ReadOnly => Err(RequestError::Unsupported(format!(
            "{what} may change something, and statements may only read here (flight_sql.queries: read-only)"
        ))
        .into()),
        QueryAccess::Off => queries(context, what).map(drop),
    }
}

fn outside(transaction: Option<&Bytes>) -> Result<(), RequestError> {
    match transaction {
        None => Ok(()),
        Some(_) => Err(RequestError::NotFound(
            "there is no transaction of this transaction_id: each statement is one of its own; leave it out".to_owned(),
        )),
    }
}

/// The statement behind a command.
fn handle_of(command: &Command) -> Result<Handle, RequestError> {
    match command {
        Command::CommandStatementQuery(command) => {
            outside(command.transaction_id.as_ref())?;
            Handle::of(command.query.clone())
        }
        Command::CommandStatementUpdate(command) => {
            outside(command.transaction_id.as_ref())?;
            Handle::of(command.query.clone())
        }
        Command::CommandPreparedStatementQuery(command) => Handle::read(&command.prepared_statement_handle),
        Command::CommandPreparedStatementUpdate(command) => Handle::read(&command.prepared_statement_handle),
        Command::TicketStatementQuery(ticket) => Handle::read(&ticket.statement_handle),
        other => Err(refusal(other)),
    }
}

/// The schema of a statement's result.
///
/// # Errors
/// SQL that is off, or what Postgres says.
pub(super) async fn schema(context: &PutContext, caller: &Caller, command: &Command) -> Result<Schema, Error> {
    let queries = queries(context, name_of(command.type_url()))?;
    let handle = handle_of(command)?;
    let prepared = until_stopped(context, queries.prepare(caller, &handle.sql)).await?;
    Ok(prepared.columns.as_ref().clone())
}

/// Describes a statement's result; the ticket holds the statement. One that gives no columns is run here, and its result is
/// empty: drivers send statements that change something this way, and need not fetch a result that has no rows.
///
/// # Errors
/// As [`schema`].
pub(super) async fn flight_info(
    context: &PutContext,
    caller: &Caller,
    command: &Command,
    partitions: Option<u32>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    let name = name_of(command.type_url());
    let queries = queries(context, name)?;
    let handle = handle_of(command)?;
    let by_search_path = context.config.schema().is_none();
    if partitions.is_some_and(|partitions| partitions > 1)
        && handle.is_unbound()
        && let Some(table) = parts::plain_table(&handle.sql, by_search_path)
    {
        let read = ReadRequest::all(table);
        match described::flight_info(context, caller, read, partitions, descriptor.clone()).await {
            // A statement may read more than DoGet does, as Postgres' own tables.
            Err(error) if matches!(error.class(), Class::NotFound | Class::BadRequest | Class::Denied) => {}
            answer => return answer,
        }
    }
    let columns = until_stopped(context, queries.prepare(caller, &handle.sql))
        .await?
        .columns;
    let info = FlightInfo::new().try_with_schema(&columns).map_err(unencodable)?;
    let info = info.with_descriptor(descriptor).with_ordered(true);
    if columns.fields().is_empty() {
        changes(context, name)?;
        run(queries, caller, handle.statement()?, context).await?;
        return Ok(info);
    }
    let ticket = TicketStatementQuery {
        statement_handle: handle.encoded(),
    };
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    Ok(info.with_endpoint(FlightEndpoint::new().with_ticket(ticket)))
}

/// Runs a statement and gives its rows.
///
/// # Errors
/// As [`schema`].
pub(super) async fn get(
    context: &PutContext,
    caller: &Caller,
    command: &Command,
) -> Result<Answers<FlightData>, Error> {
    let queries = queries(context, name_of(command.type_url()))?;
    let statement = handle_of(command)?.statement()?;
    let reader = until_stopped(context, queries.query(caller, statement)).await?;
    let schema = reader.schema.clone();
    Ok(encoded(schema, pumped(reader, context.idle_timeout, &context.life)))
}

/// A statement that comes by DoPut: one that changes something, or values for a prepared one.
///
/// # Errors
/// As [`schema`]; nothing was changed then.
pub(in crate::server::flight) async fn put<S>(
    context: &PutContext,
    caller: &Caller,
    command: &Command,
    first: FlightData,
    rest: S,
    gate: &Gate,
) -> Result<PutResult, Error>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
{
    let name = name_of(command.type_url());
    let queries = queries(context, name)?;
    let handle = handle_of(command)?;
    let statement = match command {
        Command::CommandStatementUpdate(_) => {
            changes(context, name)?;
            received(context, first, rest, gate).await?;
            handle.statement()?
        }
        Command::CommandPreparedStatementUpdate(_) => {
            changes(context, name)?;
            handle.bind(received(context, first, rest, gate).await?)?.statement()?
        }
        Command::CommandPreparedStatementQuery(_) => {
            let bound = handle.bind(received(context, first, rest, gate).await?)?;
            let result = DoPutPreparedStatementResult {
                prepared_statement_handle: Some(bound.encoded()),
            };
            return Ok(PutResult {
                app_metadata: result.encode_to_vec().into(),
            });
        }
        other => return Err(refusal(other).into()),
    };
    Ok(rows_changed(run(queries, caller, statement, context).await?))
}

async fn run(
    queries: GuardedQueries<'_>,
    caller: &Caller,
    statement: Statement,
    context: &PutContext,
) -> Result<u64, Error> {
    until_stopped(context, queries.execute(caller, statement)).await
}

/// What Postgres is asked for may wait there for locks, or work for long.
async fn until_stopped<T>(context: &PutContext, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        done = work => done,
        () = context.life.stopping.cancelled() => Err(Error::Draining),
    }
}

/// All messages of a stream that is short.
async fn received<S>(
    context: &PutContext,
    first: FlightData,
    mut rest: S,
    gate: &Gate,
) -> Result<Vec<FlightData>, Error>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
{
    let size = |message: &FlightData| message.data_header.len() + message.data_body.len();
    let too_large = || {
        let words =
            format!("the parameters take more than {MOST_BYTES} bytes, which is the most; load rows by an ingest");
        Error::from(RequestError::Malformed(words))
    };
    let (idle, kept) = (context.idle_timeout, Default::default());
    let mut bytes = size(&first);
    let mut all = vec![first];
    let mut waiting = Instant::now();
    loop {
        if bytes > MOST_BYTES {
            return Err(too_large());
        }
        tokio::select! {
            biased;
            () = context.life.stopping.cancelled() => return Err(Error::Draining),
            message = rest.next() => match message {
                Some(Ok(message)) => {
                    bytes += size(&message);
                    all.push(message);
                    waiting = Instant::now();
                }
                Some(Err(status)) => {
                    let reason = status.message().to_owned();
                    return Err(StreamError::Broken { received: 0, reason, kept }.into());
                }
                None => return Ok(all),
            },
            asked = gate.asked() => {
                if bytes + asked > 2 * MOST_BYTES {
                    return Err(too_large());
                }
                gate.grant();
                waiting = Instant::now();
            }
            () = tokio::time::sleep_until(gate.idle_at(waiting, idle).into()) => {
                if gate.idle_at(waiting, idle) <= Instant::now() {
                    return Err(StreamError::Idle { idle, kept }.into());
                }
            }
        }
    }
}

/// The answer to the actions of prepared statements; `None` for others.
///
/// # Errors
/// As [`schema`].
pub(in crate::server::flight) async fn act(
    context: &PutContext,
    caller: &Caller,
    action: &Action,
) -> Result<Option<Bytes>, Error> {
    let name = action.r#type.as_str();
    match name {
        "CreatePreparedStatement" => {
            let queries = queries(context, name)?;
            let asked: ActionCreatePreparedStatementRequest = unpacked(action)?;
            outside(asked.transaction_id.as_ref())?;
            let handle = Handle::of(asked.query)?;
            let prepared = until_stopped(context, queries.prepare(caller, &handle.sql)).await?;
            Ok(Some(created(&handle, &prepared)?))
        }
        "ClosePreparedStatement" => {
            queries(context, name)?;
            let asked: ActionClosePreparedStatementRequest = unpacked(action)?;
            Handle::read(&asked.prepared_statement_handle)?;
            Ok(Some(Bytes::new()))
        }
        _ => Ok(None),
    }
}

fn unpacked<T: ProstMessageExt>(action: &Action) -> Result<T, RequestError> {
    let any = Any::decode(&*action.body).ok();
    let message = any.and_then(|any| any.unpack().ok().flatten());
    let wrong = || RequestError::Malformed(format!("the body of {} is not its message", action.r#type));
    message.ok_or_else(wrong)
}

fn created(handle: &Handle, prepared: &Prepared) -> Result<Bytes, Error> {
    let ipc = |schema: &Schema| -> Result<Bytes, Error> {
        let options = IpcWriteOptions::default();
        let message: IpcMessage = SchemaAsIpc::new(schema, &options).try_into().map_err(unencodable)?;
        Ok(message.0)
    };
    // Drivers take a statement without a schema for one that changes something.
    let columns = match prepared.columns.fields().is_empty() {
        true => Bytes::new(),
        false => ipc(&prepared.columns)?,
    };
    let result = ActionCreatePreparedStatementResult {
        prepared_statement_handle: handle.encoded(),
        dataset_schema: columns,
        parameter_schema: ipc(&prepared.parameters)?,
    };
    Ok(result.as_any().encode_to_vec().into())
}
