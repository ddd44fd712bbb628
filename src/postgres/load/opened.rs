//! A table that is ready for a load, and the transaction that created it where there is one.

use std::sync::Arc;

use super::plan::Plan;
use super::proof::Mark;
use crate::model::migration::MigrationReport;
use crate::postgres::pool::Connection;

/// A table that is ready, and how rows reach it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) plan: Arc<Plan>,
    /// The transaction that created the table; a table that is there already needs none.
    pub(super) begun: Option<Begun>,
    /// Whether the table is there only in a transaction.
    pub(super) created: bool,
    /// DDL that was needed.
    pub(super) migration: Vec<String>,
}

/// A transaction that is open and holds no rows yet.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) connection: Connection,
    pub(super) mark: Mark,
}

/// The statements of a migration.
pub(super) fn sql_of(report: MigrationReport) -> Vec<String> {
    report.steps.into_iter().map(|step| step.sql).collect()
}

impl Opened {
    /// A table that was looked at for another load.
    pub(super) fn known(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            begun: None,
            created: false,
            migration: Vec::new(),
        }
    }

    /// Gives the transaction up; the table is then created again with its first rows.
    pub(super) async fn give_back(&mut self) {
        if let Some(begun) = self.begun.take() {
            begun.give_back().await;
        }
    }

    /// For a load that now waits for its client: keeps its transaction if more of those may, else the table is opened again
    /// when rows come.
    pub(super) async fn waiting(mut self) -> Option<Self> {
        if self.begun.as_mut().is_some_and(|begun| !begun.connection.lengthen()) {
            self.give_back().await;
        }
        (self.begun.is_some() || !self.created).then_some(self)
    }
}

impl Begun {
    /// Undoes what it created and gives the connection back. A connection that does not answer is closed, and then Postgres
    /// undoes it.
    pub(super) async fn give_back(mut self) {
        if self.connection.client().batch_execute("rollback").await.is_ok() {
            self.connection.mark_clean();
        }
    }
}
