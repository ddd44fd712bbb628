//! Starts a read: one connection, one read-only transaction, one snapshot, one COPY. Holds nothing of the rows itself.
//!
//! The table is locked (ACCESS SHARE, what any SELECT takes) *before* the transaction takes its snapshot: a change of a
//! column's type between reading the catalog and copying would give bytes of another type than planned, and an older
//! snapshot would see a table that was rewritten or truncated meanwhile as empty. Materialized views and foreign tables
//! cannot be locked so and are read as a SELECT reads them.

use arrow::datatypes::{FieldRef, Schema};
use futures::stream::{BoxStream, StreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, CopyOutStream};

use super::counted::Counted;
use super::error::ReadError;
use super::parts::only;
use super::snapshots::{Snapshots, Turn};
use crate::codec::decode::type_map::type_name;
use crate::codec::decode::{BatchLimits, Cast, DecodeError, ReadPlan, TableDecoder};
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::part::Part;
use crate::ingest::ports::{ReadRequest, TableReader};
use crate::model::ident::{Ident, TableName};
use crate::model::table::TargetColumn;
use crate::planner::found::{FoundTable, RelationKind};
use crate::postgres::catalog;
use crate::postgres::error::Error;
use crate::postgres::pool::{Connection, Connections};
use crate::postgres::reserved::{self, Use};
use crate::postgres::scope::Tenure;
use crate::sql::Sql;

/// A relation that can be read, as the catalog has it.
pub(super) struct Readable {
    pub(super) name: TableName,
    pub(super) table: FoundTable,
}

impl Readable {
    pub(super) fn columns(&self) -> Vec<TargetColumn> {
        let columns = self.table.columns.iter().map(|column| TargetColumn {
            name: column.name.clone(),
            ty: column.ty.clone(),
            nullable: !column.not_null,
        });
        columns.collect()
    }

    /// The types of the columns that a schema reads, as Postgres calls them.
    pub(super) fn types_of(&self, schema: &Schema) -> Vec<String> {
        let column = |field: &FieldRef| {
            let mut columns = self.table.columns.iter();
            let column = columns.find(|column| column.name.as_str() == field.name());
            column.map_or_else(String::new, |column| type_name(&column.ty))
        };
        schema.fields().iter().map(column).collect()
    }

    pub(super) fn plan(&self, request: &ReadRequest) -> Result<ReadPlan, Error> {
        ReadPlan::new(&self.columns(), request.columns.as_deref(), request.schema.as_deref()).map_err(|source| {
            ReadError::Plan {
                table: self.name.to_string(),
                source,
            }
            .into()
        })
    }
}

/// Which schema is meant where none is named, and which one is ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schemas<'a> {
    pub(crate) default: Option<&'a Ident>,
    pub(crate) state: &'a Ident,
}

impl Schemas<'_> {
    fn check(&self, name: &TableName) -> Result<(), Error> {
        let schema = name.schema.as_ref();
        schema.map_or(Ok(()), |schema| reserved::check(schema, self.state, Use::Read))
    }
}

/// Finds a relation that can be read.
pub(super) async fn find(client: &Client, name: &TableName, schemas: Schemas<'_>) -> Result<Readable, Error> {
    schemas.check(name)?;
    let found = catalog::read_table(client, name, schemas.default).await?;
    schemas.check(&found.name)?;
    match found.table {
        Some(table) if !matches!(table.kind, RelationKind::NotATable(_)) => Ok(Readable {
            name: found.name,
            table,
        }),
        Some(table) => Err(ReadError::NotReadable {
            table: found.name.to_string(),
            kind: table.kind.words(),
        }
        .into()),
        None => Err(ReadError::NoTable {
            table: found.name.to_string(),
        }
        .into()),
    }
}

/// Starts a read.
///
/// # Errors
/// The table is not there or cannot be read as asked; nothing of it was read.
pub(crate) async fn read(
    connections: &Connections,
    schemas: Schemas<'_>,
    snapshots: &Snapshots,
    request: &ReadRequest,
) -> Result<TableReader, Error> {
    // Before anything is waited for, so that the snapshot lasts.
    let turn = request.part.as_ref();
    let turn = turn.map(|part| snapshots.reading(&part.snapshot, part.number));
    // While its client reads.
    let mut connection = connections.get_long().await?;
    let seen = find(&*connection.scope().await?, &request.table, schemas).await?;
    connection.mark_dirty();
    let failed = |source| Error::statement(format!("reading {}", seen.name), source).of(&seen.name);
    let begin = begin(&seen, connection.tenure());
    let begun = connection.client().batch_execute(&begin).await;
    begun.map_err(failed)?;
    if let Some(part) = &request.part {
        import(&connection, &seen.name, part, snapshots).await?;
    }
    let readable = find(connection.client(), &seen.name, schemas).await?;
    let plan = readable.plan(request)?;
    let schema = plan.schema().clone();
    let statement = copy_out(&readable.name, &plan, request);
    let counted = Counted::begin(&connection);
    let taken = counted.taken();
    let rows = connection.client().copy_out(statement.as_str()).await;
    let limits = BatchLimits {
        bytes: request.max_batch_bytes,
        ..BatchLimits::default()
    };
    let reading = Reading {
        rows: Box::pin(rows.map_err(|source| counted.refusal().unwrap_or_else(|| failed(source)))?),
        decoder: plan.into_decoder(limits),
        table: readable.name,
        turn,
        counted,
        connection,
    };
    Ok(TableReader {
        schema,
        batches: reading.batches(),
        taken,
    })
}

fn begin(seen: &Readable, tenure: &Tenure) -> String {
    let lock = match seen.table.kind {
        RelationKind::Table | RelationKind::Partitioned | RelationKind::View => {
            Sql::new("lock table ").table(&seen.name).then(" in access share mode")
        }
        _ => Sql::new(""),
    };
    format!(
        "begin isolation level repeatable read, read only; {}{}",
        tenure.values(),
        lock.as_str()
    )
}

/// Takes the snapshot that all parts share. Behind the lock: while it can be had, nobody had another lock since it was exported.
async fn import(connection: &Connection, table: &TableName, part: &Part, snapshots: &Snapshots) -> Result<(), Error> {
    let set = Sql::new("set transaction snapshot ").literal(&part.snapshot);
    let Err(source) = connection.client().batch_execute(set.as_str()).await else {
        return Ok(());
    };
    let code = source.code().cloned().unwrap_or(SqlState::INTERNAL_ERROR);
    let gone = [
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    ];
    Err(match gone.contains(&code) {
        true => ReadError::SnapshotGone {
            table: table.to_string(),
            number: part.number,
            seconds: snapshots.idle().as_secs_f64(),
        }
        .into(),
        false => Error::statement(format!("reading {table}"), source).of(table),
    })
}

fn copy_out(table: &TableName, plan: &ReadPlan, request: &ReadRequest) -> Sql {
    let select = Sql::new("copy (select ")
        .list(plan.selected(), |sql, (name, cast)| {
            let sql = sql.ident(name);
            match cast {
                Cast::None => sql,
                Cast::Text => sql.then("::pg_catalog.text"),
                Cast::TextArray => sql.then("::pg_catalog.text[]"),
            }
        })
        .then(" from ");
    let from = match &request.part {
        Some(part) => only(select, table, part),
        None => select.table(table),
    };
    from.when(request.limit, |sql, limit| sql.then(" limit ").number(limit))
        .then(") to stdout (format binary)")
}

/// A COPY under way. Its connection goes back to the pool only when the COPY ended well; else it is closed, which is what
/// ends the statement on the server.
struct Reading {
    rows: std::pin::Pin<Box<CopyOutStream>>,
    decoder: TableDecoder,
    table: TableName,
    turn: Option<Turn>,
    counted: Counted,
    connection: Connection,
}

impl Reading {
    /// Rows are taken from Postgres only as batches are asked for.
    fn batches(self) -> BoxStream<'static, Result<arrow::array::RecordBatch, IngestError>> {
        futures::stream::unfold(Some(self), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Next::Batch(batch)) => Some((Ok(batch), Some(reading))),
                Ok(Next::Last(batch)) => Some((Ok(batch), None)),
                Ok(Next::End) => None,
                Err(error) => Some((Err(error.into()), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Next, Error> {
        loop {
            if let Some(batch) = self.decoder.batch().map_err(|source| self.undecodable(source))? {
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
                None => break,
            }
        }
        let last = self.decoder.finish().map_err(|source| self.undecodable(source))?;
        let ended = self.connection.client().batch_execute("commit").await;
        ended.map_err(|source| self.failed(source))?;
        self.connection.mark_clean();
        if let Some(turn) = &mut self.turn {
            turn.ended();
        }
        Ok(last.map_or(Next::End, Next::Last))
    }

    fn failed(&self, source: tokio_postgres::Error) -> Error {
        let error = Error::statement(format!("reading {}", self.table), source);
        self.counted.refusal().unwrap_or(error).of(&self.table)
    }

    fn undecodable(&self, source: DecodeError) -> Error {
        ReadError::Decode {
            table: self.table.to_string(),
            source,
        }
        .into()
    }
}

enum Next {
    Batch(arrow::array::RecordBatch),
    Last(arrow::array::RecordBatch),
    End,
}
