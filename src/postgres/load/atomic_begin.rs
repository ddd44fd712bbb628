//! How an atomic load gets its transaction: with a plan that was kept of another load, or after a look at the table.

use std::sync::Arc;

use super::atomic::{AtomicLoad, Running, State};
use super::left_out::LeftOut;
use super::opened::Opened;
use super::transaction::Transaction;
use crate::ingest::ports::Chunk;
use crate::postgres::error::Error;

/// Bytes of a put, as they came, up to which it may be written by a plan that was kept: it can be written again for certain.
const TRUSTED_BYTES: u64 = 1 << 20;

impl AtomicLoad {
    /// Begins the transaction with the first chunk, so that both take one round trip; `None` where it is not the first one, or where
    /// it has to be tried whether rows may go straight in.
    pub(super) async fn put_first(&self, state: &mut State, chunk: &Chunk) -> Result<Option<LeftOut>, Error> {
        if state.running.is_some() || state.rows > 0 {
            return Ok(None);
        }
        if !*self.complete.borrow() || chunk.bytes > TRUSTED_BYTES {
            self.look(state);
        }
        let opened = self.opened(state).await?;
        let direct = opened.plan.stage.is_none();
        if opened.begun.is_some() || (!direct && opened.plan.starts_empty) {
            state.opened = Some(opened);
            return Ok(None);
        }
        let plan = opened.plan;
        self.shared.set_plan(Arc::clone(&plan));
        let connection = self.connection().await?;
        self.shared.check_trust(&connection)?;
        let (tx, stored) = Transaction::open_copying(connection, plan, chunk).await?;
        let running = Running {
            tx: tx.on_trust(self.shared.is_on_trust()),
            direct,
            alone: false,
            affected: if direct { stored } else { 0 },
        };
        let left_out = running.left_out();
        state.running = Some(running);
        Ok(Some(left_out))
    }

    /// The table, ready: as it was when the load was opened, else it is looked at.
    pub(super) async fn opened(&self, state: &mut State) -> Result<Opened, Error> {
        if let Some(opened) = state.opened.take() {
            return Ok(opened);
        }
        self.look(state);
        let (shared, lending) = (&self.shared, self.connection());
        let mut opened = shared.destination.open_table(&shared.request, lending).await?;
        if std::mem::take(&mut state.unseen) {
            state.migration.append(&mut opened.migration);
        }
        Ok(opened)
    }

    /// From here on the table is looked at before it is used.
    pub(super) fn look(&self, state: &mut State) {
        if self.shared.end_trust() {
            state.unseen = true;
            state.opened = None;
        }
    }

    pub(super) async fn begin(&self, opened: Opened, ordered: bool) -> Result<Running, Error> {
        self.shared.set_plan(Arc::clone(&opened.plan));
        let (plan, alone) = (opened.plan, opened.begun.is_some());
        let direct = plan.stage.is_none() || (plan.starts_empty && !ordered);
        let tx = match opened.begun {
            Some(begun) => Transaction::begun(begun.connection, begun.mark, plan),
            None => {
                let connection = self.connection().await?;
                self.shared.check_trust(&connection)?;
                let tx = Transaction::open(connection, plan).await?;
                tx.on_trust(self.shared.is_on_trust())
            }
        };
        Ok(Running {
            tx,
            direct,
            alone,
            affected: 0,
        })
    }
}
