//! From differences to steps, or to a refusal that names every reason at once. Pure: the same input, the same plan.

use super::diff::{Accepts, Change, TypeChange, diff};
use super::found::{Found, FoundTable, RelationKind};
use super::obstacles;
use super::policy::Policy;
use super::refusal::{Reason, Refusal};
use super::rules::Fit;
use super::step::{Action, NewTable, Step};
use crate::model::ident::{Ident, TableName};
use crate::model::options::MigrateMode;
use crate::model::table::{ColumnShape, TableShape};

/// What a migration is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The table, schema-qualified.
    pub table: TableName,
    /// Steps in order; empty when the table fits.
    pub steps: Vec<Step>,
    /// What was noticed and left as it is, one sentence each.
    pub notes: Vec<String>,
}

/// Facts that only some changes need, because finding them out costs a look at the relation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Whether the table has no row.
    pub is_empty: bool,
    /// Size with indexes and TOAST, of all partitions.
    pub bytes: u64,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum NoPlan {
    /// A decision needs [`Depth`], which was not given.
    NeedsDepth,
    /// The change is not allowed or not possible.
    Refused(Refusal),
}

/// Everything that a plan depends on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The table that the stream wants.
    pub wanted: &'a TableShape,
    /// What there is.
    pub found: &'a Found,
    /// Closer facts, once asked for.
    pub depth: Option<Depth>,
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
    let mut planner = Planner {
        input,
        steps: Vec::new(),
        notes: Vec::new(),
        reasons: Vec::new(),
        needs_depth: false,
    };
    planner
        .reasons
        .extend(obstacles::to_writing(input.wanted, input.found, input.policy));
    let changes = diff(input.wanted, input.found, input.policy, input.accepts);
    for change in &changes {
        planner.change(change);
    }
    if !planner.steps.is_empty() {
        planner
            .reasons
            .extend(obstacles::to_changing(input.found, &planner.steps));
    }
    if !planner.reasons.is_empty() {
        let refusal = Refusal {
            table: input.found.name.clone(),
            reasons: planner.reasons,
        };
        return Err(NoPlan::Refused(refusal));
    }
    if planner.needs_depth {
        return Err(NoPlan::NeedsDepth);
    }
    Ok(Plan {
        table: input.found.name.clone(),
        steps: planner.steps,
        notes: planner.notes,
    })
}

struct Planner<'a> {
    input: &'a Input<'a>,
    steps: Vec<Step>,
    notes: Vec<String>,
    reasons: Vec<Reason>,
    needs_depth: bool,
}

impl Planner<'_> {
    fn off(&self) -> bool {
        self.input.policy.mode == MigrateMode::Off
    }

    fn table(&self) -> Option<&FoundTable> {
        self.input.found.table.as_ref()
    }

    fn step(&mut self, action: Action, reason: impl Into<String>) {
        self.steps.push(Step {
            action,
            reason: reason.into(),
        });
    }

    /// The facts from a closer look; without them every answer is provisional and the plan is asked for again.
    fn depth(&mut self) -> Depth {
        self.needs_depth |= self.input.depth.is_none();
        self.input.depth.unwrap_or(Depth {
            is_empty: true,
            bytes: 0,
        })
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::CreateSchema => self.create_schema(),
            Change::CreateTable => self.create_table(),
            Change::AddColumn(column) => self.add_column(column),
            Change::ForbidsNull { column, absent } => self.forbids_null(column, *absent),
            Change::Type(change) => self.change_type(change),
            Change::NoKey { wanted, .. } => self.no_key(wanted),
            Change::NotUnique(column) => self.not_unique(column),
            Change::UniqueNoMore { column, constraint } => {
                if !self.off() {
                    let reason = format!("the stream no longer declares column {column} unique");
                    self.step(Action::DropConstraint(constraint.clone()), reason);
                }
            }
            Change::NoComment(comment) => self.comment(None, comment),
            Change::NoColumnComment { column, comment } => self.comment(Some(column), comment),
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
        let shape = self.input.wanted;
        let table = NewTable {
            shape: shape.clone(),
            options: self.input.policy.create.clone(),
        };
        self.step(Action::CreateTable(Box::new(table)), "the table does not exist");
        if let Some(comment) = &shape.comment {
            self.step(Action::CommentTable(comment.clone()), "the stream brings a comment");
        }
        for column in &shape.columns {
            if let Some(comment) = &column.comment {
                let action = Action::CommentColumn {
                    column: column.name.clone(),
                    comment: comment.clone(),
                };
                self.step(action, "the stream brings a comment");
            }
        }
    }

    fn add_column(&mut self, column: &ColumnShape) {
        if self.off() {
            let remedy = "add it, leave it out of the stream, or use migrate_mode safe";
            self.reasons
                .push(Reason::column(&column.name, "the table has no such column", remedy));
            return;
        }
        if !column.nullable && !self.depth().is_empty {
            let problem = format!("new column of type {} is NOT NULL and the table has rows", column.ty);
            let remedy =
                "send the field as nullable, add the column with a default yourself, or use migrate_mode forced";
            self.reasons.push(Reason::column(&column.name, problem, remedy));
            return;
        }
        self.step(Action::AddColumn(column.clone()), "the table has no such column");
        if let Some(comment) = &column.comment {
            let action = Action::CommentColumn {
                column: column.name.clone(),
                comment: comment.clone(),
            };
            self.step(action, "the stream brings a comment");
        }
    }

    fn forbids_null(&mut self, column: &Ident, absent: bool) {
        let relaxes = absent || self.input.policy.relaxes_not_null();
        let own = self
            .table()
            .and_then(|table| table.column(column))
            .is_some_and(|there| there.not_null);
        let in_key = self.table().is_some_and(|table| table.in_primary_key(column));
        if !relaxes {
            let note = format!(
                "column {column} is NOT NULL and the stream's field is nullable: a row with NULL there will be refused"
            );
            self.notes.push(note);
        } else if own && !in_key && !self.off() {
            let why = if absent {
                "the stream does not carry it and nothing fills it"
            } else {
                "the stream declares it nullable"
            };
            self.step(Action::DropNotNull(column.clone()), why);
        } else if absent {
            let problem = "it takes no NULL, has no default, and the stream does not carry it";
            let remedy = if in_key {
                "send the column, or give it a default"
            } else {
                "send the column, give it a default, or use migrate_mode safe"
            };
            self.reasons.push(Reason::column(column, problem, remedy));
        } else {
            self.notes.push(format!(
                "column {column} takes no NULL: a row with NULL there will be refused"
            ));
        }
    }

    fn change_type(&mut self, change: &TypeChange) {
        let (from, column) = (&change.from, &change.column);
        let widening = match &change.fit {
            _ if self.off() => None,
            Fit::Widen(widening) => Some(widening.clone()),
            Fit::AddLabels(labels) => {
                for label in labels {
                    let action = Action::AddEnumLabel {
                        ty: change.from.clone(),
                        label: label.clone(),
                    };
                    self.step(action, format!("enum of column {column} lacks the label"));
                }
                return;
            }
            Fit::Holds | Fit::Differs => None,
        };
        if let Some(widening) = widening {
            let bytes = if widening.rewrites { self.depth().bytes } else { 0 };
            if self.input.policy.allows_rewrite(bytes) {
                let reason = format!(
                    "the stream brings {}, the column is {from}; {} holds both",
                    change.wanted, widening.to
                );
                let action = Action::SetType {
                    column: column.clone(),
                    from: from.clone(),
                    to: widening.to,
                    rewrites: widening.rewrites,
                };
                self.step(action, reason);
            } else {
                let problem = format!(
                    "widening {from} to {} rewrites the table ({bytes} bytes) under an exclusive lock",
                    widening.to
                );
                let remedy = "set migrate_rewrite: allow, use migrate_mode forced, or widen it yourself";
                self.reasons.push(Reason::column(column, problem, remedy));
            }
            return;
        }
        match &change.as_it_is {
            Ok(()) => self.notes.push(format!(
                "column {column} stays {from}: each value of type {} is checked",
                change.wanted
            )),
            Err(why) => {
                let problem = format!("the stream brings {}, the column is {from}: {why}", change.wanted);
                let remedy = if self.off() {
                    "send a type that fits, or use migrate_mode safe"
                } else {
                    "send a type that fits, or use migrate_mode forced"
                };
                self.reasons.push(Reason::column(column, problem, remedy));
            }
        }
    }

    fn comment(&mut self, column: Option<&Ident>, comment: &str) {
        // A comment is not worth a refusal, nor an attempt that our role's rights forbid.
        let alone = self.steps.is_empty() && !self.table().is_some_and(|table| table.rights.owner);
        if self.off() || alone {
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

    fn no_key(&mut self, wanted: &[Ident]) {
        let list = names_of(wanted);
        let problem = format!("no unique index is exactly over the key ({list})");
        let remedy = format!("create unique index concurrently on it over ({list}), or name a key that has one");
        self.reasons.push(Reason::table(problem, remedy));
    }

    fn not_unique(&mut self, column: &Ident) {
        self.notes.push(format!(
            "column {column} is unique to the stream, the table has no such constraint"
        ));
    }

    fn performance_index(&mut self, _name: &Ident, _invalid: bool) {
        self.notes.push("performance indexes are not built yet".to_owned());
    }
}

fn names_of(columns: &[Ident]) -> String {
    columns.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")
}

/// Whether DDL can change a relation of that kind.
pub(super) fn is_alterable(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::Table | RelationKind::Partitioned)
}
