//! The part of a transaction that keeps bad rows out: `on_bad_row: reject`.
//!
//! Cells are checked before anything is sent. What Postgres refuses after that is undone to a savepoint, and [`Sieve`] says
//! what is tried next; rejects are written in the same transaction, so that they are rolled back and written again with the
//! rows. What no row can be blamed for (locks, limits, rights, a constraint that is checked at COMMIT) fails as ever.

use std::ops::Range;

use tokio_postgres::types::Type;

use super::plan::{CopyInto, Stage};
use super::reject::{Reject, RejectPlan};
use super::rows::Rows;
use super::sieve::Sieve;
use super::transaction::Transaction;
use crate::ingest::aside::aside_if_large;
use crate::ingest::ports::Chunk;
use crate::postgres::error::Error;

/// What is done with a range of rows at once.
enum Work<'a> {
    /// COPY; rows are counted within `rows`.
    Copy { rows: Rows, into: &'a [CopyInto] },
    /// Staged rows are moved on; `rows` are their places.
    Move { stage: &'a Stage },
}

impl Transaction {
    /// Copies what can be stored of a chunk, and rejects the rest. Returns the rows stored.
    pub(super) async fn copy_sifted(
        &mut self,
        chunk: &Chunk,
        into: &[CopyInto],
        rejects: &RejectPlan,
    ) -> Result<u64, Error> {
        let all = Rows::of(chunk);
        let found = self.bad_cells(&all, rejects).await?;
        let places: Vec<u64> = found.iter().map(|reject| reject.bad.place).collect();
        let mut bad = Vec::new();
        for mut reject in found {
            reject.values = all.at(reject.bad.place).and_then(|row| rejects.values_of(&row));
            self.reject(rejects, reject, &mut bad)?;
        }
        let rows = all.without(&places);
        let count = rows.count();
        let stored = self
            .sift(&Work::Copy { rows, into }, 0..count, rejects, &mut bad)
            .await?;
        self.answered(rejects.write(self.client(), Some(chunk), &bad)).await?;
        Ok(stored)
    }

    /// Moves what can be moved of the staged rows with these places, and rejects the rest. Returns the rows written.
    pub(super) async fn move_sifted(
        &mut self,
        stage: &Stage,
        places: Range<u64>,
        chunk: Option<&Chunk>,
        rejects: &RejectPlan,
    ) -> Result<u64, Error> {
        let mut bad = Vec::new();
        let work = Work::Move { stage };
        let moved = self.sift(&work, places, rejects, &mut bad).await?;
        if rejects.keeps_values() && !bad.is_empty() {
            self.read_values(stage, &mut bad).await?;
        }
        self.answered(rejects.write(self.client(), chunk, &bad)).await?;
        Ok(moved)
    }

    /// Rows with cells that cannot be stored; one more at most than may be rejected.
    async fn bad_cells(&mut self, rows: &Rows, rejects: &RejectPlan) -> Result<Vec<Reject>, Error> {
        let all = self.rejects().all();
        let room = rejects.max.saturating_sub(all).saturating_add(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for piece in rows.pieces() {
            let limit = room.saturating_sub(found.len());
            let bytes = piece.batch.get_array_memory_size();
            // A staging table takes nothing that the table's own encoders refuse.
            let plan = &self.plan().direct.plan;
            let bad = aside_if_large(bytes, || plan.bind(&piece.batch).map(|bound| bound.bad_rows(limit))).await;
            let bad = bad.map_err(|cell| Error::Cell {
                table: self.plan().table.to_string(),
                row: piece.place,
                more: 0,
                cell: Box::new(cell),
            })?;
            found.extend(
                bad.iter()
                    .map(|cell| Reject::of_cell(piece.place + cell.row as u64, cell)),
            );
        }
        Ok(found)
    }

    async fn sift(
        &mut self,
        work: &Work<'_>,
        rows: Range<u64>,
        rejects: &RejectPlan,
        bad: &mut Vec<Reject>,
    ) -> Result<u64, Error> {
        let mut sieve = Sieve::over(rows);
        let (mut stored, mut failed) = (0, false);
        while let Some(range) = sieve.next() {
            self.execute("savepoint pgflight_rows", "opening a savepoint for")
                .await?;
            let error = match self.attempt(work, &range).await {
                Ok(rows) => {
                    self.execute("release savepoint pgflight_rows", "releasing a savepoint of")
                        .await?;
                    self.note(work, &range).await?;
                    stored += rows;
                    sieve.passed();
                    continue;
                }
                Err(error) if error.blames_row() => error,
                Err(error) => return Err(error),
            };
            let undo = "rollback to savepoint pgflight_rows; release savepoint pgflight_rows";
            self.execute(undo, "undoing what was refused of").await?;
            if let (false, Work::Move { stage }) = (failed, work) {
                self.execute(&stage.merge.index_stage(), "indexing the staging table of")
                    .await?;
            }
            failed = true;
            let at = error.copy_line().map(|line| range.start + line.saturating_sub(1));
            if let Some(at) = sieve.failed(range, at) {
                let (place, values) = match work {
                    Work::Copy { rows, .. } => {
                        let place = rows.place(at);
                        (place, rows.at(place).and_then(|row| rejects.values_of(&row)))
                    }
                    Work::Move { .. } => (at, None),
                };
                let bad_row = error.bad_row(place);
                self.reject(rejects, Reject { bad: bad_row, values }, bad)?;
            }
        }
        if let (true, Work::Move { stage }) = (failed, work) {
            self.execute(
                &stage.merge.drop_stage_index(),
                "dropping the index of the staging table of",
            )
            .await?;
        }
        Ok(stored)
    }

    async fn attempt(&self, work: &Work<'_>, range: &Range<u64>) -> Result<u64, Error> {
        match work {
            Work::Copy { rows, into } => self.copy_rows(&rows.slice(range.clone()), into).await,
            Work::Move { stage } => self.move_rows(stage, stage.move_by.doing(), Some(range)).await,
        }
    }

    /// What a COPY wrote is noted for embedding, as without rejects.
    async fn note(&self, work: &Work<'_>, range: &Range<u64>) -> Result<(), Error> {
        match (work, self.notes()) {
            (Work::Copy { rows, .. }, Some(notes)) => {
                let chunk = rows.slice(range.clone()).chunk();
                self.answered(notes.note(self.client(), &chunk)).await
            }
            _ => Ok(()),
        }
    }

    /// Counts a rejected row.
    fn reject(&mut self, rejects: &RejectPlan, reject: Reject, bad: &mut Vec<Reject>) -> Result<(), Error> {
        if self.rejects().add() > rejects.max {
            return Err(rejects.too_many(reject));
        }
        bad.push(reject);
        Ok(())
    }

    /// Reads the staged values of rejected rows.
    async fn read_values(&self, stage: &Stage, bad: &mut [Reject]) -> Result<(), Error> {
        let places: Vec<i64> = bad
            .iter()
            .map(|reject| i64::try_from(reject.bad.place).unwrap_or(i64::MAX))
            .collect();
        let reading = async {
            let sql = stage.merge.staged_values();
            let rows = self.client().query_typed(&sql, &[(&places, Type::INT8_ARRAY)]).await;
            rows.map_err(|error| Error::statement(self.doing("reading rejected rows of"), error))
        };
        let rows = self.answered(reading).await?;
        for row in rows {
            let place = u64::try_from(row.get::<_, i64>(0)).unwrap_or(u64::MAX);
            // The sieve yields rows in their order.
            if let Ok(index) = bad.binary_search_by_key(&place, |reject| reject.bad.place) {
                bad[index].values = row.get(1);
            }
        }
        Ok(())
    }
}
