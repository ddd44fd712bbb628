//! How a transaction begins and what it ends with: each is one message, and a COPY may go along with the first.

use std::sync::Arc;

use super::commits;
use super::copy_in::open_copy;
use super::mark::Beginning;
use super::plan::{CopyInto, Plan};
use super::proof::Proof;
use super::stamp;
use super::transaction::Transaction;
use crate::ingest::ports::Chunk;
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;

impl Transaction {
    /// Begins one.
    pub(super) async fn open(mut connection: Connection, plan: Arc<Plan>) -> Result<Self, Error> {
        let beginning = Self::beginning(&mut connection, &plan).await?;
        let mark = beginning.run(&connection).await?;
        Ok(Self::begun(connection, mark, plan))
    }

    /// Begins one and copies a chunk into the table, or into its staging table where there is one; what Postgres counted. In a
    /// session of our own the COPY goes along with BEGIN: where that fails, it does, too.
    pub(super) async fn open_copying(
        mut connection: Connection,
        plan: Arc<Plan>,
        chunk: &Chunk,
    ) -> Result<(Self, u64), Error> {
        let Some(into) = at_once(&connection, &plan) else {
            let mut tx = Self::open(connection, Arc::clone(&plan)).await?;
            let stored = match &plan.stage {
                None => tx.copy_direct(chunk).await?,
                Some(_) => tx.copy_staged(chunk).await?,
            };
            return Ok((tx, stored));
        };
        let beginning = Self::beginning(&mut connection, &plan).await?;
        let copying = async {
            let open = async { Ok(open_copy(connection.client(), &into.sql).await) };
            plan.patience.wait(open).await
        };
        let (mark, open) = tokio::join!(beginning.run(&connection), copying);
        let mut tx = Self::begun(connection, mark?, Arc::clone(&plan));
        let open = tx.answered(std::future::ready(open)).await?;
        let stored = tx.copy_opened(chunk, into, open).await?;
        Ok((tx, stored))
    }

    /// What it begins with, in a session that knows what it will end with.
    async fn beginning(connection: &mut Connection, plan: &Plan) -> Result<Beginning, Error> {
        let (patience, commits) = (plan.patience, plan.commits.as_ref());
        let beginning = Beginning::of(connection, &plan.settings, patience, commits).await?;
        if let (true, Some(commits)) = (beginning.notes(), commits) {
            commits.named().teach(connection, patience).await?;
        }
        if plan.stamp.is_some() && connection.knows(stamp::NAME).is_none() {
            let text = stamp::statement("$1", "$2", "$3");
            stamp::named(&text).teach(connection, patience).await?;
        }
        Ok(beginning)
    }

    /// What is sent last, in one message. Where one of its statements fails, so does the transaction, and nothing after it is
    /// carried out.
    pub(super) fn ending(&self) -> String {
        let mut parts = Vec::with_capacity(3);
        let knows = |name| self.connection().knows(name) == Some(true);
        if self.has_written() {
            parts.push(match self.trusted_stamp() {
                Some(stamp) => stamp.check(knows(stamp::NAME)),
                None => self.plan().unchanged.clone(),
            });
        }
        if let (Proof::Row { serial, .. }, Some(commits)) = (&self.mark().proof, &self.plan().commits) {
            parts.push(commits.note(*serial, knows(commits::NAME)));
        }
        parts.push("commit".to_owned());
        parts.join("; ")
    }
}

/// Where rows go that may be on their way before the transaction is known to be open.
fn at_once<'a>(connection: &Connection, plan: &'a Plan) -> Option<&'a CopyInto> {
    if connection.tenure().is_lent() || plan.rejects.is_some() {
        return None;
    }
    let Some(stage) = &plan.stage else {
        return Some(&plan.direct);
    };
    match stage.copies.as_slice() {
        [into] if connection.has_stage(&stage.name) => Some(into),
        _ => None,
    }
}
