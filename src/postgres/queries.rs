//! Every statement that lives in `sql/`, by name. Nothing else includes those files, and no SQL text is built here.

use crate::model::ident::Ident;

/// One table, its columns, keys and types, and facts about the server, as one JSON document.
pub const CATALOG_TABLE: &str = include_str!("../../sql/catalog/table.sql");

/// Size of a table, for changes that rewrite it.
pub const CATALOG_DEPTH: &str = include_str!("../../sql/catalog/depth.sql");

/// Extensions whose types columns are created with.
pub const CATALOG_INSTALLED: &str = include_str!("../../sql/catalog/installed.sql");

/// Which versions of catalog rows make a table what it is.
pub const CATALOG_STAMP: &str = include_str!("../../sql/catalog/stamp.sql");

/// Whether a session takes writes, and why not.
pub const CATALOG_WRITABLE: &str = include_str!("../../sql/catalog/writable.sql");

/// Waits for a table's migration lock.
pub const MIGRATE_TAKE_TURN: &str = include_str!("../../sql/migrate/take_turn.sql");

/// Sets `lock_timeout` for the rest of the transaction.
pub const MIGRATE_SET_LOCK_TIMEOUT: &str = include_str!("../../sql/migrate/set_lock_timeout.sql");

/// Sets `lock_timeout` for the session.
pub const MIGRATE_SESSION_LOCK_TIMEOUT: &str = include_str!("../../sql/migrate/session_lock_timeout.sql");

/// Who holds the locks that a migration waited for.
pub const MIGRATE_BLOCKERS: &str = include_str!("../../sql/migrate/blockers.sql");

/// What counts for a session that a pooler lends us.
pub const SESSION_LENT: &str = include_str!("../../sql/session/lent.sql");

/// What `check` reports about the server, the login and the target schema.
pub const CHECK_SERVER: &str = include_str!("../../sql/check/server.sql");

/// What the catalog guesses a table's rows and bytes to be.
pub const READ_ESTIMATE: &str = include_str!("../../sql/read/estimate.sql");

/// The tables that have the rows of a table, and their pages.
pub const READ_PAGES: &str = include_str!("../../sql/read/pages.sql");

/// Tables that can be read, page by page.
pub const READ_TABLES: &str = include_str!("../../sql/read/tables.sql");

/// The connected database.
pub const OBJECTS_DATABASE: &str = include_str!("../../sql/objects/database.sql");

/// Schemas of users.
pub const OBJECTS_SCHEMAS: &str = include_str!("../../sql/objects/schemas.sql");

/// Relations of users, page by page.
pub const OBJECTS_RELATIONS: &str = include_str!("../../sql/objects/relations.sql");

/// Columns of primary keys.
pub const OBJECTS_PRIMARY_KEYS: &str = include_str!("../../sql/objects/primary_keys.sql");

/// Columns of foreign keys.
pub const OBJECTS_FOREIGN_KEYS: &str = include_str!("../../sql/objects/foreign_keys.sql");

/// The types of a statement's columns and parameters.
pub const QUERY_TYPES: &str = include_str!("../../sql/query/types.sql");

/// Whether the schema of our own tables exists.
pub const STATE_SCHEMA_IS_THERE: &str = include_str!("../../sql/state/schema_is_there.sql");

/// Whether our own tables were ever created.
pub const STATE_IS_THERE: &str = include_str!("../../sql/state/is_there.sql");

/// Newest migration of our own tables.
pub const STATE_VERSION: &str = include_str!("../../sql/state/version.sql");

/// Notes a migration of our own tables.
pub const STATE_RECORD: &str = include_str!("../../sql/state/record.sql");

/// Waits for the turn to migrate our own tables.
pub const STATE_TAKE_TURN: &str = include_str!("../../sql/state/take_turn.sql");

/// The table that notes migrations; not a migration itself.
pub const STATE_MIGRATIONS: &str = include_str!("../../sql/state/0000_migrations.sql");

/// Migrations of our own tables, the first is version 1. Files are only ever added.
pub const STATE_STEPS: &[&str] = &[
    include_str!("../../sql/state/0001_streams.sql"),
    include_str!("../../sql/state/0002_embeddings.sql"),
    include_str!("../../sql/state/0003_embedding_migrations.sql"),
    include_str!("../../sql/state/0004_rejects.sql"),
    include_str!("../../sql/state/0005_embedding_trouble.sql"),
    include_str!("../../sql/state/0006_last_commits.sql"),
];

/// Rejected rows of a stream.
pub const REJECT_COUNT: &str = include_str!("../../sql/reject/count.sql");

/// Notes rejected rows.
pub const REJECT_ADD: &str = include_str!("../../sql/reject/add.sql");

/// Opens a stream.
pub const STREAM_OPEN: &str = include_str!("../../sql/stream/open.sql");

/// Locks a stream.
pub const STREAM_LOCK: &str = include_str!("../../sql/stream/lock.sql");

/// Looks at a stream.
pub const STREAM_STATUS: &str = include_str!("../../sql/stream/status.sql");

/// Moves a stream on.
pub const STREAM_ADVANCE: &str = include_str!("../../sql/stream/advance.sql");

/// Ends a stream.
pub const STREAM_FINALIZE: &str = include_str!("../../sql/stream/finalize.sql");

/// Notes a transaction's number before its COMMIT.
pub const COMMIT_NOTE: &str = include_str!("../../sql/commit/note.sql");

/// Forgets the numbers of a session.
pub const COMMIT_RETIRE: &str = include_str!("../../sql/commit/retire.sql");

/// Whether a transaction was committed, by its number.
pub const COMMIT_ASK: &str = include_str!("../../sql/commit/ask.sql");

/// The table of last commits.
pub const COMMIT_TABLE: &str = include_str!("../../sql/commit/table.sql");

/// Removes old numbers.
pub const COMMIT_TIDY: &str = include_str!("../../sql/commit/tidy.sql");

/// How a transaction ended, as the server's own bookkeeping tells.
pub const COMMIT_STATUS: &str = include_str!("../../sql/commit/status.sql");

/// A session that proves later that the server did not crash.
pub const COMMIT_WITNESS: &str = include_str!("../../sql/commit/witness.sql");

/// Ends the session that a lost connection left behind.
pub const COMMIT_END_LOST: &str = include_str!("../../sql/commit/end_lost.sql");

/// Embeddings: pgvector in this database.
pub const EMBED_EXTENSION: &str = include_str!("../../sql/embed/extension.sql");

/// Embeddings: gives an embedded table its number.
pub const EMBED_REGISTER: &str = include_str!("../../sql/embed/register.sql");

/// Embeddings: how a table's vectors are made.
pub const EMBED_ACTIVE_CONFIG: &str = include_str!("../../sql/embed/active_config.sql");

/// Embeddings: makes a configuration the active one.
pub const EMBED_ADD_CONFIG: &str = include_str!("../../sql/embed/add_config.sql");

/// Embeddings: whether a configuration is still the active one.
pub const EMBED_IS_ACTIVE: &str = include_str!("../../sql/embed/is_active.sql");

/// Embeddings: how much a new run would cost.
pub const EMBED_KNOWN_ROWS: &str = include_str!("../../sql/embed/known_rows.sql");

/// Embeddings: notes keys that a load touched.
pub const EMBED_NOTE_KEYS: &str = include_str!("../../sql/embed/note_keys.sql");

/// Embeddings: asks for a sweep over a table.
pub const EMBED_NOTE_SWEEP: &str = include_str!("../../sql/embed/note_sweep.sql");

/// Embeddings: the next entries of the journal.
pub const EMBED_JOURNAL: &str = include_str!("../../sql/embed/journal.sql");

/// Embeddings: removes entries of the journal.
pub const EMBED_JOURNAL_DONE: &str = include_str!("../../sql/embed/journal_done.sql");

/// Embeddings: notes how far a sweep came.
pub const EMBED_JOURNAL_NEXT: &str = include_str!("../../sql/embed/journal_next.sql");

/// Embeddings: size of a table in blocks.
pub const EMBED_BLOCKS: &str = include_str!("../../sql/embed/blocks.sql");

/// Embeddings: takes waiting rows.
pub const EMBED_CLAIM: &str = include_str!("../../sql/embed/claim.sql");

/// Embeddings: locks rows that are still held by a worker.
pub const EMBED_FENCE: &str = include_str!("../../sql/embed/fence.sql");

/// Embeddings: notes what chunks were made of.
pub const EMBED_FINISH: &str = include_str!("../../sql/embed/finish.sql");

/// Embeddings: removes rows from the ledger.
pub const EMBED_FORGET: &str = include_str!("../../sql/embed/forget.sql");

/// Embeddings: removes all rows of a table from the ledger.
pub const EMBED_FORGET_ALL: &str = include_str!("../../sql/embed/forget_all.sql");

/// Embeddings: gives rows back.
pub const EMBED_RELEASE: &str = include_str!("../../sql/embed/release.sql");

/// Embeddings: keeps what a worker holds.
pub const EMBED_RENEW: &str = include_str!("../../sql/embed/renew.sql");

/// Embeddings: gives rows up.
pub const EMBED_BURY: &str = include_str!("../../sql/embed/bury.sql");

/// Embeddings: takes the turn to build a vector index.
pub const EMBED_INDEX_TURN: &str = include_str!("../../sql/embed/index_turn.sql");

/// Takes the turn to build a table's vector index, to the end of the transaction.
pub const EMBED_INDEX_TURN_LENT: &str = include_str!("../../sql/embed/index_turn_lent.sql");

/// Embeddings: gives back the turn to build a vector index.
pub const EMBED_INDEX_TURN_OVER: &str = include_str!("../../sql/embed/index_turn_over.sql");

/// Embeddings: whether any row is embedded.
pub const EMBED_EMBEDDED: &str = include_str!("../../sql/embed/embedded.sql");

/// Embeddings: makes rows pending that were given up.
pub const EMBED_RETRY_DEAD: &str = include_str!("../../sql/embed/retry_dead.sql");

/// Embeddings: whether everything that was noted for a table is embedded.
pub const EMBED_DRAINED: &str = include_str!("../../sql/embed/drained.sql");

/// Embeddings: whether an index is usable.
pub const EMBED_INDEX: &str = include_str!("../../sql/embed/index.sql");

/// Embeddings: notes why vectors do not come.
pub const EMBED_TROUBLE: &str = include_str!("../../sql/embed/trouble.sql");

/// Embeddings: vectors come again.
pub const EMBED_NO_TROUBLE: &str = include_str!("../../sql/embed/no_trouble.sql");

/// Embeddings: how a table stands.
pub const EMBED_STATUS: &str = include_str!("../../sql/embed/status.sql");

/// A statement over our own tables with the schema they are in. The files write `pgflight.`, the default, and use the word
/// for nothing else.
pub fn in_schema(statement: &str, schema: &Ident) -> String {
    statement.replace("pgflight.", &format!("{}.", schema.quoted()))
}

/// Embeddings: removes deleted rows from the ledger.
pub const EMBED_FORGET_DELETED: &str = include_str!("../../sql/embed/forget_deleted.sql");

/// Embeddings: what the ledger knows of a table.
pub const EMBED_KNOWN_TABLE: &str = include_str!("../../sql/embed/known_table.sql");

/// Embeddings: views that read a table.
pub const EMBED_DEPENDENTS: &str = include_str!("../../sql/embed/dependents.sql");

/// Embeddings: what was granted on a table.
pub const EMBED_GRANTS: &str = include_str!("../../sql/embed/grants.sql");

/// Embeddings: names a table's successor.
pub const EMBED_SUCCEED: &str = include_str!("../../sql/embed/succeed.sql");

/// Embeddings: whether older transactions have ended.
pub const EMBED_ALL_NEWER: &str = include_str!("../../sql/embed/all_newer.sql");

/// Embeddings: names a vector table anew.
pub const EMBED_RETIRE: &str = include_str!("../../sql/embed/retire.sql");

/// Embeddings: ends a configuration.
pub const EMBED_DEACTIVATE: &str = include_str!("../../sql/embed/deactivate.sql");

/// Embeddings: forgets the rows of retired tables.
pub const EMBED_CLEAR_RETIRED: &str = include_str!("../../sql/embed/clear_retired.sql");

/// Embeddings: forgets a table.
pub const EMBED_ABANDON: &str = include_str!("../../sql/embed/abandon.sql");

/// Embeddings: takes the journal of a table.
pub const EMBED_TAKE_JOURNAL: &str = include_str!("../../sql/embed/take_journal.sql");

/// A statement in one line, without the lines that explain it.
pub fn without_comments(statement: &str) -> String {
    let lines = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
