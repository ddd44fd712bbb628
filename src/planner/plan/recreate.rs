//! `forced` where nothing in place helps: a new table in the old one's stead, with what can be kept of it. Pure.
//!
//! The old table is moved aside under a name with a time stamp, or dropped when the Go plugin's way was chosen. Views are
//! dropped and created again over the new table in the same transaction; CASCADE is never used.

use super::{Planner, names_of};
use crate::model::ident::Ident;
use crate::planner::depth::{Depth, View};
use crate::planner::diff::wants_performance_index;
use crate::planner::found::{FoundTable, RelationKind};
use crate::planner::names;
use crate::planner::policy::ForcedStrategy;
use crate::planner::refusal::Reason;
use crate::planner::step::{Action, Step};

impl Planner<'_> {
    /// Replaces all steps so far by those of a new table.
    pub(super) fn recreate(&mut self) {
        let Some(table) = self.table() else {
            return;
        };
        let depth = self.depth();
        let because = std::mem::take(&mut self.beyond_safe);
        if let Some(reason) = self.irreplaceable(table, &depth) {
            self.reasons.extend(because);
            self.reasons.push(reason);
            return;
        }
        let why: Vec<String> = because.iter().map(describe).collect();
        let why = why.join("; ");
        self.steps.clear();
        self.after.clear();
        self.recreates_views = !depth.views.is_empty();
        let old_indexes = self.out_of_the_way(table, &depth, &why);
        self.create(&why);
        self.keep_comments(table);
        self.steps.extend(old_indexes);
        self.reindex();
        self.keep_triggers(&depth);
        self.give_back(table, &depth);
    }

    /// Why the table cannot be replaced.
    fn irreplaceable(&mut self, table: &FoundTable, depth: &Depth) -> Option<Reason> {
        let part = table.is_partition || table.has_children || table.kind == RelationKind::Partitioned;
        if table.kind != RelationKind::Table || part || table.is_typed {
            let problem = format!("a new table cannot stand in for it, because it is {}", whole(table));
            return Some(Reason::table(problem, "change it yourself"));
        }
        if !table.referenced_by.is_empty() {
            let problem = format!(
                "a new table cannot stand in for it: foreign keys of {} point to it",
                table.referenced_by.join(", ")
            );
            return Some(Reason::table(
                problem,
                "drop those foreign keys, or change the table yourself",
            ));
        }
        if depth.row_security || depth.has_rules {
            let what = if depth.row_security {
                "row level security or policies"
            } else {
                "rewrite rules"
            };
            let problem = format!("a new table cannot stand in for it: it has {what}, which would be lost");
            return Some(Reason::table(problem, "drop them first, or change the table yourself"));
        }
        let wanted = self.input.wanted;
        for view in &depth.views {
            let lacks: Vec<&Ident> = view
                .columns
                .iter()
                .filter(|column| wanted.column(column).is_none())
                .collect();
            if !lacks.is_empty() {
                let problem = format!(
                    "view {} reads columns that the new table would not have: {}",
                    view.name,
                    names_of(lacks)
                );
                return Some(Reason::table(problem, "send these columns, or drop the view"));
            }
        }
        let problem = self.views_in_the_way(&depth.views)?;
        Some(Reason::table(problem, "drop those views first"))
    }

    /// Moves or drops the old table; returns the indexes that can be built again.
    fn out_of_the_way(&mut self, table: &FoundTable, depth: &Depth, why: &str) -> Vec<Step> {
        let wanted = self.input.wanted;
        let same_type = |column: &Ident| {
            let there = table.column(column).map(|there| &there.ty);
            wanted.column(column).map(|column| &column.ty) == there
        };
        let mut rebuilt = Vec::new();
        for index in depth.indexes.iter().filter(|index| !index.of_constraint) {
            if index.columns.iter().all(same_type) {
                let reason = format!("index {} of the old table still makes sense", index.name);
                rebuilt.push(Step {
                    action: Action::RecreateIndex(index.definition.clone()),
                    reason,
                });
            } else {
                self.note(format!(
                    "index {} was not built again: its columns are gone or of another type",
                    index.name
                ));
            }
        }
        if !depth.own_constraints.is_empty() {
            let list = names_of(&depth.own_constraints);
            self.note(format!(
                "check and foreign key constraints stayed with the old table: {list}"
            ));
        }
        if self.input.policy.forced_strategy() == ForcedStrategy::Drop {
            self.step(Action::DropTable, why);
            return rebuilt;
        }
        for index in &table.indexes {
            if let Some(to) = names::with_suffix(&index.name, &depth.stamp) {
                self.step(
                    Action::RenameIndex {
                        from: index.name.clone(),
                        to,
                    },
                    "its name is needed by the new table",
                );
            }
        }
        if let Some(to) = names::with_suffix(&table.name, &depth.stamp) {
            self.note(format!("the old table with its rows is now {to}"));
            self.step(Action::RenameTable(to), why);
        }
        rebuilt
    }

    /// CloudQuery's index, where the old table had none of that name.
    fn reindex(&mut self) {
        let Some(name) = wants_performance_index(self.input.wanted, &self.input.found.name.name, self.input.policy)
        else {
            return;
        };
        if !self
            .table()
            .is_some_and(|table| table.indexes.iter().any(|index| index.name == name))
        {
            self.index_now(&name);
        }
    }

    /// Puts the views out of the way before the steps and back after them.
    pub(super) fn frame_views(&mut self) {
        if !self.recreates_views || self.steps.is_empty() {
            return;
        }
        let views = self.depth().views;
        let role = self.input.found.server.role.clone();
        let down = views.iter().rev().map(|view| Step {
            action: Action::DropView(view.name.clone()),
            reason: "it depends on the table; it is created again below".to_owned(),
        });
        let steps: Vec<Step> = down.chain(std::mem::take(&mut self.steps)).collect();
        self.steps = steps;
        for view in &views {
            self.restore_view(view, &role);
        }
    }

    fn restore_view(&mut self, view: &View, role: &str) {
        let was = "the view as it was";
        self.step(Action::CreateView(Box::new(view.clone())), was);
        if let Some(comment) = &view.comment {
            self.step(
                Action::CommentView {
                    view: view.name.clone(),
                    comment: comment.clone(),
                },
                was,
            );
        }
        for grant in &view.grants {
            self.step(
                Action::Grant {
                    relation: view.name.clone(),
                    grant: grant.clone(),
                },
                was,
            );
        }
        if view.owner.as_str() != role {
            self.step(
                Action::SetOwner {
                    relation: view.name.clone(),
                    owner: view.owner.clone(),
                },
                was,
            );
        }
    }
}

fn whole(table: &FoundTable) -> &'static str {
    if table.is_partition {
        "a partition"
    } else if table.is_typed {
        "a typed table"
    } else if table.has_children && table.kind == RelationKind::Table {
        "inherited from"
    } else {
        table.kind.words()
    }
}

fn describe(reason: &Reason) -> String {
    match &reason.column {
        Some(column) => format!("column {column}: {}", reason.problem),
        None => reason.problem.clone(),
    }
}
