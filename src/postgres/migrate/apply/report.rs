//! Plans and what was done of them, as data for the doors.

use super::run::Planned;
use crate::model::ident::TableName;
use crate::model::migration::{MigrationReport, StepReport};
use crate::postgres::migrate::ddl::render;
use crate::postgres::migrate::step::Step;

/// The plan as data. What was carried out so far are its steps; those that follow the transaction are added when done.
pub(super) fn of(planned: &Planned, applied: bool) -> MigrationReport {
    let plan = &planned.plan;
    let after = plan.after.iter().filter(|_| !applied);
    MigrationReport {
        table: plan.table.to_string(),
        applied,
        created: planned.found.table.is_none(),
        steps: plan
            .steps
            .iter()
            .chain(after)
            .map(|done| step(done, &plan.table))
            .collect(),
        notes: plan.notes.clone(),
        table_bytes: plan.bytes,
    }
}

/// A step as data.
pub(super) fn step(step: &Step, table: &TableName) -> StepReport {
    StepReport {
        sql: render(&step.action, table).to_string(),
        reason: step.reason.clone(),
        lock: step.action.lock().words().to_owned(),
        rewrites: step.action.rewrites(),
        scans: step.action.scans(),
        own_transaction: step.action.own_transaction(),
    }
}
