//! Which rows an `overwrite-delete-stale` leaves behind: those of the same source that an older sync wrote. Collects the
//! sources of a stream while it passes; the deletion itself comes after its last row.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

use postgres_types::{ToSql, Type};

use super::commands::Moment;
use super::destination::PgDestination;
use super::plan::{SOURCE_COLUMN, TIME_COLUMN};
use super::transaction::Transaction;
use crate::ingest::error::{Error as IngestError, RequestError};
use crate::ingest::ports::Chunk;
use crate::ingest::request::LoadRequest;
use crate::model::command::DeleteStale;
use crate::model::ident::TableName;
use crate::model::options::WriteMode;
use crate::postgres::error::Error;

/// Rows of `source` that are older than `time` are stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) source: String,
    pub(super) time: SystemTime,
}

/// The sources of a stream.
#[derive(Debug)]
pub(super) struct Sources {
    wanted: bool,
    given: Option<Stale>,
    seen: BTreeMap<String, i64>,
}

impl Sources {
    pub(super) fn new(request: &LoadRequest) -> Self {
        let options = &request.options;
        let given = options.source_name.clone().zip(options.sync_time);
        Self {
            wanted: options.write_mode == WriteMode::OverwriteDeleteStale,
            given: given.map(|(source, time)| Stale { source, time }),
            seen: BTreeMap::new(),
        }
    }

    /// Looks at the rows of a chunk.
    ///
    /// # Errors
    /// Two sync times of one source: which of them is the newer sync is not for us to say.
    pub(super) fn note(&mut self, chunk: &Chunk) -> Result<(), IngestError> {
        if !self.wanted || self.given.is_some() {
            return Ok(());
        }
        for batch in &chunk.batches {
            self.note_batch(batch)?;
        }
        Ok(())
    }

    fn note_batch(&mut self, batch: &RecordBatch) -> Result<(), IngestError> {
        let column = |name: &str, ty: &DataType| {
            let column = batch.column_by_name(name).and_then(|column| cast(column, ty).ok());
            column.ok_or_else(|| {
                RequestError::Conflict(format!(
                    "overwrite-delete-stale needs the column {name} in the stream, or the options source_name and sync_time"
                ))
            })
        };
        let names = column(SOURCE_COLUMN, &DataType::Utf8)?;
        let times = column(TIME_COLUMN, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let (names, times) = (
            names.as_string::<i32>(),
            times.as_primitive::<TimestampMicrosecondType>(),
        );
        let mut last = None;
        for row in 0..batch.num_rows() {
            if names.is_null(row) || times.is_null(row) || last == Some((names.value(row), times.value(row))) {
                continue;
            }
            let (name, time) = (names.value(row), times.value(row));
            last = Some((name, time));
            if *self.seen.entry(name.to_owned()).or_insert(time) != time {
                return Err(RequestError::Conflict(format!(
                    "the stream has rows of one source with two values of {TIME_COLUMN}, so it is not clear which rows are stale; send one sync per stream, or name it with source_name and sync_time"
                ))
                .into());
            }
        }
        Ok(())
    }

    /// What is stale now that all rows came.
    pub(super) fn stale(&self) -> Vec<Stale> {
        let seen = self.seen.iter().map(|(source, micros)| Stale {
            source: source.clone(),
            time: time_of(*micros),
        });
        self.given.iter().cloned().chain(seen).collect()
    }
}

fn time_of(micros: i64) -> SystemTime {
    let span = Duration::from_micros(micros.unsigned_abs());
    match micros < 0 {
        true => SystemTime::UNIX_EPOCH - span,
        false => SystemTime::UNIX_EPOCH + span,
    }
}

fn newer(table: &TableName) -> String {
    format!(
        "select exists (select from {} where \"{SOURCE_COLUMN}\" = $1 and \"{TIME_COLUMN}\" > $2)",
        table.quoted()
    )
}

fn delete(table: &TableName) -> String {
    format!(
        "delete from {} where \"{SOURCE_COLUMN}\" = $1 and \"{TIME_COLUMN}\" < $2",
        table.quoted()
    )
}

/// Deletes in the load's own transaction: fresh rows come and stale ones go in one instant.
pub(super) async fn delete_in(tx: &Transaction, table: &TableName, stale: &[Stale]) -> Result<u64, Error> {
    let mut deleted = 0;
    for stale in stale {
        check_newest(tx.client(), table, stale).await?;
        let time = Moment(stale.time);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&stale.source, Type::TEXT), (&time, Type::UNKNOWN)];
        let rows = match tx.notes() {
            None => tx.client().execute_typed(&delete(table), &parameters).await,
            Some(notes) => notes.delete(tx.client(), &delete(table), &parameters).await,
        };
        let doing = || format!("deleting stale rows of {table}");
        deleted += rows.map_err(|error| Error::statement(doing(), error).of(table))?;
    }
    Ok(deleted)
}

/// A sync that started before another one that is committed already must not judge what is stale.
async fn check_newest(client: &tokio_postgres::Client, table: &TableName, stale: &Stale) -> Result<(), Error> {
    let time = Moment(stale.time);
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&stale.source, Type::TEXT), (&time, Type::UNKNOWN)];
    let row = client.query_typed_one(&newer(table), &parameters).await;
    let doing = || format!("looking for newer rows in {table}");
    let row = row.map_err(|error| Error::statement(doing(), error).of(table))?;
    match row.get::<_, bool>(0) {
        false => Ok(()),
        true => Err(Error::unfit(
            table,
            format!(
                "table {table} holds rows of this source from a newer sync, so nothing was deleted as stale; run the newer sync again if rows are missing"
            ),
        )),
    }
}

impl PgDestination {
    /// Deletes stale rows slice by slice, each a transaction of its own; again when another was in the way.
    pub(super) async fn delete_stale_of(&self, table: &TableName, stale: &[Stale]) -> Result<u64, Error> {
        let mut deleted = 0;
        for stale in stale {
            let mut connection = self.connections.get().await?;
            check_newest(&*connection.scope().await?, table, stale).await?;
            drop(connection);
            let command = DeleteStale {
                table: table.clone(),
                source_name: stale.source.clone(),
                sync_time: stale.time,
            };
            deleted += self.delete_stale_rows(&command).await?;
        }
        Ok(deleted)
    }
}
