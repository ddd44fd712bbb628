//! Rows that a trigger of the table leaves out: found by their number, since Postgres counts what it stores, and refused or
//! counted apart (`on_suppressed_row`). A COPY's count says it all; a merge also leaves out what is equal already, which is
//! counted in a setting of the transaction while it runs.

use std::ops::Range;
use std::time::Instant;

use tokio_postgres::types::{ToSql, Type};
use tracing::Instrument;

use super::plan::{Move, Stage};
use super::transaction::Transaction;
use crate::planner::merge::Staged;
use crate::postgres::error::Error;
use crate::telemetry::{names, spans};

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
        let begun = Instant::now();
        let moving = async {
            if !self.plan().suppression.is_possible() && bounds.is_empty() && !self.connection().tenure().is_lent() {
                let statement = self.client().kept_statement(&sql).await.map_err(failed)?;
                return self.client().execute(&statement, &[]).await.map_err(failed);
            }
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
        let moved = self.answered(moving.instrument(spans::merge())).await;
        metrics::histogram!(names::MERGE_SECONDS).record(begun.elapsed().as_secs_f64());
        moved
    }
}

fn number(rows: &[tokio_postgres::Row]) -> u64 {
    let number: i64 = rows.first().map_or(0, |row| row.get(0));
    u64::try_from(number).unwrap_or(0)
}
