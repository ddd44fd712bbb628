//! Rows that a trigger of the table leaves out: found by their number, since Postgres counts what it stores, and refused or
//! counted apart (`on_suppressed_row`). A COPY's count says it all; a merge also leaves out what is equal already, which is
//! counted in a setting of the transaction while it runs.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::types::{ToSql, Type};

use super::plan::{Move, Stage};
use super::transaction::Transaction;
use crate::planner::merge::Staged;
use crate::postgres::error::Error;

/// What may leave rows out, and whether it may.
#[derive(Debug)]
pub(super) struct Suppression {
    /// Triggers that are able to.
    pub(super) triggers: Vec<String>,
    /// Whether such rows are counted instead of failing the load.
    pub(super) accepted: bool,
}

/// Rows of a transaction that are sent and not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// They went to the reject table.
    pub(super) rejected: u64,
    /// A trigger left them out.
    pub(super) suppressed: u64,
}

impl LeftOut {
    pub(super) fn rows(self) -> u64 {
        self.rejected + self.suppressed
    }

    /// What was left out since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            rejected: self.rejected - before.rejected,
            suppressed: self.suppressed - before.suppressed,
        }
    }
}

/// Rows that triggers left out, as far as a transaction got.
#[derive(Debug, Default)]
pub(super) struct Suppressed(AtomicU64);

impl Suppressed {
    pub(super) fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Suppression {
    /// Whether a statement's count of rows must be looked at.
    pub(super) fn is_possible(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// Takes note of `stored` rows out of `sent`.
    pub(super) fn check(&self, table: &str, sent: u64, stored: u64, all: &Suppressed) -> Result<(), Error> {
        if stored == sent {
            return Ok(());
        }
        let table = table.to_owned();
        if !self.is_possible() || stored > sent {
            return Err(Error::RowsLost { table, sent, stored });
        }
        if !self.accepted {
            let triggers = self.triggers.clone();
            return Err(Error::Suppressed {
                table,
                triggers,
                sent,
                stored,
            });
        }
        all.0.fetch_add(sent - stored, Ordering::Relaxed);
        Ok(())
    }
}

impl Transaction {
    /// Moves staged rows into the table: all of them, or those with these places. Returns the rows inserted or changed.
    pub(super) async fn move_rows(
        &self,
        stage: &Stage,
        doing: &str,
        places: Option<&Range<u64>>,
    ) -> Result<u64, Error> {
        let signed = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
        let bounds = places.map(|places| (signed(places.start), signed(places.end)));
        let (staged, bounds): (_, Vec<(&(dyn ToSql + Sync), Type)>) = match &bounds {
            None => (Staged::All, Vec::new()),
            Some((from, to)) => (Staged::Between, vec![(from, Type::INT8), (to, Type::INT8)]),
        };
        let failed = |error| Error::statement(self.doing(doing), error).of(&self.plan().table);
        let merge = &stage.merge;
        let sql = match stage.move_by {
            Move::Merge => merge.merge(staged),
            Move::Swap | Move::Insert => merge.refill(staged),
        };
        let moving = async {
            if !self.plan().suppression.is_possible() {
                return self.client().execute_typed(&sql, &bounds).await.map_err(failed);
            }
            let counted = self.client().query_typed(&merge.count_staged(staged), &bounds).await;
            let sent = number(&counted.map_err(failed)?);
            let moved = self.client().execute_typed(&sql, &bounds).await.map_err(failed)?;
            let counted = self.client().query_typed(&merge.count_unchanged(), &[]).await;
            let stored = moved + number(&counted.map_err(failed)?);
            self.check_stored(sent, stored)?;
            Ok(moved)
        };
        self.answered(moving).await
    }
}

fn number(rows: &[tokio_postgres::Row]) -> u64 {
    let number: i64 = rows.first().map_or(0, |row| row.get(0));
    u64::try_from(number).unwrap_or(0)
}
