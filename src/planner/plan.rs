//! From differences to steps, or to a refusal that names every reason at once. Pure: the same input, the same plan.

mod columns;
mod keep;
mod keys;
mod recreate;

use super::depth::Depth;
use super::diff::{Accepts, Change, diff};
use super::found::{Found, FoundTable};
use super::policy::{ForcedStrategy, Policy};
use super::refusal::{Reason, Refusal};
use super::step::{Action, NewTable, Step};
use super::{loading, obstacles};
use crate::model::ident::{Ident, TableName};
use crate::model::options::MigrateMode;
use crate::model::rights::Barred;
use crate::model::table::TableShape;

/// What a migration is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The table, schema-qualified.
    pub table: TableName,
    /// Steps of one transaction, in order.
    pub steps: Vec<Step>,
    /// Steps that follow it, each on its own, because Postgres demands so or others must not be held up.
    pub after: Vec<Step>,
    /// What was noticed and left as it is, one sentence each.
    pub notes: Vec<String>,
    /// Size of the table, where the plan depends on it.
    pub bytes: Option<u64>,
}

impl Plan {
    /// Whether the table fits as it is.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.after.is_empty()
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum NoPlan {
    /// A decision needs [`Depth`], which was not given.
    NeedsDepth,
    /// The change is not allowed or not possible.
    Refused(Refusal),
    /// The caller lacks the right to the change.
    Barred(BarredChange),
}

/// A change that the caller may not make.
#[derive(Clone, Debug, PartialEq)]
pub struct BarredChange {
    /// The table, schema-qualified.
    pub table: TableName,
    /// Why it would have to be changed.
    pub reason: String,
    /// Why the caller may not.
    pub why: Barred,
}

/// Everything that a plan depends on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The table that the stream wants.
    pub wanted: &'a TableShape,
    /// What there is.
    pub found: &'a Found,
    /// The closer look, once asked for.
    pub depth: Option<&'a Depth>,
    /// What is allowed.
    pub policy: &'a Policy,
    /// What the encoder can write.
    pub accepts: Option<&'a Accepts<'a>>,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("table", &self.found.name)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The plan that makes the found table take the wanted stream.
///
/// # Errors
/// [`NoPlan::NeedsDepth`] when asked without depth and it matters; else a refusal with every reason.
pub fn plan(input: &Input<'_>) -> Result<Plan, NoPlan> {
    let plan = plan_as_asked(input)?;
    let Some(why) = input.policy.barred.as_ref().filter(|_| !plan.is_empty()) else {
        return Ok(plan);
    };
    // What a load can do without is left out; the rest it may not do.
    let policy = Policy {
        mode: MigrateMode::Off,
        ..input.policy.clone()
    };
    match plan_as_asked(&Input {
        policy: &policy,
        ..*input
    }) {
        Ok(without) if without.is_empty() => Ok(without),
        Err(NoPlan::NeedsDepth) => Err(NoPlan::NeedsDepth),
        _ => Err(NoPlan::Barred(BarredChange {
            reason: told(&plan),
            table: plan.table,
            why: why.clone(),
        })),
    }
}

/// What a plan does, in words.
fn told(plan: &Plan) -> String {
    let steps = plan.steps.iter().chain(&plan.after);
    let words = steps.map(|step| format!("{}: {}", step.action.words(), step.reason));
    words.collect::<Vec<_>>().join("; ")
}

/// The plan of a caller who may change the table.
fn plan_as_asked(input: &Input<'_>) -> Result<Plan, NoPlan> {
    let mut planner = Planner::new(input);
    planner
        .reasons
        .extend(obstacles::to_writing(input.wanted, input.found, input.policy));
    for change in &diff(input.wanted, input.found, input.policy, input.accepts) {
        planner.change(change);
    }
    if let Some(loading) = &input.policy.loading {
        planner.notes.extend(loading::notes(input.found, loading));
    }
    if !planner.beyond_safe.is_empty() {
        planner.recreate();
    }
    planner.frame_views();
    if !(planner.steps.is_empty() && planner.after.is_empty()) {
        planner
            .reasons
            .extend(obstacles::to_changing(input.found, &planner.steps));
    }
    // Facts that were not there yet may have caused reasons, or hidden some.
    if planner.needs_depth {
        return Err(NoPlan::NeedsDepth);
    }
    if !planner.reasons.is_empty() {
        return Err(NoPlan::Refused(Refusal {
            table: input.found.name.clone(),
            reasons: planner.reasons,
        }));
    }
    let Planner {
        steps, after, notes, ..
    } = planner;
    Ok(Plan {
        table: input.found.name.clone(),
        steps,
        after,
        notes,
        bytes: input.depth.map(|depth| depth.bytes),
    })
}

struct Planner<'a> {
    input: &'a Input<'a>,
    steps: Vec<Step>,
    after: Vec<Step>,
    notes: Vec<String>,
    reasons: Vec<Reason>,
    /// Reasons that `forced` answers with a new table.
    beyond_safe: Vec<Reason>,
    /// Whether views are to be dropped before the steps and created again after them.
    recreates_views: bool,
    needs_depth: bool,
}

impl<'a> Planner<'a> {
    fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            steps: Vec::new(),
            after: Vec::new(),
            notes: Vec::new(),
            reasons: Vec::new(),
            beyond_safe: Vec::new(),
            recreates_views: false,
            needs_depth: false,
        }
    }

    fn mode(&self) -> MigrateMode {
        self.input.policy.mode
    }

    fn off(&self) -> bool {
        self.mode() == MigrateMode::Off
    }

    /// Whether values may be converted in place.
    fn converts(&self) -> bool {
        self.mode() == MigrateMode::Forced && self.input.policy.forced_strategy() == ForcedStrategy::Convert
    }

    fn table(&self) -> Option<&'a FoundTable> {
        self.input.found.table.as_ref()
    }

    fn step(&mut self, action: Action, reason: impl Into<String>) {
        self.steps.push(Step {
            action,
            reason: reason.into(),
        });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A reason that `forced` may answer with a new table, and every other mode with a refusal.
    fn impossible(&mut self, reason: Reason) {
        if self.mode() == MigrateMode::Forced {
            self.beyond_safe.push(reason);
        } else {
            self.reasons.push(reason);
        }
    }

    /// The closer look. Where it was not given, answers are provisional and the plan is asked for again with it.
    fn depth(&mut self) -> Depth {
        self.needs_depth |= self.input.depth.is_none();
        self.input.depth.cloned().unwrap_or_default()
    }

    /// Whether the table has no rows, or does not exist.
    fn is_empty(&mut self) -> bool {
        self.table().is_none() || self.depth().is_empty
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::CreateSchema => self.create_schema(),
            Change::CreateTable => self.create_table(),
            Change::AddColumn(column) => self.add_column(column),
            Change::ForbidsNull { column, absent } => self.forbids_null(column, *absent),
            Change::Type(change) => self.change_type(change),
            Change::NoKey { wanted, found } => self.no_key(wanted, found.as_ref()),
            Change::NotUnique(column) => self.not_unique(column),
            Change::UniqueNoMore { column, constraint } => {
                if !self.off() {
                    let reason = format!("the stream no longer declares column {column} unique");
                    self.step(Action::DropConstraint(constraint.clone()), reason);
                }
            }
            Change::NoComment(comment) => self.comment(None, comment),
            Change::NoColumnComment { column, comment } => self.comment(Some(column), comment),
            Change::NoPartition(partition) => {
                if !self.off() {
                    let reason = "a partition for the rows of that time should be ready";
                    self.step(Action::CreatePartition(partition.clone()), reason);
                }
            }
            Change::NoPerformanceIndex { name, invalid } => self.performance_index(name, *invalid),
        }
    }

    fn create_schema(&mut self) {
        let schema = &self.input.found.schema.name;
        if self.off() {
            let problem = format!("schema {schema} does not exist");
            self.reasons
                .push(Reason::table(problem, "create it, or use migrate_mode safe"));
        } else {
            self.step(
                Action::CreateSchema(schema.clone()),
                format!("schema {schema} does not exist"),
            );
        }
    }

    fn create_table(&mut self) {
        if self.off() {
            self.reasons.push(Reason::table(
                "the table does not exist",
                "create it, or use migrate_mode safe",
            ));
            return;
        }
        self.reasons
            .extend(obstacles::to_creating(self.input.wanted, &self.input.policy.create));
        self.create("the table does not exist");
    }

    fn create(&mut self, reason: &str) {
        let shape = self.input.wanted;
        let new = NewTable {
            shape: shape.clone(),
            options: self.input.policy.create.clone(),
        };
        self.step(Action::CreateTable(Box::new(new)), reason);
        const BROUGHT: &str = "the stream brings a comment";
        if let Some(comment) = &shape.comment {
            self.step(Action::CommentTable(comment.clone()), BROUGHT);
        }
        for column in &shape.columns {
            if let Some(comment) = &column.comment {
                let action = Action::CommentColumn {
                    column: column.name.clone(),
                    comment: comment.clone(),
                };
                self.step(action, BROUGHT);
            }
        }
    }

    fn comment(&mut self, column: Option<&Ident>, comment: &str) {
        // A comment is not worth a refusal, nor an attempt that our role's rights forbid.
        if self.off() || !self.table().is_some_and(|table| table.rights.owner) {
            return;
        }
        let action = match column {
            None => Action::CommentTable(comment.to_owned()),
            Some(column) => Action::CommentColumn {
                column: column.clone(),
                comment: comment.to_owned(),
            },
        };
        self.step(action, "the stream brings a comment");
    }
}

fn names_of<'a>(columns: impl IntoIterator<Item = &'a Ident>) -> String {
    columns.into_iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")
}
