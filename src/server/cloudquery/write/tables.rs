//! Rows of one Write call, table by table: held back until a chunk is worth a COPY, then loaded through sessions of the
//! core, of which only a few are open at once because each holds a connection.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::context::WriteContext;
use super::parts::{Parts, Split};
use crate::ingest::batcher::IncomingBatch;
use crate::ingest::budget::BytePermit;
use crate::ingest::counted::Door;
use crate::ingest::error::Error;
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::ingest::session::{Progress, Session};
use crate::model::ident::TableName;
use crate::model::options::{CommitMode, MigrateMode, StreamOptions, TypeProfile, WriteMode};
use crate::server::cloudquery::table::CqTable;

/// Bytes that all tables of a call hold back together.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// Batches smaller than this on average are joined before they are encoded: every batch binds each column anew, and
/// sources send records of a few rows.
const SMALL_BATCH_ROWS: usize = 1024;

/// A batch with the memory it holds.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) batch: RecordBatch,
    /// Memory of the rows.
    pub(super) bytes: usize,
    pub(super) permit: Option<BytePermit>,
}

/// All tables that rows came for.
#[derive(Debug)]
pub(super) struct Tables {
    context: WriteContext,
    tables: HashMap<TableName, Table>,
    lanes: usize,
    clock: u64,
    waiting_bytes: usize,
    committed: u64,
    /// Rows that were rejected of each table in this call, also by loads that have not ended.
    rejected: HashMap<TableName, Arc<AtomicU64>>,
    /// Tables that rows were rejected of.
    rejecting: HashSet<TableName>,
}

/// One table: rows that wait, and the load that they go to.
#[derive(Debug)]
struct Table {
    cq: Arc<CqTable>,
    waiting: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    permit: Option<BytePermit>,
    oldest: Option<Instant>,
    load: Option<Parts>,
    used: u64,
    rejected: Arc<AtomicU64>,
}

impl Tables {
    pub(super) fn new(context: WriteContext, lanes: usize) -> Self {
        Self {
            context,
            tables: HashMap::new(),
            lanes,
            clock: 0,
            waiting_bytes: 0,
            committed: 0,
            rejected: HashMap::new(),
            rejecting: HashSet::new(),
        }
    }

    /// Whether rows of a table went to the reject table, as far as its loads ended.
    pub(super) fn rejects(&self, name: &TableName) -> bool {
        self.rejecting.contains(name)
    }

    fn ended(&mut self, name: TableName, progress: &Progress) {
        self.committed += progress.committed;
        if progress.rejected + progress.suppressed > 0 {
            self.rejecting.insert(name);
        }
    }

    /// Takes rows; they are written when enough came.
    pub(super) async fn insert(&mut self, cq: Arc<CqTable>, rows: Rows) -> Result<(), Error> {
        if rows.batch.num_rows() == 0 {
            return Ok(());
        }
        let name = cq.name.clone();
        if self.tables.get(&name).is_some_and(|table| table.cq.schema != cq.schema) {
            self.settle(&name).await?;
        }
        let raw = self.context.client.settings.config.raw();
        let (most_rows, most_bytes) = (raw.batch_size, raw.batch_size_bytes);
        let rejected = self.rejected.entry(name.clone()).or_default();
        let table = self.tables.entry(name.clone());
        let table = table.or_insert_with(|| Table::new(cq, Arc::clone(rejected)));
        self.waiting_bytes += rows.bytes;
        table.add(rows);
        if table.rows as u64 >= most_rows || table.bytes as u64 >= most_bytes {
            self.flush(&name).await?;
        }
        while self.waiting_bytes > MOST_WAITING_BYTES {
            match self.largest() {
                Some(largest) => self.flush(&largest).await?,
                None => break,
            }
        }
        Ok(())
    }

    /// Whether rows wait.
    pub(super) fn holds_rows(&self) -> bool {
        self.waiting_bytes > 0
    }

    /// When rows have waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        let oldest = self.tables.values().filter_map(|table| table.oldest).min()?;
        oldest.checked_add(self.context.client.settings.batch_timeout)
    }

    /// Writes what has waited long enough.
    pub(super) async fn flush_due(&mut self, now: Instant) -> Result<(), Error> {
        let Some(latest) = now.checked_sub(self.context.client.settings.batch_timeout) else {
            return Ok(());
        };
        let due = self.waited_since(latest);
        for name in due {
            self.flush(&name).await?;
        }
        Ok(())
    }

    /// Writes everything that waits.
    pub(super) async fn flush_all(&mut self) -> Result<(), Error> {
        let names: Vec<TableName> = self.tables.keys().cloned().collect();
        for name in names {
            self.flush(&name).await?;
        }
        Ok(())
    }

    /// Rows that are committed whatever happens next.
    pub(super) fn committed(&self) -> u64 {
        let loading = self.tables.values().filter_map(|table| table.load.as_ref());
        self.committed + loading.map(Parts::kept).sum::<u64>()
    }

    /// Writes and commits everything of one table.
    pub(super) async fn settle(&mut self, name: &TableName) -> Result<(), Error> {
        let Some(mut table) = self.tables.remove(name) else {
            return Ok(());
        };
        self.waiting_bytes -= table.bytes;
        if table.load.is_none() && !table.waiting.is_empty() {
            self.make_room().await?;
        }
        let lanes = share(self.lanes, self.tables.len() + 1);
        let progress = table.settle(&self.context, lanes).await?;
        self.ended(name.clone(), &progress);
        Ok(())
    }

    /// Writes and commits everything.
    pub(super) async fn settle_all(&mut self) -> Result<(), Error> {
        self.waiting_bytes = 0;
        let mut tables: Vec<Table> = std::mem::take(&mut self.tables).into_values().collect();
        // Those that hold a connection come first, so that the others find one.
        tables.sort_by_key(|table| table.load.is_none());
        let (context, lanes) = (&self.context, share(self.lanes, tables.len()));
        let ended: Vec<(TableName, Progress)> = stream::iter(tables)
            .map(|mut table| async move {
                let progress = table.settle(context, lanes).await?;
                Ok::<_, Error>((table.cq.name.clone(), progress))
            })
            .buffer_unordered(self.lanes)
            .try_collect()
            .await?;
        for (name, progress) in ended {
            self.ended(name, &progress);
        }
        Ok(())
    }

    async fn flush(&mut self, name: &TableName) -> Result<(), Error> {
        let Some(table) = self.tables.get(name) else {
            return Ok(());
        };
        if table.waiting.is_empty() {
            return Ok(());
        }
        if table.load.is_none() {
            self.make_room().await?;
        }
        self.clock += 1;
        let lanes = share(self.lanes, self.tables.len());
        if let Some(table) = self.tables.get_mut(name) {
            table.used = self.clock;
            self.waiting_bytes -= table.bytes;
            table.flush(&self.context, lanes).await?;
        }
        Ok(())
    }

    /// Ends the load that was used longest ago when no further one may be opened.
    async fn make_room(&mut self) -> Result<(), Error> {
        let oldest = self.load_to_end();
        if let Some((name, table)) = oldest.and_then(|name| Some((name.clone(), self.tables.get_mut(&name)?))) {
            let progress = table.end_load().await?;
            self.ended(name, &progress);
        }
        Ok(())
    }

    fn load_to_end(&self) -> Option<TableName> {
        let open: Vec<(&TableName, &Table)> = self.tables.iter().filter(|(_, table)| table.load.is_some()).collect();
        if open.len() < self.lanes {
            return None;
        }
        open.into_iter()
            .min_by_key(|(_, table)| table.used)
            .map(|(name, _)| name.clone())
    }

    fn largest(&self) -> Option<TableName> {
        self.tables
            .iter()
            .max_by_key(|(_, table)| table.bytes)
            .map(|(name, _)| name.clone())
    }

    fn waited_since(&self, latest: Instant) -> Vec<TableName> {
        let due = self
            .tables
            .iter()
            .filter(|(_, table)| table.oldest.is_some_and(|oldest| oldest <= latest));
        due.map(|(name, _)| name.clone()).collect()
    }
}

impl Table {
    fn new(cq: Arc<CqTable>, rejected: Arc<AtomicU64>) -> Self {
        Self {
            cq,
            waiting: Vec::new(),
            rows: 0,
            bytes: 0,
            permit: None,
            oldest: None,
            load: None,
            used: 0,
            rejected,
        }
    }

    fn add(&mut self, rows: Rows) {
        self.oldest.get_or_insert_with(Instant::now);
        self.rows += rows.batch.num_rows();
        self.bytes += rows.bytes;
        self.waiting.push(rows.batch);
        match (&mut self.permit, rows.permit) {
            (Some(held), Some(more)) => held.merge(more),
            (held @ None, more) => *held = more,
            (Some(_), None) => {}
        }
    }

    /// Hands over what waits; up to `lanes` connections write it at once where order does not matter.
    async fn flush(&mut self, context: &WriteContext, lanes: usize) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let batches = self.joined();
        let permit = self.permit.take().map(Arc::new);
        let (rows, row_bytes) = (self.rows, self.bytes / self.rows.max(1));
        (self.rows, self.bytes, self.oldest) = (0, 0, None);
        let load = match &mut self.load {
            Some(load) => load,
            none => none.insert(open(context, &self.cq, &self.rejected, (rows, lanes)).await?),
        };
        for batch in batches {
            let wire_bytes = row_bytes * batch.num_rows();
            load.push(IncomingBatch {
                batch,
                wire_bytes,
                permit: permit.clone(),
                label: None,
            })
            .await?;
        }
        load.flush().await
    }

    /// The rows that wait, as few batches.
    fn joined(&mut self) -> Vec<RecordBatch> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.len() > 1 && self.rows / waiting.len() < SMALL_BATCH_ROWS {
            // Joining fails only where offsets of 32 bits overflow; the batches then go as they are.
            if let Ok(joined) = concat_batches(&self.cq.schema, &waiting) {
                return vec![joined];
            }
        }
        waiting
    }

    async fn settle(&mut self, context: &WriteContext, lanes: usize) -> Result<Progress, Error> {
        self.flush(context, lanes).await?;
        self.end_load().await
    }

    async fn end_load(&mut self) -> Result<Progress, Error> {
        match self.load.take() {
            Some(load) => load.finish().await,
            None => Ok(Progress::default()),
        }
    }
}

/// How many of a call's connections one of its tables may write over. Loads that were opened when there were fewer tables
/// keep what they got, so that all together hold at most two and a half times `lanes` (1 + 1/2 + 1/3 + .. of eight).
fn share(lanes: usize, tables: usize) -> usize {
    (lanes / tables.max(1)).max(1)
}

/// Opens a table's loads over at most `lanes` connections, for a first flush of `rows` rows.
async fn open(
    context: &WriteContext,
    cq: &CqTable,
    rejected: &Arc<AtomicU64>,
    (rows, lanes): (usize, usize),
) -> Result<Parts, Error> {
    if !cq.has_key {
        // Rows without a key have no order: one load writes several chunks at once.
        let lanes = u16::try_from(lanes).ok().and_then(NonZeroU16::new);
        let load = open_load(context, cq, rejected, lanes.unwrap_or(NonZeroU16::MIN)).await?;
        return Ok(Parts::new(vec![load], None));
    }
    let split = Split::of(&cq.schema, rows, lanes);
    let mut loads = Vec::new();
    for _ in 0..split.as_ref().map_or(1, Split::parts) {
        loads.push(open_load(context, cq, rejected, NonZeroU16::MIN).await?);
    }
    Ok(Parts::new(loads, split))
}

/// Opens a load. It changes no table: that is what migrate messages are for, and without them the table must be there.
async fn open_load(
    context: &WriteContext,
    cq: &CqTable,
    rejected: &Arc<AtomicU64>,
    lanes: NonZeroU16,
) -> Result<Session, Error> {
    let settings = &context.client.settings;
    let chosen = StreamOptions {
        write_mode: Some(if cq.has_key {
            WriteMode::Overwrite
        } else {
            WriteMode::Append
        }),
        migrate_mode: Some(MigrateMode::Off),
        commit: Some(CommitMode::Batch),
        type_profile: Some(TypeProfile::Cloudquery),
        nul_bytes: Some(settings.nul_bytes),
        lanes: Some(lanes),
        ..StreamOptions::default()
    };
    let options = LoadOptions::resolve(chosen.merge_over(settings.config.stream_options(&cq.name)))?;
    let mut request = LoadRequest::new(&context.caller, cq.name.clone(), Arc::clone(&cq.schema), options);
    request.rejected = Arc::clone(rejected);
    Session::open(
        &context.journal,
        Door::CloudQuery,
        &context.destination,
        &context.caller,
        request,
    )
    .await
}
