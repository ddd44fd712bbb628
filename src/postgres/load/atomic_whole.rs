//! An atomic load whose client sent all of a few rows before any was written: it may be written with others.

use super::atomic::{AtomicLoad, State};
use super::together::{self, Joined, Whole};
use crate::ingest::ports::{Chunk, Finished};
use crate::postgres::error::Error;

impl AtomicLoad {
    /// Whether this is all of a load that may be written with others.
    pub(super) fn is_whole(&self, state: &State, chunk: &Chunk) -> bool {
        let plan = self.shared.plan();
        *self.complete.borrow()
            && state.running.is_none()
            && state.rows == 0
            && self.stream.is_none()
            && plan.waiting.is_some()
            && self.shared.destination.group.take(chunk)
    }

    /// Writes what [`Self::is_whole`].
    pub(super) async fn put_whole(&self, state: &mut State) -> Result<Whole, Error> {
        let Some(chunk) = state.whole.take() else {
            return Ok(Whole::Open(None));
        };
        let plan = self.shared.plan();
        let turn = match together::join(&plan, &self.shared.destination, &chunk).await? {
            Joined::Alone(turn) => turn,
            Joined::Committed => {
                return Ok(Whole::Committed(Finished {
                    table: plan.table.to_string(),
                    migration: state.migration.clone(),
                    affected: chunk.rows,
                    rows: chunk.rows,
                    ..Finished::default()
                }));
            }
        };
        self.write_next(state, chunk).await?;
        Ok(Whole::Open(turn))
    }
}
