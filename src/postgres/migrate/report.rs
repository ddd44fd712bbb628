//! Plans and what was done of them, as data for the doors.

use super::run::Planned;
use crate::model::ident::TableName;
use crate::model::migration::{MigrationReport, StepReport};
use crate::planner::ddl::render;
use crate::planner::found::FoundTable;
use crate::planner::step::Step;
use crate::telemetry::names;

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
        estimated_rows: planned.found.table.as_ref().and_then(estimated_rows),
    }
}

fn estimated_rows(table: &FoundTable) -> Option<u64> {
    // -1 before the first VACUUM or ANALYZE.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, checked not to be negative; a cast of floats saturates"
    )]
    (table.estimated_rows >= 0.0).then_some(table.estimated_rows as u64)
}

/// Steps that are there to stay.
pub(super) fn applied<'s>(steps: impl IntoIterator<Item = &'s Step>) {
    for step in steps {
        metrics::counter!(names::MIGRATION_STEPS, "lock" => step.action.lock().words()).increment(1);
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
