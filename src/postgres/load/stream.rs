//! The row of a resumable stream: opened, locked, moved on and ended in the transactions that write its rows.
//!
//! The row is locked before anything is written. That fences older writers, and it resolves a COMMIT whose answer was lost:
//! whoever locks the row on a new connection waits for the old transaction's end and then reads the truth.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::ingest::error::StreamError;
use crate::ingest::ports::{Chunk, Finished, StreamName, StreamState};
use crate::ingest::request::LoadOptions;
use crate::model::ident::{Ident, TableName};
use crate::postgres::error::Error;
use crate::postgres::pool::{Ask, Session};
use crate::postgres::scope::Scope;
use crate::postgres::{queries, state};
use crate::telemetry::names;

/// The stream of a load, written under one epoch.
#[derive(Debug)]
pub(super) struct Writer {
    schema: Ident,
    name: StreamName,
    epoch: i64,
    state: Mutex<StreamState>,
}

/// What the locked row says about a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Locked {
    /// Whether the chunk is committed already, by a transaction whose answer was lost.
    pub(super) done: bool,
    /// Whether a commit survives a crash of the server.
    pub(super) durable: bool,
}

/// A stream as its row says.
struct Found {
    target: String,
    state: StreamState,
}

/// Opens a stream of this name, with a new epoch.
pub(super) async fn open(
    scope: &Scope<'_>,
    schema: &Ident,
    name: &StreamName,
    table: &TableName,
) -> Result<StreamState, Error> {
    state::ensure(scope, schema).await?;
    let params = [(&name.owner, Type::TEXT), (&name.stream_id, Type::TEXT)];
    let table_param = table.to_string();
    let rows = scope
        .ask(
            &queries::in_schema(queries::STREAM_OPEN, schema),
            &[
                (params[0].0, Type::TEXT),
                (params[1].0, Type::TEXT),
                (&table_param, Type::TEXT),
            ],
        )
        .await
        .map_err(|error| Error::statement(format!("opening stream {:?}", name.stream_id), error).of(table))?;
    let found = found(name, rows.first()).ok_or_else(|| Error::Internal("a stream was not opened".to_owned()))?;
    if found.target != table_param {
        let why = format!(
            "stream {:?} belongs to table {}, not to {table}; give each table's stream a name of its own",
            name.stream_id, found.target
        );
        return Err(Error::unfit(table, why));
    }
    Ok(found.state)
}

/// Looks at a stream.
pub(super) async fn status(scope: &Scope<'_>, schema: &Ident, name: &StreamName) -> Result<Option<StreamState>, Error> {
    state::ensure(scope, schema).await?;
    let found = ask(scope, schema, name, queries::STREAM_STATUS).await?;
    Ok(found.map(|found| found.state))
}

async fn ask(client: &Session, schema: &Ident, name: &StreamName, query: &str) -> Result<Option<Found>, Error> {
    let rows = client
        .ask(
            &queries::in_schema(query, schema),
            &[(&name.owner, Type::TEXT), (&name.stream_id, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::statement(format!("reading where stream {:?} stands", name.stream_id), error))?;
    Ok(found(name, rows.first()))
}

fn found(name: &StreamName, row: Option<&Row>) -> Option<Found> {
    let row = row?;
    let number = |column: &str| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    let result: Option<String> = row.get("result");
    let state = StreamState {
        stream_id: name.stream_id.clone(),
        epoch: number("epoch"),
        next_seq: number("next_seq"),
        token: row.get("token"),
        rows: number("rows"),
        durable: row.get("durable"),
        last_hash: row.get("last_hash"),
        finished: result.and_then(|result| serde_json::from_str(&result).ok()),
    };
    Some(Found {
        target: row.get("target"),
        state,
    })
}

impl Writer {
    /// Opens the stream of a load: with a new epoch, or with the one that the client was given when it opened it.
    pub(super) async fn open(
        scope: &Scope<'_>,
        schema: &Ident,
        name: StreamName,
        table: &TableName,
        options: &LoadOptions,
    ) -> Result<Self, Error> {
        let state = match options.stream_epoch {
            None => open(scope, schema, &name, table).await?,
            Some(ours) => match status(scope, schema, &name).await? {
                Some(state) if state.epoch == ours => state,
                found => return Err(fenced(&name, ours, found.map_or(0, |found| found.epoch))),
            },
        };
        if let Some(acked) = options.acked_seq.filter(|acked| state.next_seq <= *acked) {
            return Err(regressed(&name, acked, state.next_seq));
        }
        Ok(Self {
            schema: schema.clone(),
            epoch: i64::try_from(state.epoch).unwrap_or(i64::MAX),
            name,
            state: Mutex::new(state),
        })
    }

    /// Where the stream stands as far as this load knows.
    pub(super) fn state(&self) -> StreamState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Locks the stream's row and compares it with what this load knows; `chunk` is what it wants to write.
    pub(super) async fn lock(&self, client: &Session, chunk: Option<&Chunk>) -> Result<Locked, Error> {
        let known = self.state();
        let found = ask(client, &self.schema, &self.name, queries::STREAM_LOCK).await?;
        let Some(found) = found else {
            return Err(regressed(&self.name, known.next_seq.saturating_sub(1), 0));
        };
        let durable = found.state.durable;
        if found.state.epoch > known.epoch {
            return Err(fenced(&self.name, known.epoch, found.state.epoch));
        }
        let first = chunk
            .and_then(|chunk| chunk.labels.first())
            .map_or(known.next_seq, |label| label.seq);
        if found.state.epoch < known.epoch || found.state.next_seq < first {
            return Err(regressed(&self.name, first.saturating_sub(1), found.state.next_seq));
        }
        let done = found.state.next_seq > first || found.state.finished.is_some();
        if done {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = found.state;
        }
        Ok(Locked { done, durable })
    }

    /// Notes a chunk as written; commits with its rows.
    pub(super) async fn advance(&self, client: &Session, chunk: &Chunk) -> Result<StreamState, Error> {
        let known = self.state();
        let last = chunk.labels.last();
        self.move_to(
            client,
            StreamState {
                next_seq: last.map_or(known.next_seq, |label| label.seq + 1),
                token: last.and_then(|label| label.token.clone()).or(known.token),
                last_hash: last.map(|label| label.hash.to_vec()).or(known.last_hash),
                rows: known.rows + chunk.rows,
                ..known
            },
        )
        .await
    }

    /// Notes the one step of an atomic stream.
    pub(super) async fn advance_once(&self, client: &Session, rows: u64) -> Result<StreamState, Error> {
        let known = self.state();
        let next = StreamState {
            next_seq: known.next_seq + 1,
            rows: known.rows + rows,
            ..known
        };
        self.move_to(client, next).await
    }

    async fn move_to(&self, client: &Session, next: StreamState) -> Result<StreamState, Error> {
        let before = self.state().rows;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (next_seq, rows) = (signed(next.next_seq), signed(next.rows - before));
        let moved = client
            .ask(
                &queries::in_schema(queries::STREAM_ADVANCE, &self.schema),
                &[
                    (&self.name.owner, Type::TEXT),
                    (&self.name.stream_id, Type::TEXT),
                    (&self.epoch, Type::INT8),
                    (&next_seq, Type::INT8),
                    (&next.token, Type::TEXT),
                    (&rows, Type::INT8),
                    (&next.last_hash, Type::BYTEA),
                ],
            )
            .await;
        self.one(moved)?;
        Ok(next)
    }

    /// Ends the stream for good with its result; commits with what is before it in the transaction.
    pub(super) async fn finalize(&self, client: &Session, result: &Finished) -> Result<(), Error> {
        let result = serde_json::to_string(result).unwrap_or_default();
        let ended = client
            .ask(
                &queries::in_schema(queries::STREAM_FINALIZE, &self.schema),
                &[
                    (&self.name.owner, Type::TEXT),
                    (&self.name.stream_id, Type::TEXT),
                    (&self.epoch, Type::INT8),
                    (&result, Type::TEXT),
                ],
            )
            .await;
        self.one(ended)
    }

    /// What a commit made true.
    pub(super) fn committed(&self, state: StreamState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The row is locked and its epoch compared, so an update that misses it is a fault of ours.
    fn one(&self, rows: Result<Vec<Row>, tokio_postgres::Error>) -> Result<(), Error> {
        let doing = || format!("noting the progress of stream {:?}", self.name.stream_id);
        let rows = rows.map_err(|error| Error::statement(doing(), error))?;
        match rows.len() {
            1 => Ok(()),
            count => Err(Error::Internal(format!("{} changed {count} rows", doing()))),
        }
    }
}

fn fenced(name: &StreamName, ours: u64, theirs: u64) -> Error {
    metrics::counter!(names::FENCED).increment(1);
    let stream_id = name.stream_id.clone();
    StreamError::Fenced {
        stream_id,
        ours,
        theirs,
    }
    .into()
}

fn regressed(name: &StreamName, acked: u64, next_seq: u64) -> Error {
    metrics::counter!(names::OFFSET_REGRESSIONS).increment(1);
    let stream_id = name.stream_id.clone();
    StreamError::Regressed {
        stream_id,
        acked,
        next_seq,
    }
    .into()
}
