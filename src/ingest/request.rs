//! One load as the core understands it: where to, which schema, which options, all defaults filled in.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::SchemaRef;

use super::error::RequestError;
use crate::model::caller::Caller;
use crate::model::ident::TableName;
use crate::model::loading::Loading;
use crate::model::options::{
    Acks, BadRowPolicy, CommitMode, MigrateMode, MigrateRules, NulBytes, StreamOptions, SuppressedRowPolicy,
    TypeProfile, WriteMode,
};
use crate::model::presence::Presence;

/// Bytes of Arrow data per chunk unless set otherwise: large enough that the cost of a COPY statement vanishes, small
/// enough that a bad row is reported soon (the driver sees a server error only at the end of a COPY).
pub const DEFAULT_CHUNK_BYTES: u64 = 8 << 20;
/// Rows per chunk unless set otherwise.
pub const DEFAULT_CHUNK_ROWS: u64 = 100_000;
/// Longest wait of a row for its chunk where chunks commit one by one.
pub const DEFAULT_CHUNK_AGE: Duration = Duration::from_secs(1);

/// Longest name of a stream; it is the key of an index.
const MAX_STREAM_ID_BYTES: usize = 512;

/// A load to open.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// Names this load among all others, e.g. in the reject table.
    pub load_id: String,
    /// The caller's namespace: its principal's name, empty without authentication.
    pub owner: String,
    /// Target table.
    pub table: TableName,
    /// Schema of the stream with all its metadata.
    pub schema: SchemaRef,
    /// Options with defaults filled in.
    pub options: LoadOptions,
    /// Rows that were rejected of the stream, by all loads that write it: `max_rejects` counts them together.
    pub rejected: Arc<AtomicU64>,
    /// Transactions of this load that were run again.
    pub retries: Arc<AtomicU64>,
    /// Whether the table may or must be there before.
    pub presence: Presence,
}

impl LoadRequest {
    /// A load under a name of its own.
    pub fn new(caller: &Caller, table: TableName, schema: SchemaRef, options: LoadOptions) -> Self {
        Self {
            load_id: format!("{:032x}", fastrand::u128(..)),
            owner: caller.principal.namespace().to_owned(),
            table,
            schema,
            options,
            rejected: Arc::default(),
            retries: Arc::default(),
            presence: Presence::default(),
        }
    }

    /// The same load, of a client that expects this of its table.
    #[must_use]
    pub fn expecting(self, presence: Presence) -> Self {
        Self { presence, ..self }
    }
}

/// [`StreamOptions`] with every default decided and every contradiction refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// What happens to rows that are there already.
    pub write_mode: WriteMode,
    /// How far the table may be changed.
    pub migrate_mode: MigrateMode,
    /// What its migration may do besides.
    pub migrate_rules: MigrateRules,
    /// One transaction for the stream, or one per chunk.
    pub commit: CommitMode,
    /// Key columns, if the client named them.
    pub primary_key: Option<Vec<String>>,
    /// Name of a resumable stream.
    pub stream_id: Option<String>,
    /// The epoch that the client got when it opened the stream.
    pub stream_epoch: Option<u64>,
    /// The highest sequence number that the client saw acknowledged.
    pub acked_seq: Option<u64>,
    /// Source whose stale rows go.
    pub source_name: Option<String>,
    /// Time of the sync whose rows stay.
    pub sync_time: Option<SystemTime>,
    /// Column by which the newer of two rows is kept.
    pub version_column: Option<String>,
    /// What happens to a row that cannot be stored.
    pub on_bad_row: BadRowPolicy,
    /// Bad rows that are taken before the load fails.
    pub max_rejects: u64,
    /// Whether the values of bad rows are kept.
    pub reject_values: bool,
    /// What becomes of a row that a trigger of the table leaves out.
    pub on_suppressed_row: SuppressedRowPolicy,
    /// What happens to NUL in text.
    pub nul_bytes: NulBytes,
    /// Arrow to Postgres type map.
    pub type_profile: TypeProfile,
    /// When the client gets answers.
    pub acks: Acks,
    /// Rows that must come.
    pub expected_rows: Option<u64>,
    /// Whether the end must be announced.
    pub strict: bool,
    /// Connections at once.
    pub lanes: NonZeroU16,
    /// Whether an overwrite leaves equal rows alone.
    pub skip_unchanged: bool,
    /// Rows per chunk.
    pub chunk_rows: u64,
    /// Bytes per chunk.
    pub chunk_bytes: u64,
    /// Longest time that a row waits for its chunk to fill, where chunks commit.
    pub chunk_age: Duration,
    /// Longest wait for a lock.
    pub lock_timeout: Option<Duration>,
    /// Longest run of a statement.
    pub statement_timeout: Option<Duration>,
}

impl LoadOptions {
    /// Fills in defaults and checks that the options agree.
    ///
    /// # Errors
    /// [`RequestError::Conflict`] or [`RequestError::Unsupported`] with the options named.
    pub fn resolve(options: StreamOptions) -> Result<Self, RequestError> {
        let migrate_rules = options.migrate_rules();
        let stream_id = options.stream_id.filter(|id| !id.is_empty());
        let commit = options.commit.unwrap_or(match stream_id {
            Some(_) => CommitMode::Batch,
            None => CommitMode::Atomic,
        });
        let write_mode = options.write_mode.unwrap_or(WriteMode::Append);
        let resolved = Self {
            write_mode,
            migrate_mode: options.migrate_mode.unwrap_or(MigrateMode::Safe),
            migrate_rules,
            commit,
            primary_key: options.primary_key,
            stream_id,
            stream_epoch: options.stream_epoch,
            acked_seq: options.acked_seq,
            source_name: options.source_name,
            sync_time: options.sync_time.as_deref().map(parse_time).transpose()?,
            version_column: options.version_column,
            on_bad_row: options.on_bad_row.unwrap_or(BadRowPolicy::Fail),
            max_rejects: options.max_rejects.unwrap_or(0),
            reject_values: options.reject_values.unwrap_or(false),
            on_suppressed_row: options.on_suppressed_row.unwrap_or_default(),
            nul_bytes: options.nul_bytes.unwrap_or(NulBytes::Error),
            type_profile: options.type_profile.unwrap_or(TypeProfile::Native),
            acks: options.acks.unwrap_or(Acks::Final),
            expected_rows: options.expected_rows,
            // Stale rows may only go when every fresh one came, and a clean end of stream does not prove that.
            strict: options.strict.unwrap_or(false) || write_mode == WriteMode::OverwriteDeleteStale,
            lanes: options.lanes.unwrap_or(NonZeroU16::MIN),
            skip_unchanged: options.skip_unchanged.unwrap_or(true),
            chunk_rows: options
                .batch_size
                .filter(|rows| *rows > 0)
                .unwrap_or(DEFAULT_CHUNK_ROWS),
            chunk_bytes: options
                .batch_size_bytes
                .filter(|bytes| *bytes > 0)
                .unwrap_or(DEFAULT_CHUNK_BYTES),
            chunk_age: DEFAULT_CHUNK_AGE,
            lock_timeout: options.lock_timeout.map(|span| span.get()),
            statement_timeout: options.statement_timeout.map(|span| span.get()),
        };
        resolved.check()?;
        Ok(resolved)
    }

    /// What the table must allow.
    pub fn loading(&self) -> Loading {
        Loading {
            write_mode: self.write_mode,
            commit: self.commit,
            version_column: self.version_column.clone(),
            rejects: self.on_bad_row == BadRowPolicy::Reject,
            accepts_suppressed: self.on_suppressed_row == SuppressedRowPolicy::Accept,
        }
    }

    fn check(&self) -> Result<(), RequestError> {
        let conflict = |text: &str| Err(RequestError::Conflict(text.to_owned()));
        if self.write_mode == WriteMode::Append && self.commit == CommitMode::Atomic && self.lanes.get() > 1 {
            return conflict("lanes above 1 need commit: batch, because one transaction lives on one connection");
        }
        if self.write_mode != WriteMode::Append && self.lanes.get() > 1 {
            return conflict("lanes above 1 need write_mode: append, because the last row of a key must win");
        }
        if self.stream_id.is_some() && self.lanes.get() > 1 {
            return conflict(
                "lanes above 1 need a stream without stream_id, because its batches commit in their order",
            );
        }
        if self.commit == CommitMode::Batch && self.write_mode == WriteMode::Replace {
            return conflict("write_mode: replace swaps once, at the end; it needs commit: atomic");
        }
        if self.commit == CommitMode::Batch && self.stream_id.is_none() && self.expected_rows.is_some() {
            return conflict(
                "expected_rows cannot be kept with commit: batch, which commits rows before it knows their number; use commit: atomic, or a stream_id",
            );
        }
        if self.stream_id.is_none() && (self.stream_epoch.is_some() || self.acked_seq.is_some()) {
            return conflict("stream_epoch and acked_seq need a stream_id");
        }
        if self.stream_id.as_ref().is_some_and(|id| id.len() > MAX_STREAM_ID_BYTES) {
            return conflict("stream_id is longer than 512 bytes");
        }
        let overwrites = matches!(self.write_mode, WriteMode::Overwrite | WriteMode::OverwriteDeleteStale);
        if self.version_column.is_some() && !overwrites {
            return conflict("version_column needs write_mode: overwrite");
        }
        if (self.source_name.is_some() || self.sync_time.is_some())
            && self.write_mode != WriteMode::OverwriteDeleteStale
        {
            return conflict("source_name and sync_time need write_mode: overwrite-delete-stale");
        }
        if self.source_name.is_some() != self.sync_time.is_some() {
            return conflict(
                "source_name and sync_time go together: the rows of the one that are older than the other are deleted",
            );
        }
        let resumable = self.stream_id.is_some() && self.commit == CommitMode::Batch;
        if self.on_suppressed_row == SuppressedRowPolicy::Accept && resumable {
            return conflict(
                "on_suppressed_row: accept with a stream_id needs commit: atomic, because a call that resumes the stream does not know how many rows the calls before it left out",
            );
        }
        if self.write_mode == WriteMode::OverwriteDeleteStale && resumable && self.sync_time.is_none() {
            return conflict(
                "overwrite-delete-stale with a stream_id needs source_name and sync_time, because a call that resumes the stream does not see the rows of the calls before it",
            );
        }
        Ok(())
    }
}

/// Reads RFC 3339, which Arrow's parser takes with or without zone (then UTC).
///
/// # Errors
/// [`RequestError::Conflict`].
pub fn parse_time(text: &str) -> Result<SystemTime, RequestError> {
    let nanos = string_to_timestamp_nanos(text)
        .map_err(|_| RequestError::Conflict("sync_time is not a time such as 2026-01-31T12:00:00Z".to_owned()))?;
    let span = Duration::from_nanos(nanos.unsigned_abs());
    let time = match nanos < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(span),
        false => SystemTime::UNIX_EPOCH.checked_add(span),
    };
    time.ok_or_else(|| RequestError::Conflict("sync_time is out of range".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_options_is_an_atomic_safe_append() {
        let options = LoadOptions::resolve(StreamOptions::default()).unwrap();
        assert_eq!(options.write_mode, WriteMode::Append);
        assert_eq!(options.commit, CommitMode::Atomic);
        assert_eq!(options.migrate_mode, MigrateMode::Safe);
        assert_eq!(options.acks, Acks::Final);
        assert_eq!(options.lanes.get(), 1);
    }

    #[test]
    fn a_number_of_rows_cannot_be_promised_where_chunks_commit() {
        let mut options = StreamOptions {
            expected_rows: Some(10),
            commit: Some(CommitMode::Batch),
            ..StreamOptions::default()
        };
        let error = LoadOptions::resolve(options.clone()).unwrap_err().to_string();
        assert!(
            error.contains("expected_rows") && error.contains("commit: atomic"),
            "{error}"
        );
        options.stream_id = Some("s".to_owned());
        LoadOptions::resolve(options).unwrap();
    }

    #[test]
    fn a_replace_that_would_commit_chunk_by_chunk_is_refused() {
        let mut options = StreamOptions {
            write_mode: Some(WriteMode::Replace),
            commit: Some(CommitMode::Batch),
            ..StreamOptions::default()
        };
        let error = LoadOptions::resolve(options.clone()).unwrap_err().to_string();
        assert!(error.contains("it needs commit: atomic"), "{error}");
        options.commit = None;
        assert_eq!(
            LoadOptions::resolve(options.clone()).unwrap().commit,
            CommitMode::Atomic
        );
        options.stream_id = Some("nightly".to_owned());
        let error = LoadOptions::resolve(options.clone()).unwrap_err().to_string();
        assert!(
            error.contains("it needs commit: atomic"),
            "a stream_id makes batch the default: {error}"
        );
        options.commit = Some(CommitMode::Atomic);
        assert_eq!(LoadOptions::resolve(options).unwrap().commit, CommitMode::Atomic);
    }

    #[test]
    fn a_resumable_sync_names_its_source_and_time_itself() {
        let mut options = StreamOptions {
            write_mode: Some(WriteMode::OverwriteDeleteStale),
            stream_id: Some("nightly".to_owned()),
            ..StreamOptions::default()
        };
        let error = LoadOptions::resolve(options.clone()).unwrap_err().to_string();
        assert!(error.contains("source_name and sync_time"), "{error}");
        options.commit = Some(CommitMode::Atomic);
        LoadOptions::resolve(options.clone()).expect("an atomic stream comes in one call");
        options.commit = None;
        options.source_name = Some("crm".to_owned());
        options.sync_time = Some("2026-01-31T12:00:00Z".to_owned());
        LoadOptions::resolve(options).unwrap();
    }

    #[test]
    fn lanes_are_refused_where_order_or_one_transaction_matters() {
        let mut options = StreamOptions {
            lanes: NonZeroU16::new(2),
            ..StreamOptions::default()
        };
        let error = LoadOptions::resolve(options.clone()).unwrap_err().to_string();
        assert!(error.contains("commit: batch"), "{error}");
        options.commit = Some(CommitMode::Batch);
        assert_eq!(LoadOptions::resolve(options.clone()).unwrap().lanes.get(), 2);
        options.write_mode = Some(WriteMode::Overwrite);
        let error = LoadOptions::resolve(options).unwrap_err().to_string();
        assert!(error.contains("last row of a key"), "{error}");
    }
}
