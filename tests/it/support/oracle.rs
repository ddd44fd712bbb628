//! Nothing lost, nothing doubled: rows that say where they come from, and the questions that Postgres has to answer about
//! them after all is quiet. A1 to A8 and A11 of the fault matrix; A9 is `process::Process::memory`, A10 the proxy's trace.
//!
//! A row is (stream_id, seq, row_no, payload, hash); the hash is over the other four and computed again by Postgres.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use super::database::Database;

/// What a writer did with one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    rows: u64,
    acked: bool,
}

/// Everything that was sent to one table, and what was promised about it.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    table: String,
    sent: BTreeMap<(String, u64), Chunk>,
    /// `commit: atomic`: a stream is there as a whole or not at all.
    whole_streams: bool,
    /// `write_mode: replace`: streams in the order in which they were sent, one after another; only the last stays.
    replaced: Option<Vec<String>>,
}

/// Codes that docs/errors.md lists for a put while something is broken.
const DOCUMENTED: [Code; 10] = [
    Code::Unavailable,
    Code::Aborted,
    Code::FailedPrecondition,
    Code::InvalidArgument,
    Code::ResourceExhausted,
    Code::DeadlineExceeded,
    Code::Cancelled,
    Code::OutOfRange,
    Code::AlreadyExists,
    Code::NotFound,
];

/// The table that rows of this form go to.
pub(crate) fn create_table(table: &str, key: bool) -> String {
    let key = if key {
        ", primary key (stream_id, seq, row_no)"
    } else {
        ""
    };
    format!("create table {table} (stream_id text, seq bigint, row_no bigint, payload text, hash text{key})")
}

/// Columns that name a row's source and its sync, for a table that [`create_table`] made.
pub(crate) fn add_sync_columns(table: &str) -> String {
    format!("alter table {table} add column _cq_source_name text, add column _cq_sync_time timestamp")
}

/// The rows of one chunk.
pub(crate) fn rows(stream_id: &str, seq: u64, rows: u64) -> RecordBatch {
    marked_rows(stream_id, seq, rows, "")
}

/// The rows of one chunk as rows of a sync.
pub(crate) fn synced_rows(stream_id: &str, seq: u64, rows: u64, sync_time: i64) -> RecordBatch {
    synced(&self::rows(stream_id, seq, rows), sync_time)
}

/// Rows with the columns that name a source and its sync, in microseconds since 1970: every stream is a source of its own.
pub(crate) fn synced(batch: &RecordBatch, sync_time: i64) -> RecordBatch {
    let source: ArrayRef = Arc::clone(batch.column(0));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from_value(sync_time, batch.num_rows()));
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let columns = names.zip(batch.columns().iter().cloned());
    let added = [("_cq_source_name", source), ("_cq_sync_time", time)];
    RecordBatch::try_from_iter_with_nullable(columns.chain(added).map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

/// The rows of one chunk, with a mark in the payload that tells one version of it from another.
pub(crate) fn marked_rows(stream_id: &str, seq: u64, rows: u64, mark: &str) -> RecordBatch {
    let payloads: Vec<String> = (0..rows)
        .map(|row| {
            format!(
                "{mark}{:x}",
                (seq * 1_000_003 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        })
        .collect();
    let hashes = payloads
        .iter()
        .zip(0_u64..)
        .map(|(payload, row)| hash(&format!("{stream_id}|{seq}|{row}|{payload}")));
    let hashes: ArrayRef = Arc::new(StringArray::from_iter_values(hashes));
    let (seq, numbers) = (signed(seq), 0..signed(rows));
    let count = payloads.len();
    let columns: [(&str, ArrayRef); 5] = [
        (
            "stream_id",
            Arc::new(StringArray::from_iter_values((0..count).map(|_| stream_id))),
        ),
        ("seq", Arc::new(Int64Array::from_iter_values((0..count).map(|_| seq)))),
        ("row_no", Arc::new(Int64Array::from_iter_values(numbers))),
        ("payload", Arc::new(StringArray::from(payloads))),
        ("hash", hashes),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("columns of one length")
}

fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("tests stay small")
}

impl Oracle {
    pub(crate) fn of(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            ..Self::default()
        }
    }

    /// Streams of this table are there as a whole or not at all.
    pub(crate) fn whole_streams(mut self) -> Self {
        self.whole_streams = true;
        self
    }

    /// Each stream replaces the one before it.
    pub(crate) fn replaces(mut self) -> Self {
        self.replaced = Some(Vec::new());
        self.whole_streams()
    }

    /// A chunk was sent; the same one may be sent again.
    pub(crate) fn sent(&mut self, stream_id: &str, seq: u64, rows: u64) {
        if let Some(order) = &mut self.replaced
            && order.last().is_none_or(|last| last != stream_id)
        {
            order.push(stream_id.to_owned());
        }
        let chunk = self
            .sent
            .entry((stream_id.to_owned(), seq))
            .or_insert(Chunk { rows, acked: false });
        assert_eq!(chunk.rows, rows, "a chunk has the same rows each time");
    }

    /// The service said that this chunk, and all before it of its stream, are committed.
    pub(crate) fn acked_through(&mut self, stream_id: &str, seq: u64) {
        for ((stream, number), chunk) in &mut self.sent {
            chunk.acked |= stream == stream_id && *number <= seq;
        }
    }

    /// Sent chunks of all streams.
    pub(crate) fn chunks(&self) -> usize {
        self.sent.len()
    }

    /// Asks Postgres everything; the answer is what is wrong.
    pub(crate) async fn faults(&self, database: &Database) -> Vec<String> {
        let mut faults = self.chunk_faults(database).await;
        self.judge_progress(database, &mut faults).await;
        faults
    }

    /// What is wrong with the rows. The position of a stream that is sent as a whole has nothing to do with its chunks.
    pub(crate) async fn chunk_faults(&self, database: &Database) -> Vec<String> {
        let mut faults = Vec::new();
        let table = &self.table;
        let doubled = format!(
            "select stream_id, seq, row_no, count(*) from {table} group by 1, 2, 3 having count(*) > 1 order by 1, 2, 3 limit 5"
        );
        let doubled = database.lines(&doubled).await;
        note(&mut faults, "A2 doubled rows", doubled);
        let altered = format!(
            "select stream_id, seq, row_no from {table} where hash is distinct from left(encode(sha256(convert_to(\
             stream_id || '|' || seq || '|' || row_no || '|' || payload, 'UTF8')), 'hex'), 16) limit 5"
        );
        note(&mut faults, "A3 rows that nobody sent", database.lines(&altered).await);
        self.judge_chunks(database, &mut faults).await;
        faults
    }

    /// Panics with everything that is wrong.
    pub(crate) async fn assert_holds(&self, database: &Database, context: &str) {
        let mut faults = self.faults(database).await;
        faults.extend(leftovers(database).await);
        assert!(faults.is_empty(), "{context}\n{}", faults.join("\n"));
    }

    async fn judge_chunks(&self, database: &Database, faults: &mut Vec<String>) {
        let present = format!(
            "select stream_id, seq, count(distinct row_no), min(row_no), max(row_no) from {} group by 1, 2",
            self.table
        );
        let mut there: BTreeMap<(String, u64), u64> = BTreeMap::new();
        for row in database.query(&present, &[]).await {
            let (stream, seq, rows): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let key = (stream, u64::try_from(seq).expect("sent numbers are not negative"));
            let rows = u64::try_from(rows).expect("a count");
            match self.sent.get(&key) {
                None => faults.push(format!("A3 chunk {key:?} was never sent")),
                Some(chunk) if chunk.rows != rows || row.get::<_, i64>(3) != 0 => {
                    faults.push(format!("A6 {rows} of the {} rows of chunk {key:?}", chunk.rows));
                }
                Some(_) => {}
            }
            there.insert(key, rows);
        }
        let replaced = self.judge_replacement(&there, faults);
        let mut streams: BTreeMap<&str, Vec<(u64, bool)>> = BTreeMap::new();
        for (key, chunk) in &self.sent {
            let present = there.contains_key(key);
            if chunk.acked && !present && !replaced.contains(&key.0) {
                faults.push(format!("A1 acked chunk {key:?} is missing"));
            }
            streams.entry(&key.0).or_default().push((key.1, present));
        }
        for (stream, chunks) in streams {
            let prefix = chunks.iter().take_while(|(_, present)| *present).count();
            let count = chunks.iter().filter(|(_, present)| *present).count();
            if prefix != count {
                faults.push(format!("A4 stream {stream} has a hole: {chunks:?}"));
            }
            if self.whole_streams && count != 0 && count != chunks.len() {
                faults.push(format!("A6 stream {stream}: {count} of {} chunks", chunks.len()));
            }
        }
    }

    /// Of streams that replace each other one is there: the last that was acked, or a later one whose answer was lost.
    /// Returns those that had to go.
    fn judge_replacement(&self, there: &BTreeMap<(String, u64), u64>, faults: &mut Vec<String>) -> Vec<String> {
        let Some(order) = &self.replaced else { return Vec::new() };
        let acked = |stream: &str| self.sent.iter().any(|(key, chunk)| key.0 == stream && chunk.acked);
        let last = order.iter().rposition(|stream| acked(stream));
        let mut found: Vec<&str> = there.keys().map(|key| key.0.as_str()).collect();
        found.dedup();
        let place = |stream: &str| order.iter().rposition(|other| other == stream);
        match found.as_slice() {
            [] if last.is_none() => Vec::new(),
            [one] if place(one) >= last => order[..place(one).unwrap_or(0)].to_vec(),
            _ => {
                faults.push(format!(
                    "A1 after {order:?}, of which {last:?} is the last acked, there is {found:?}"
                ));
                Vec::new()
            }
        }
    }

    /// A5: the stored position is the one behind the last chunk that is there, for streams that have a position.
    async fn judge_progress(&self, database: &Database, faults: &mut Vec<String>) {
        if database.value("select to_regclass('pgflight.stream') is null").await == "t" {
            return;
        }
        let streams: Vec<&str> = self.sent.keys().map(|(stream, _)| stream.as_str()).collect();
        let positions = format!(
            "select s.stream_id, s.next_seq, (select coalesce(max(t.seq) + 1, 0) from {} t where t.stream_id = s.stream_id) \
             from pgflight.stream s where s.stream_id = any($1)",
            self.table
        );
        for row in database.query(&positions, &[&streams]).await {
            let (stream, next, expected): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            if next != expected {
                faults.push(format!(
                    "A5 stream {stream} stands at {next}, its rows end before {expected}"
                ));
            }
        }
    }
}

fn note(faults: &mut Vec<String>, what: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        faults.push(format!("{what}: {lines:?}"));
    }
}

/// A8: what the service may not leave behind. It gets a few seconds, because Postgres takes some time to notice that a
/// client is gone.
pub(crate) async fn leftovers(database: &Database) -> Vec<String> {
    const QUESTIONS: [(&str, &str); 4] = [
        (
            "open transactions",
            "select pid, state, left(query, 80) from pg_stat_activity where datname = current_database() \
             and pid <> pg_backend_pid() and xact_start is not null and backend_type = 'client backend'",
        ),
        (
            "staging tables",
            // An empty temporary one may stay with its session, which uses it again.
            "select oid::regclass from pg_class where relname like 'pgflight\\_%' and relkind in ('r', 'p') \
             and relnamespace <> coalesce(to_regnamespace('pgflight')::oid, 0) \
             and not (relpersistence = 't' and pg_relation_size(oid) = 0)",
        ),
        (
            "locks",
            "select pid, locktype, mode, relation::regclass from pg_locks where database = (select oid from pg_database \
             where datname = current_database()) and pid <> pg_backend_pid()",
        ),
        (
            "prepared transactions",
            "select gid from pg_prepared_xacts where database = current_database()",
        ),
    ];
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut found = Vec::new();
        for (what, question) in QUESTIONS {
            note(&mut found, &format!("A8 {what}"), database.lines(question).await);
        }
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A11: a failed put has one of the codes that are documented for it, and says something.
#[track_caller]
pub(crate) fn assert_documented(status: &Status) {
    // A status with a cause was made by this side: the transport failed, and the service said nothing.
    let by_transport = std::error::Error::source(status).is_some();
    assert!(
        by_transport || DOCUMENTED.contains(&status.code()) && !status.message().is_empty(),
        "A11 undocumented failure: {status:?}"
    );
}
