//! One Write call: messages in the client's order become migrations, loads and deletions of the core.
//!
//! What the protocol promises its clients: of one table, migrations happen before later inserts, inserts before later
//! deletions, deletions before later inserts; of one key the last row wins; everything is durable before the answer.
//! Different tables wait for each other only where a message names both. Memory is bounded: rows wait in chunks, chunks
//! hold permits, and when those are used up nothing more is read from the client.

mod context;
mod migrations;
mod parts;
mod tables;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use tokio::task::JoinSet;
use tonic::Status;

use super::message::{self, Command, Decoder, Record};
use super::pb;
use super::pb::write::request::Message;
use crate::ingest::aside::aside_if_large;
use crate::ingest::budget::{Beyond, BytePermit};
use crate::ingest::error::{Error, Kept, RequestError, StreamError};
use crate::model::command::{DeleteRecords, DeleteStale};
use crate::model::ident::TableName;
use crate::server::upload::Gate;
pub(super) use context::WriteContext;
use migrations::Migrations;
use tables::{Rows, Tables};

/// How long a message waits for memory before the rows that are held back are written.
const BUDGET_PATIENCE: Duration = Duration::from_millis(100);

/// How many connections a Write call may hold for loads, and as many again for deletions.
#[derive(Clone, Copy, Debug)]
struct Width {
    lanes: usize,
    /// So few connections that loads must end before anything else gets one.
    tight: bool,
}

impl Width {
    /// A quarter for loads and a quarter for deletions leave room for another client, and for a state backend.
    fn of(connections: usize) -> Self {
        Self {
            lanes: (connections / 4).clamp(1, 8),
            tight: connections < 4,
        }
    }
}

/// Counts of a call, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) rows: u64,
    pub(super) deleted: u64,
}

#[derive(Debug)]
pub(super) struct Writer {
    context: WriteContext,
    width: Width,
    decoder: Decoder,
    migrations: Migrations,
    tables: Tables,
    deletions: JoinSet<(TableName, Result<u64, Error>)>,
    deleting: HashSet<TableName>,
    /// Rows that came for each table.
    received: HashMap<TableName, u64>,
    counts: Counts,
    /// Memory of the message that is on its way.
    room: Option<BytePermit>,
    /// After the first deletion of stale rows the client does not look for an error before it has sent all: an early status
    /// would reach it as a bare EOF.
    must_drain: bool,
    failure: Option<Error>,
}

impl Writer {
    pub(super) fn new(context: WriteContext) -> Self {
        let width = Width::of(context.destination.connections());
        Self {
            width,
            decoder: Decoder::default(),
            migrations: Migrations::default(),
            tables: Tables::new(context.clone(), width.lanes),
            deletions: JoinSet::new(),
            deleting: HashSet::new(),
            received: HashMap::new(),
            counts: Counts::default(),
            room: None,
            must_drain: false,
            failure: None,
            context,
        }
    }

    /// Carries out the whole call.
    ///
    /// # Errors
    /// The first failure; what was committed before stays.
    pub(super) async fn run<S>(mut self, mut messages: S, gate: Gate) -> Result<Counts, Error>
    where
        S: Stream<Item = Result<pb::write::Request, Status>> + Unpin,
    {
        gate.close();
        loop {
            // What failed already writes nothing more.
            let going = self.failure.is_none();
            let due = [self.tables.due(), self.migrations.due()].into_iter().flatten().min();
            let idle = self.context.idle_timeout;
            let overdue_at = gate.overdue_at(idle);
            let outcome = tokio::select! {
                biased;
                // First, since with a client that is faster than Postgres a message is always ready.
                () = passed(due), if going => self.write_due().await,
                message = messages.next() => match message {
                    None => break,
                    Some(Err(status)) => return Err(self.failure.take().unwrap_or_else(|| self.broken(&status))),
                    Some(Ok(_)) if self.failure.is_some() => {
                        self.room = None;
                        Ok(())
                    }
                    Some(Ok(request)) => self.take(request.message).await,
                },
                bytes = gate.asked() => {
                    let room = match self.failure {
                        None => self.permit(bytes).await.map(Some),
                        Some(_) => Ok(None),
                    };
                    gate.grant();
                    room.map(|room| self.room = room)
                }
                // Others wait for memory that rows hold here although their chunk is not full yet.
                () = self.context.budget.pressed(), if going && self.tables.holds_rows() => self.tables.flush_all().await,
                () = passed(overdue_at) => {
                    if gate.overdue_at(idle).is_some_and(|overdue| overdue <= Instant::now()) {
                        let silent = StreamError::Idle { idle, kept: self.kept() };
                        return Err(self.failure.take().unwrap_or_else(|| silent.into()));
                    }
                    Ok(())
                }
            };
            match outcome {
                Err(error) if self.must_drain => self.fail(error),
                other => other?,
            }
        }
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.finish().await,
        }
    }

    /// The rest of the messages is read and not carried out; what waits holds neither memory nor connections meanwhile.
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.tables = Tables::new(self.context.clone(), self.width.lanes);
    }

    async fn finish(mut self) -> Result<Counts, Error> {
        self.migrate().await?;
        self.tables.settle_all().await?;
        self.finish_deletions().await?;
        Ok(self.counts)
    }

    async fn take(&mut self, message: Option<Message>) -> Result<(), Error> {
        self.counts.messages += 1;
        if matches!(message, Some(Message::Delete(_))) {
            self.must_drain = true;
        }
        let room = match (&message, self.room.take()) {
            (Some(Message::Insert(_)), room) => room,
            (Some(Message::DeleteRecord(delete)), room) => {
                let bytes = message::condition_bytes(delete).map_err(|error| self.numbered(error))?;
                Some(self.room_of(bytes, room).await?)
            }
            _ => None,
        };
        let command = self.decoder.read(message).map_err(|error| self.numbered(error))?;
        match command {
            Command::Migrate { table, force } => {
                if self.migrations.add(table, force, Instant::now()) {
                    self.migrate().await?;
                }
                Ok(())
            }
            Command::Insert(record) => self.insert(record, room).await,
            Command::DeleteStale(command) => self.delete_stale(command).await,
            Command::DeleteRecords(command) => self.delete_records(command).await,
        }
    }

    async fn insert(&mut self, record: Record, room: Option<BytePermit>) -> Result<(), Error> {
        let permit = Some(self.room_of(record.bytes, room).await?);
        let (table, bytes) = (Arc::clone(&record.table), record.bytes);
        let batch = aside_if_large(bytes, || record.batch()).await;
        let batch = batch.map_err(|error| self.numbered(error))?;
        self.migrate().await?;
        self.finish_deletions_of(&table.name).await?;
        let rows = batch.num_rows() as u64;
        *self.received.entry(table.name.clone()).or_default() += rows;
        self.counts.rows += rows;
        self.tables.insert(table, Rows { batch, bytes, permit }).await
    }

    /// The memory that a message was received into, or more where it unpacks to more.
    async fn room_of(&mut self, bytes: usize, room: Option<BytePermit>) -> Result<BytePermit, Error> {
        let Some(mut room) = room else {
            return self.permit(bytes).await;
        };
        let budget = self.context.budget.clone();
        if !budget.extend_now(&mut room, bytes) {
            let more = bytes - room.bytes();
            room.merge(self.waiting(budget.acquire_beyond(Beyond::Unpacked, more)).await?);
        }
        Ok(room)
    }

    /// Memory for a message; rows that are held back are written when there is none.
    async fn permit(&mut self, bytes: usize) -> Result<BytePermit, Error> {
        let budget = self.context.budget.clone();
        self.waiting(budget.acquire(bytes)).await
    }

    async fn waiting(&mut self, acquiring: impl Future<Output = BytePermit>) -> Result<BytePermit, Error> {
        // One place in the queue, however often it is looked at.
        tokio::pin!(acquiring);
        loop {
            match tokio::time::timeout(BUDGET_PATIENCE, &mut acquiring).await {
                Ok(permit) => return Ok(permit),
                Err(_) => self.tables.flush_all().await?,
            }
        }
    }

    async fn write_due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.migrations.due().is_some_and(|due| due <= now) {
            self.migrate().await?;
        }
        self.tables.flush_due(now).await
    }

    async fn migrate(&mut self) -> Result<(), Error> {
        let batch = self.migrations.take();
        if batch.is_empty() {
            return Ok(());
        }
        for one in &batch {
            self.finish_deletions_of(&one.table.name).await?;
            self.tables.settle(&one.table.name).await?;
        }
        self.make_room().await?;
        migrations::run(&self.context, batch, self.width.lanes).await
    }

    async fn delete_stale(&mut self, command: DeleteStale) -> Result<(), Error> {
        self.migrate().await?;
        self.tables.settle(&command.table).await?;
        let empty = self.received.get(&command.table).copied().unwrap_or(0) == 0;
        if empty && self.context.client.settings.keep_tables_without_rows {
            tracing::warn!(table = %command.table, source = command.source_name, "no row came for this table, so its stale rows stay");
            return Ok(());
        }
        if self.tables.rejects(&command.table) {
            // The row of an earlier sync could be all that is left of a rejected one.
            tracing::warn!(table = %command.table, source = command.source_name, "rows of this table were rejected, so its stale rows stay");
            return Ok(());
        }
        self.finish_deletions_of(&command.table).await?;
        self.make_room().await?;
        while self.deletions.len() >= self.width.lanes {
            self.join_deletion().await?;
        }
        let (destination, caller) = (self.context.destination.clone(), self.context.caller.clone());
        self.deleting.insert(command.table.clone());
        self.deletions.spawn(async move {
            let deleted = destination.delete_stale(&caller, command.clone()).await;
            (command.table, deleted)
        });
        if self.width.tight {
            self.finish_deletions().await?;
        }
        Ok(())
    }

    async fn delete_records(&mut self, command: DeleteRecords) -> Result<(), Error> {
        self.migrate().await?;
        for table in command.tables() {
            self.finish_deletions_of(&table).await?;
            self.tables.settle(&table).await?;
        }
        self.make_room().await?;
        let deleted = self
            .context
            .destination
            .delete_records(&self.context.caller, command)
            .await?;
        self.counts.deleted += deleted;
        Ok(())
    }

    /// Where connections are few, loads give theirs back before another statement needs one.
    async fn make_room(&mut self) -> Result<(), Error> {
        match self.width.tight {
            true => self.tables.settle_all().await,
            false => Ok(()),
        }
    }

    async fn finish_deletions_of(&mut self, table: &TableName) -> Result<(), Error> {
        while self.deleting.contains(table) {
            self.join_deletion().await?;
        }
        Ok(())
    }

    async fn finish_deletions(&mut self) -> Result<(), Error> {
        while !self.deletions.is_empty() {
            self.join_deletion().await?;
        }
        Ok(())
    }

    async fn join_deletion(&mut self) -> Result<(), Error> {
        match self.deletions.join_next().await {
            None => self.deleting.clear(),
            Some(Err(error)) => return Err(Error::Internal(format!("a deletion ended unexpectedly: {error}"))),
            Some(Ok((table, deleted))) => {
                self.deleting.remove(&table);
                self.counts.deleted += deleted?;
            }
        }
        Ok(())
    }

    fn numbered(&self, error: RequestError) -> Error {
        let number = self.counts.messages;
        RequestError::Malformed(format!("message {number} of Write: {error}")).into()
    }

    /// The transport's error: a message over the limit is the client's to mend, the rest is a client gone.
    fn broken(&self, status: &Status) -> Error {
        let next = self.counts.messages + 1;
        if status.code() == tonic::Code::OutOfRange {
            let text = format!(
                "message {next} of Write: {} (limits.max_message_bytes); let the source send smaller records",
                status.message()
            );
            return RequestError::Malformed(text).into();
        }
        StreamError::Broken {
            received: self.counts.rows,
            reason: status.message().to_owned(),
            kept: self.kept(),
        }
        .into()
    }

    fn kept(&self) -> Kept {
        Kept {
            rows: self.tables.committed(),
        }
    }
}

/// Ready from that time on; never where there is none.
async fn passed(time: Option<Instant>) {
    match time {
        // Looked at here, because a timer is late where a task is never at a loss for something to do.
        Some(time) if time <= Instant::now() => {}
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
