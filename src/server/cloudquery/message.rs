//! From a Write message to a command of the core: IPC bytes to schemas and batches, safely. Writes nothing.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::buffer::Buffer;
use arrow::compute::take_record_batch;
use arrow::datatypes::Schema;
use bytes::Bytes;

use super::pb;
use super::pb::write::request::Message;
use super::table::{CqTable, column_name, table_name};
use crate::ingest::error::RequestError;
use crate::model::command::{DeleteRecords, DeleteStale, Joiner, Predicate, PredicateGroup, Relation};
use crate::server::arrow_ipc::{self, Dictionaries, Encapsulated};

/// Schemas kept per Write call. Every insert repeats its schema with all metadata, and a sync has some hundred tables.
const CACHED_SCHEMAS: usize = 4096;
/// Bytes that these take together, as messages and read.
const CACHED_BYTES: usize = 32 << 20;
/// Most bytes of a schema message; 1600 columns with all their metadata are far below.
const MOST_SCHEMA_BYTES: usize = 8 << 20;
/// Most bytes that a message may unpack to where it is not larger itself: as much as is taken of one batch in a stream.
const MOST_UNPACKED_BYTES: usize = 256 << 20;
/// Seconds since 1970 that a `google.protobuf.Timestamp` may have: the years 1 to 9999.
const SYNC_SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A decoded Write message.
#[derive(Debug)]
pub(super) enum Command {
    Migrate { table: Arc<CqTable>, force: bool },
    Insert(Record),
    DeleteStale(DeleteStale),
    DeleteRecords(DeleteRecords),
}

/// Rows of a table, still encoded: they are read when there is memory for them.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) table: Arc<CqTable>,
    stream: Bytes,
    /// Memory that they take once they are read.
    pub(super) bytes: usize,
}

impl Record {
    /// Reads the rows.
    ///
    /// # Errors
    /// What is wrong with them, in words for the client.
    pub(super) fn batch(self) -> Result<RecordBatch, RequestError> {
        single_batch(&self.table, self.stream, &insert_into(&self.table))
    }
}

/// Decoder of one Write call.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Tables by the bytes of their schema message: parsing the metadata of 77 columns costs more than a small batch.
    tables: HashMap<Bytes, Arc<CqTable>>,
    cached_bytes: usize,
}

impl Decoder {
    /// Decodes a message.
    ///
    /// # Errors
    /// What is wrong with it, in words for the client.
    pub(super) fn read(&mut self, message: Option<Message>) -> Result<Command, RequestError> {
        match message {
            None => Err(malformed(
                "the Write message is empty: it holds no migrate_table, insert, delete or delete_record",
            )),
            Some(Message::MigrateTable(migrate)) => {
                let (table, _) = self.schema(migrate.table, "migrate_table")?;
                Ok(Command::Migrate {
                    table,
                    force: migrate.migrate_force,
                })
            }
            Some(Message::Insert(insert)) => {
                let (table, stream) = self.schema(insert.record, "insert")?;
                let unpacked = arrow_ipc::stream_bytes(stream.clone());
                let bytes =
                    memory(stream.len(), unpacked).map_err(|reason| unreadable(&insert_into(&table), &reason))?;
                Ok(Command::Insert(Record { table, stream, bytes }))
            }
            Some(Message::Delete(delete)) => delete_stale(delete).map(Command::DeleteStale),
            Some(Message::DeleteRecord(delete)) => delete_records(delete).map(Command::DeleteRecords),
        }
    }

    fn schema(&mut self, mut stream: Bytes, what: &str) -> Result<(Arc<CqTable>, Bytes), RequestError> {
        let first = first_message(&mut stream, what)?;
        if let Some(table) = self.tables.get(&first.header) {
            return Ok((Arc::clone(table), stream));
        }
        let schema = read_schema(&first.header, what)?;
        let table = CqTable::new(Arc::new(schema)).map_err(|error| malformed(format!("{what}: {error}")))?;
        let table = Arc::new(table);
        self.keep(&first.header, &table);
        Ok((table, stream))
    }

    fn keep(&mut self, header: &Bytes, table: &Arc<CqTable>) {
        let bytes = header.len() + schema_bytes(&table.schema);
        if self.tables.len() >= CACHED_SCHEMAS || self.cached_bytes + bytes > CACHED_BYTES {
            self.tables.clear();
            self.cached_bytes = 0;
        }
        if bytes <= CACHED_BYTES {
            self.cached_bytes += bytes;
            // A copy, because the slice would keep the whole message alive.
            self.tables.insert(Bytes::copy_from_slice(header), Arc::clone(table));
        }
    }
}

/// Memory of a schema: parts of a message may be named often, so that it takes more when it is read.
fn schema_bytes(schema: &Schema) -> usize {
    let metadata = schema.metadata().iter().map(|(key, value)| key.len() + value.len());
    schema.fields().size() + metadata.sum::<usize>()
}

fn read_schema(header: &Bytes, what: &str) -> Result<Schema, RequestError> {
    if header.len() > MOST_SCHEMA_BYTES {
        return Err(malformed(format!(
            "{what}: the schema takes {} bytes; at most {MOST_SCHEMA_BYTES} are taken, give its columns less metadata",
            header.len()
        )));
    }
    arrow_ipc::read_schema(header).map_err(|reason| unreadable(what, &reason))
}

fn insert_into(table: &CqTable) -> String {
    format!("insert into {}", table.name)
}

/// Memory of a message that has `sent` bytes.
fn memory(sent: usize, unpacked: usize) -> Result<usize, String> {
    match unpacked > sent.max(MOST_UNPACKED_BYTES) {
        true => Err(format!(
            "it unpacks to {unpacked} bytes; at most {MOST_UNPACKED_BYTES} are taken, send less at once"
        )),
        false => Ok(sent.max(unpacked)),
    }
}

/// Memory that the values of a deletion's conditions take once they are read.
///
/// # Errors
/// They unpack to more than is taken.
pub(super) fn condition_bytes(delete: &pb::write::MessageDeleteRecord) -> Result<usize, RequestError> {
    let predicates = delete.where_clause.iter().flat_map(|group| &group.predicates);
    let (sent, unpacked) = predicates.fold((0_usize, 0_usize), |(sent, unpacked), predicate| {
        let record = &predicate.record;
        let more = arrow_ipc::stream_bytes(record.clone());
        (sent + record.len(), unpacked.saturating_add(more))
    });
    memory(sent, unpacked).map_err(|reason| unreadable(&format!("delete_record from {}", delete.table_name), &reason))
}

/// Reads the schema of a Read request.
///
/// # Errors
/// As [`Decoder::read`].
pub(super) fn read_table(bytes: Bytes) -> Result<Arc<CqTable>, RequestError> {
    Decoder::default().schema(bytes, "read").map(|(table, _)| table)
}

fn first_message(stream: &mut Bytes, what: &str) -> Result<Encapsulated, RequestError> {
    let first = arrow_ipc::split_message(stream).map_err(|reason| unreadable(what, &reason))?;
    first.ok_or_else(|| unreadable(what, "it holds no schema"))
}

/// The only batch of a record; dictionaries may stand before it.
fn single_batch(table: &CqTable, mut stream: Bytes, what: &str) -> Result<RecordBatch, RequestError> {
    let mut dictionaries = Dictionaries::default();
    let mut found = None;
    while let Some(message) = arrow_ipc::split_message(&mut stream).map_err(|reason| unreadable(what, &reason))? {
        let body = Buffer::from(message.body);
        let batch = arrow_ipc::read_message(&message.header, body, &table.schema, &mut dictionaries)
            .map_err(|reason| unreadable(what, &reason))?;
        match (batch, &found) {
            (Some(_), Some(_)) => {
                return Err(malformed(format!(
                    "{what}: the record holds more than one batch; send one message each"
                )));
            }
            (Some(batch), None) => found = Some(batch),
            (None, _) => {}
        }
    }
    found.ok_or_else(|| malformed(format!("{what}: the record holds a schema and no batch")))
}

fn delete_stale(delete: pb::write::MessageDeleteStale) -> Result<DeleteStale, RequestError> {
    let Some(time) = delete.sync_time else {
        return Err(malformed(format!(
            "delete from {}: sync_time is missing",
            delete.table_name
        )));
    };
    let sync_time = u32::try_from(time.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000 && SYNC_SECONDS.contains(&time.seconds))
        .and_then(|nanos| at(time.seconds)?.checked_add(Duration::from_nanos(u64::from(nanos))))
        .ok_or_else(|| {
            malformed(format!(
                "delete from {}: sync_time is not a time in the years 1 to 9999",
                delete.table_name
            ))
        })?;
    Ok(DeleteStale {
        table: table_name(&delete.table_name)?,
        source_name: delete.source_name,
        sync_time,
    })
}

fn at(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}

fn delete_records(delete: pb::write::MessageDeleteRecord) -> Result<DeleteRecords, RequestError> {
    let table = table_name(&delete.table_name)?;
    let mut groups = Vec::with_capacity(delete.where_clause.len());
    for group in delete.where_clause {
        let joiner = match pb::predicates_group::GroupingType::try_from(group.grouping_type) {
            Ok(pb::predicates_group::GroupingType::And) => Joiner::All,
            Ok(pb::predicates_group::GroupingType::Or) => Joiner::Any,
            Err(_) => {
                return Err(malformed(format!(
                    "delete_record from {table}: grouping type {} is neither AND (0) nor OR (1)",
                    group.grouping_type
                )));
            }
        };
        let predicates = group
            .predicates
            .into_iter()
            .map(|one| predicate(&table.to_string(), one));
        groups.push(PredicateGroup {
            joiner,
            predicates: predicates.collect::<Result<_, _>>()?,
        });
    }
    let relations = delete.table_relations.into_iter().map(|relation| {
        Ok(Relation {
            table: table_name(&relation.table_name)?,
            parent: table_name(&relation.parent_table)?,
        })
    });
    Ok(DeleteRecords {
        table,
        groups,
        relations: relations.collect::<Result<_, RequestError>>()?,
    })
}

fn predicate(table: &str, predicate: pb::Predicate) -> Result<Predicate, RequestError> {
    let what = format!("delete_record from {table}, predicate on {:?}", predicate.column);
    if predicate.operator != pb::predicate::Operator::Eq as i32 {
        return Err(malformed(format!(
            "{what}: operator {} is not EQ (0), the only one",
            predicate.operator
        )));
    }
    let mut stream = predicate.record;
    let first = first_message(&mut stream, &what)?;
    let schema = Arc::new(read_schema(&first.header, &what)?);
    if schema.fields().is_empty() {
        return Err(malformed(format!("{what}: its record has no column")));
    }
    let table = CqTable {
        name: table_name(table)?,
        schema,
        has_key: false,
    };
    let batch = single_batch(&table, stream, &what)?;
    if batch.num_rows() == 0 {
        return Err(malformed(format!("{what}: its record has no row")));
    }
    // A copy, because a slice would keep all of the record alive.
    let value = batch
        .project(&[0])
        .and_then(|column| take_record_batch(&column, &UInt32Array::from(vec![0])))
        .map_err(|error| unreadable(&what, &error.to_string()))?;
    Ok(Predicate {
        column: column_name(&predicate.column)?,
        value,
    })
}

fn malformed(text: impl Into<String>) -> RequestError {
    RequestError::Malformed(text.into())
}

fn unreadable(what: &str, reason: &str) -> RequestError {
    malformed(format!(
        "{what}: the message cannot be read as an Arrow IPC stream: {reason}"
    ))
}

#[cfg(test)]
mod tests;
