//! Plans that were made before, to be used again by loads that ask for the same. Whether a table is still what it was is not
//! known here: a transaction holds the plan's stamp against the catalog before it commits.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;

use super::matching::matches_by_key;
use super::plan::Plan;
use super::waiting::Waiting;
use super::wish::depends_on_installed;
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::model::ident::TableName;
use crate::model::options::{BadRowPolicy, WriteMode};
use crate::model::presence::Presence;
use crate::planner::VerifiedTable;
use crate::postgres::pool::Connection;

/// Plans that are kept; the one that was not used for longest goes.
const MOST: usize = 256;

/// The plans of one database.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownPlans(Arc<Mutex<Vec<Known>>>);

#[derive(Debug)]
struct Known {
    owner: String,
    table: TableName,
    schema: SchemaRef,
    options: LoadOptions,
    plan: Arc<Plan>,
}

impl Known {
    fn of(request: &LoadRequest, plan: Arc<Plan>) -> Self {
        Self {
            owner: request.owner.clone(),
            table: request.table.clone(),
            schema: Arc::clone(&request.schema),
            options: request.options.clone(),
            plan,
        }
    }

    fn answers(&self, request: &LoadRequest) -> bool {
        self.table == request.table
            && self.owner == request.owner
            && (Arc::ptr_eq(&self.schema, &request.schema) || self.schema == request.schema)
            && same(&self.options, &request.options)
    }
}

/// Whether plans for these options are the same: what concerns only one stream is left out, the name of a stream, too.
fn same(one: &LoadOptions, other: &LoadOptions) -> bool {
    let mut other = other.clone();
    other.stream_epoch = one.stream_epoch;
    other.acked_seq = one.acked_seq;
    other.expected_rows = one.expected_rows;
    other.strict = one.strict;
    other.acks = one.acks;
    if one.stream_id.is_some() && other.stream_id.is_some() {
        other.stream_id.clone_from(&one.stream_id);
    }
    *one == other
}

/// Whether loads like this one may be planned once for all.
pub(super) fn may_be_known(request: &LoadRequest) -> bool {
    let options = &request.options;
    request.presence == Presence::default()
        && matches!(options.write_mode, WriteMode::Append | WriteMode::Overwrite)
        && options.on_bad_row == BadRowPolicy::Fail
        && !depends_on_installed(&request.schema, options.type_profile)
}

/// Whether the stamp tells all about this plan: types that anybody could change are not in it, nor is what else counts rows or reads
/// them.
fn is_told_by_stamp(request: &LoadRequest, table: &VerifiedTable, plan: &Plan) -> bool {
    let published = plan.stamp.as_ref().is_none_or(|stamp| stamp.published);
    !table.created()
        && plan.notes.is_none()
        && plan.rejects.is_none()
        && !plan.suppression.is_possible()
        && !(published && matches_by_key(request.options.write_mode))
        && table.columns().iter().all(|column| column.ty.is_fixed())
}

/// Whether rows of several puts may go in by one COPY of this plan: nobody may see that they did.
fn may_go_together(table: &VerifiedTable, plan: &Plan) -> bool {
    plan.stamp.is_some() && plan.stage.is_none() && plan.commits.is_some() && !table.has_insert_triggers()
}

/// The plan, with its stamp only where that tells all about it, and with what hangs on that.
pub(super) fn stamped(mut plan: Plan, request: &LoadRequest, table: &VerifiedTable) -> Arc<Plan> {
    if !is_told_by_stamp(request, table, &plan) {
        plan.stamp = None;
    }
    plan.waiting = may_go_together(table, &plan).then(Waiting::default);
    Arc::new(plan)
}

impl KnownPlans {
    /// The plan for such a load.
    pub(super) fn find(&self, request: &LoadRequest) -> Option<Arc<Plan>> {
        if !may_be_known(request) {
            return None;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|known| known.answers(request))?;
        let known = all.remove(at);
        let plan = Arc::clone(&known.plan);
        all.push(known);
        Some(plan)
    }

    /// Keeps the plan for loads like this one; what they and this one are to use, which is the plan that is kept already where the
    /// session can tell that it is as good. One for an empty table is good for one load only.
    pub(super) fn keep(&self, request: &LoadRequest, plan: Arc<Plan>, seen_by: &Connection) -> Arc<Plan> {
        let Some(stamp) = plan.stamp.as_ref().filter(|_| !plan.starts_empty) else {
            return plan;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.answers(request))
            && let Some(before) = &known.plan.stamp
            && before.is(stamp)
            && seen_by.vouches_for(before.read)
        {
            return Arc::clone(&known.plan);
        }
        all.retain(|known| !known.answers(request));
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Known::of(request, Arc::clone(&plan)));
        plan
    }

    /// This plan is not to be used again.
    pub(super) fn forget(&self, plan: &Arc<Plan>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| !Arc::ptr_eq(&known.plan, plan));
    }
}
