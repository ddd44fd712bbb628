//! SQL that finds what is not there: source rows of ledger rows, ledger rows of chunks, chunks of ledger rows. Pure text.
//!
//! One statement sees rows that were changed while it waited for them, and everything else as it was before it waited. So what
//! is suspect is looked for, locked, and looked at by a second statement.

use super::shape::{KEYS, Shape};

impl Shape {
    /// `$1` table: locks ledger rows of journal keys that have no source row, and returns their keys. Those that a worker
    /// holds are that worker's to remove.
    pub(super) fn missing_keys(&self) -> String {
        format!(
            "select s.row_key from {KEYS} k join {} s on s.table_id = $1 and s.row_key = {} \
             where s.state <> 1 and not exists (select from {} t where {}) order by s.row_key for update of s",
            self.ledger.quoted(),
            self.row_key_of_journal(),
            self.source.quoted(),
            self.journal_to_source()
        )
    }

    /// The same for all ledger rows that have no source row.
    pub(super) fn missing(&self) -> String {
        format!(
            "select s.row_key from {} s where s.table_id = $1 and s.state <> 1 \
             and not exists (select from {} t where {}) order by s.row_key for update of s",
            self.ledger.quoted(),
            self.source.quoted(),
            self.ledger_to_source()
        )
    }

    /// `$1` table, `$2` keys, locked by an earlier statement: removes those from the ledger that have no source row; returns
    /// their keys.
    pub(super) fn forget_missing(&self) -> String {
        format!(
            "delete from {} s where s.table_id = $1 and s.row_key = any ($2) \
             and not exists (select from {} t where {}) returning s.row_key",
            self.ledger.quoted(),
            self.source.quoted(),
            self.ledger_to_source()
        )
    }

    /// `$1` table: removes chunks of rows that the ledger does not know.
    pub(super) fn delete_orphans(&self) -> String {
        format!(
            "delete from {} v where not exists (select from {} s \
             where s.table_id = $1 and s.row_key = v._row_key)",
            self.target.quoted(),
            self.ledger.quoted()
        )
    }

    /// `$1` table: keys of rows whose chunks do not seem to be all there.
    pub(super) fn incomplete(&self) -> String {
        format!(
            "select s.row_key from {} s where s.table_id = $1 and s.state = 2 \
             and s.chunks <> (select pg_catalog.count(*) from {} v where v._row_key = s.row_key)",
            self.ledger.quoted(),
            self.target.quoted()
        )
    }

    /// `$1` table, `$2` keys: locks these rows of the ledger.
    pub(super) fn lock_rows(&self) -> String {
        format!(
            "select from {} where table_id = $1 and row_key = any ($2) order by row_key for update",
            self.ledger.quoted()
        )
    }

    /// `$1` table, `$2` keys, locked by an earlier statement: makes those pending whose chunks are not all there. What is there
    /// is kept.
    pub(super) fn redo_incomplete(&self) -> String {
        format!(
            "update {} s set state = 0, have_hash = ''::bytea, gen = s.gen + 1, prio = 5, \
             not_before = pg_catalog.clock_timestamp() where s.table_id = $1 and s.row_key = any ($2) and s.state = 2 \
             and s.chunks <> (select pg_catalog.count(*) from {} v where v._row_key = s.row_key)",
            self.ledger.quoted(),
            self.target.quoted()
        )
    }
}
