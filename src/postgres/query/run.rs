//! Runs a statement and reads its rows: by COPY where it is a query without parameters, else by the extended protocol, whose
//! rows are put into COPY's form. One decoder for both.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::bound::begin_as;
use super::describe::{Described, describe, own};
use super::parameters::{Value, values};
use super::transaction::{begin, begin_for, copied, run};
use crate::codec::decode::{BatchLimits, DecodeError, TableDecoder};
use crate::codec::{HEADER, TRAILER};
use crate::config::QueryAccess;
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::query::Statement;
use crate::ingest::ports::{ReadRequest, TableReader};
use crate::model::ident::Ident;
use crate::postgres::error::Error;
use crate::postgres::pool::{Connection, Connections};
use crate::postgres::read::counted::Counted;

/// A session for one statement. It stays dirty, so that it is closed and not lent again.
async fn session(connections: &Connections) -> Result<Connection, Error> {
    // While its client reads.
    let mut connection = connections.get_long().await?;
    own(&connection)?;
    connection.mark_dirty();
    if connection.tenure().is_lent() {
        // Nothing is left in a session of a pooler's, which looks after its clients itself.
        return Ok(connection);
    }
    // Servers that cannot look after their clients say so; statement_timeout ends their work.
    let watching = connection
        .client()
        .batch_execute("set client_connection_check_interval = '1s'");
    if let Err(error) = watching.await {
        tracing::debug!(error = %error, "the server does not look after its clients");
    }
    Ok(connection)
}

/// Runs a statement and reads its rows.
///
/// # Errors
/// Postgres refuses it, or it is not of the kind that may be run; nothing of it was done then.
pub(crate) async fn query(
    connections: &Connections,
    access: QueryAccess,
    role: Option<&Ident>,
    statement: &Statement,
) -> Result<TableReader, Error> {
    let connection = session(connections).await?;
    let begin = begin_for(&connection, access);
    if let Some(role) = role {
        begin_as(&connection, &begin, role, &statement.sql).await?;
    }
    let described = describe(&connection, &statement.sql).await?;
    let rows = values(statement.parameters.as_ref(), &described.parameters)?;
    if described.columns.is_empty() {
        return match access {
            QueryAccess::ReadWrite => {
                change(&connection, &described, &rows, role.is_some()).await?;
                Ok(without_rows())
            }
            QueryAccess::Off | QueryAccess::ReadOnly => Err(Error::ReadsOnly),
        };
    }
    let plan = described.plan()?;
    let schema = plan.schema().clone();
    if role.is_none() {
        run(&connection, &begin).await?;
    }
    let limits = BatchLimits {
        bytes: ReadRequest::BATCH_BYTES,
        ..BatchLimits::default()
    };
    let counted = Counted::begin(&connection);
    let taken = counted.taken();
    let mut running = Running {
        rows: futures::stream::empty().boxed(),
        decoder: plan.into_decoder(limits),
        left: rows.into(),
        access,
        described,
        counted,
        connection,
    };
    match copied(&statement.sql).filter(|_| running.described.parameters.is_empty()) {
        Some(copy) => {
            running.left.clear();
            let copying = running.connection.client().copy_out(copy.as_str()).await;
            running.rows = copying.map_err(|source| running.failed(source))?.boxed();
        }
        None => {
            running.decoder.feed(Bytes::from_static(&HEADER));
            running.turn().await?;
        }
    }
    Ok(TableReader {
        schema,
        batches: running.batches(),
        taken,
    })
}

/// What a statement gives that gives no columns.
fn without_rows() -> TableReader {
    TableReader {
        schema: Arc::new(Schema::empty()),
        batches: futures::stream::empty().boxed(),
        taken: None,
    }
}

/// Runs a statement that changes something.
///
/// # Errors
/// As [`query`].
pub(crate) async fn execute(
    connections: &Connections,
    role: Option<&Ident>,
    statement: &Statement,
) -> Result<u64, Error> {
    let connection = session(connections).await?;
    if let Some(role) = role {
        begin_as(&connection, &begin(&connection), role, &statement.sql).await?;
    }
    let described = describe(&connection, &statement.sql).await?;
    let rows = values(statement.parameters.as_ref(), &described.parameters)?;
    change(&connection, &described, &rows, role.is_some()).await
}

/// A single run is a transaction of its own, so that statements go through that Postgres runs in no other; one as a role has
/// begun its transaction.
async fn change(
    connection: &Connection,
    described: &Described,
    rows: &[Vec<Value>],
    begun: bool,
) -> Result<u64, Error> {
    let together = begun || rows.len() != 1;
    if together && !begun {
        run(connection, &begin(connection)).await?;
    }
    let mut changed = 0;
    for row in rows {
        let done = connection.client().execute_raw(&described.statement, row).await;
        changed += done.map_err(|source| Error::Query { source })?;
    }
    if together {
        run(connection, "commit").await?;
    }
    Ok(changed)
}

/// A statement under way.
struct Running {
    rows: BoxStream<'static, Result<Bytes, tokio_postgres::Error>>,
    decoder: TableDecoder,
    /// Values that it has yet to be run with.
    left: VecDeque<Vec<Value>>,
    access: QueryAccess,
    described: Described,
    counted: Counted,
    connection: Connection,
}

enum Next {
    Batch(RecordBatch),
    Last(RecordBatch),
    End,
}

impl Running {
    /// Rows are taken from Postgres only as batches are asked for.
    fn batches(self) -> BoxStream<'static, Result<RecordBatch, IngestError>> {
        futures::stream::unfold(Some(self), |running| async move {
            let mut running = running?;
            match running.next().await {
                Ok(Next::Batch(batch)) => Some((Ok(batch), Some(running))),
                Ok(Next::Last(batch)) => Some((Ok(batch), None)),
                Ok(Next::End) => None,
                Err(error) => Some((Err(error.into()), None)),
            }
        })
        .boxed()
    }

    fn failed(&self, source: tokio_postgres::Error) -> Error {
        self.counted.refusal().unwrap_or(Error::Query { source })
    }

    /// Runs the statement with the values that are next; whether there were some.
    async fn turn(&mut self) -> Result<bool, Error> {
        let Some(row) = self.left.pop_front() else {
            return Ok(false);
        };
        let answer = self.connection.client().query_raw(&self.described.statement, row).await;
        let rows = answer.map_err(|source| self.failed(source))?;
        self.rows = rows.map(|row| row.and_then(|row| framed(&row))).boxed();
        if self.left.is_empty() {
            let end = futures::stream::iter([Ok(Bytes::from_static(&TRAILER))]);
            let rows = std::mem::replace(&mut self.rows, futures::stream::empty().boxed());
            self.rows = rows.chain(end).boxed();
        }
        Ok(true)
    }

    async fn next(&mut self) -> Result<Next, Error> {
        loop {
            if let Some(batch) = self.decoder.batch().map_err(undecodable)? {
                self.counted.batch();
                return Ok(Next::Batch(batch));
            }
            self.counted.cut();
            match self.rows.next().await {
                Some(Ok(piece)) => {
                    self.counted.fed(piece.len());
                    self.decoder.feed(piece);
                }
                Some(Err(source)) => return Err(self.failed(source)),
                None if self.turn().await? => {}
                None => break,
            }
        }
        let last = self.decoder.finish().map_err(undecodable)?;
        // What a statement that only reads did to its session goes with it.
        let end = match self.access {
            QueryAccess::ReadWrite => "commit",
            QueryAccess::Off | QueryAccess::ReadOnly => "rollback",
        };
        run(&self.connection, end).await?;
        Ok(last.map_or(Next::End, Next::Last))
    }
}

fn undecodable(source: DecodeError) -> Error {
    Error::Undecodable { source }
}

/// A row as COPY sends it.
fn framed(row: &Row) -> Result<Bytes, tokio_postgres::Error> {
    let mut frame = BytesMut::new();
    // Postgres has at most 1664 columns in a result.
    frame.put_i16(i16::try_from(row.len()).unwrap_or(i16::MAX));
    for n in 0..row.len() {
        match row.try_get::<_, Option<Raw<'_>>>(n)? {
            None => frame.put_i32(-1),
            Some(Raw(bytes)) => {
                frame.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                frame.put_slice(bytes);
            }
        }
    }
    Ok(frame.freeze())
}

/// A value as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
