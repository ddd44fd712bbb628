//! Steps for columns: missing ones, types, NOT NULL. Pure.

use super::{Planner, names_of};
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::ColumnShape;
use crate::planner::depth::View;
use crate::planner::diff::TypeChange;
use crate::planner::policy::RewritePolicy;
use crate::planner::refusal::Reason;
use crate::planner::rules::{Fit, Widening};
use crate::planner::step::{Action, SetType};

impl Planner<'_> {
    pub(super) fn add_column(&mut self, column: &ColumnShape) {
        if self.off() {
            let remedy = "add it, leave it out of the stream, or use migrate_mode safe";
            self.reasons
                .push(Reason::column(&column.name, "the table has no such column", remedy));
            return;
        }
        if !column.nullable && !self.is_empty() {
            let problem = format!("new column of type {} is NOT NULL and the table has rows", column.ty);
            let remedy =
                "send the field as nullable, add the column with a default yourself, or use migrate_mode forced";
            self.impossible(Reason::column(&column.name, problem, remedy));
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

    pub(super) fn forbids_null(&mut self, column: &Ident, absent: bool) {
        let there = self.table().and_then(|table| table.column(column));
        let own = there.is_some_and(|there| there.not_null && !there.inherited);
        let in_key = self.table().is_some_and(|table| table.in_primary_key(column));
        if self.moves_key_from(column) {
            return; // the key's move takes care of it
        }
        let relaxes = !self.off() && own && !in_key && (absent || self.input.policy.relaxes_not_null());
        if relaxes {
            let why = if absent {
                "the stream does not carry it and nothing else fills it"
            } else {
                "the stream declares it nullable"
            };
            self.step(Action::DropNotNull(column.clone()), why);
        } else if absent {
            let problem = "it takes no NULL, has no default, and the stream does not carry it";
            let remedy = if self.off() && !in_key {
                "send the column, give it a default, or use migrate_mode safe"
            } else {
                "send the column, or give it a default"
            };
            self.impossible(Reason::column(column, problem, remedy));
        } else {
            self.note(format!(
                "column {column} takes no NULL: a row with NULL there will be refused"
            ));
        }
    }

    pub(super) fn change_type(&mut self, change: &TypeChange) {
        match &change.fit {
            _ if self.off() => self.keep_type(change),
            Fit::Widen(widening) => self.widen(change, widening),
            Fit::AddLabels(labels) => {
                for label in labels {
                    let action = Action::AddEnumLabel {
                        ty: change.from.clone(),
                        label: label.clone(),
                    };
                    self.step(action, format!("the enum of column {} lacks the label", change.column));
                }
            }
            Fit::Holds | Fit::Differs => self.keep_type(change),
        }
    }

    fn widen(&mut self, change: &TypeChange, widening: &Widening) {
        let TypeChange {
            column, from, wanted, ..
        } = change;
        let to = &widening.to;
        let depth = self.depth();
        if widening.rewrites && !self.input.policy.allows_rewrite(depth.bytes) {
            let problem = format!(
                "widening {from} to {to} rewrites the table ({} bytes) under an exclusive lock",
                depth.bytes
            );
            let remedy = if self.input.policy.rewrite == RewritePolicy::Never {
                "set migrate_rewrite: allow, or widen it yourself"
            } else {
                "set migrate_rewrite: allow, use migrate_mode forced, or widen it yourself"
            };
            self.reasons.push(Reason::column(column, problem, remedy));
            return;
        }
        if let (Ok(()), Some(stuck)) = (&change.as_it_is, self.stuck(column)) {
            let problem = stuck.problem;
            self.note(format!(
                "column {column} stays {from}, and each value of type {wanted} is checked: {problem}"
            ));
            return;
        }
        let reason = format!("the stream brings {wanted}, the column is {from}; {to} holds both");
        self.set_type(change, to, widening.rewrites, false, &reason);
    }

    /// Changes a type, with the views over the column out of the way where that is allowed.
    fn set_type(&mut self, change: &TypeChange, to: &PgType, rewrites: bool, through_text: bool, reason: &str) {
        let column = &change.column;
        if let Some(stuck) = self.stuck(column) {
            self.impossible(stuck);
            return;
        }
        let there = self.table().and_then(|table| table.column(column));
        let collation = there.and_then(|there| there.collation.clone()).filter(|_| is_text(to));
        let change = SetType {
            collation,
            column: column.clone(),
            from: change.from.clone(),
            to: to.clone(),
            rewrites,
            through_text,
        };
        self.step(Action::SetType(change), reason);
    }

    /// Why a column's type cannot change; drops nothing, but marks the views that will have to be re-created.
    fn stuck(&mut self, column: &Ident) -> Option<Reason> {
        let depth = self.depth();
        let table = self.table()?;
        if table.partition_columns.contains(column) {
            let problem = "its type would have to change, and it is part of the partition key";
            return Some(Reason::column(column, problem, "send a type that fits"));
        }
        if table.column(column).is_some_and(|there| there.inherited) {
            let problem = "its type would have to change, and it is inherited";
            return Some(Reason::column(
                column,
                problem,
                "change the parent table, or write to it",
            ));
        }
        let users: Vec<&str> = depth
            .users
            .iter()
            .filter(|user| user.column == *column)
            .map(|user| user.what.as_str())
            .collect();
        if !users.is_empty() {
            let problem = format!("its type would have to change, and it is used by {}", users.join(", "));
            return Some(Reason::column(column, problem, "drop those, or send a type that fits"));
        }
        depth.views_over(column).next()?;
        self.views_in_the_way(&depth.views).map(|problem| {
            Reason::column(
                column,
                format!("its type would have to change, and {problem}"),
                "drop those views first, or use migrate_mode forced, which re-creates views that it can",
            )
        })
    }

    /// Why views cannot be taken out of the way; `None` once they are scheduled to be dropped and created again.
    pub(super) fn views_in_the_way(&mut self, views: &[View]) -> Option<String> {
        if self.mode() != crate::model::options::MigrateMode::Forced {
            return Some(format!(
                "these views depend on it: {}",
                names_of(views.iter().map(|view| &view.name.name))
            ));
        }
        let kept: Vec<String> = views
            .iter()
            .filter_map(|view| {
                view.keeps_from_recreating()
                    .map(|why| format!("view {} {why}", view.name))
            })
            .collect();
        if kept.is_empty() {
            self.recreates_views = true;
            return None;
        }
        Some(kept.join(", "))
    }

    /// The column stays as it is, is converted, or refuses the stream.
    fn keep_type(&mut self, change: &TypeChange) {
        let TypeChange {
            column, from, wanted, ..
        } = change;
        match &change.as_it_is {
            Ok(()) => self.note(format!(
                "column {column} stays {from}: each value of type {wanted} is checked"
            )),
            Err(_) if self.converts() => self.convert(change),
            Err(why) => {
                let problem = format!("the stream brings {wanted}, the column is {from}: {why}");
                let remedy = if self.off() {
                    "send a type that fits, or use migrate_mode safe"
                } else {
                    "send a type that fits, or use migrate_mode forced"
                };
                self.impossible(Reason::column(column, problem, remedy));
            }
        }
    }

    fn convert(&mut self, change: &TypeChange) {
        let TypeChange {
            column, from, wanted, ..
        } = change;
        let there = self.table().and_then(|table| table.column(column));
        if there.is_some_and(|there| there.default.is_some() || there.identity.is_some()) {
            let problem = format!("the column is {from} with a default, which would not survive becoming {wanted}");
            self.impossible(Reason::column(column, problem, "drop the default"));
            return;
        }
        if self.input.policy.rewrite == RewritePolicy::Never {
            let problem =
                format!("converting {from} to {wanted} rewrites the table, which migrate_rewrite: never forbids");
            self.impossible(Reason::column(column, problem, "set migrate_rewrite: allow"));
            return;
        }
        let reason = format!("the stream brings {wanted}, the column is {from}");
        self.lock_once();
        self.step(
            Action::CheckConvertible {
                column: column.clone(),
                to: wanted.clone(),
            },
            reason.clone(),
        );
        self.set_type(change, wanted, true, true, &reason);
    }

    fn lock_once(&mut self) {
        if !self.steps.iter().any(|step| step.action == Action::LockTable) {
            self.step(
                Action::LockTable,
                "no value may change between the check and the conversion",
            );
        }
    }
}

/// Whether values have a collation.
fn is_text(ty: &PgType) -> bool {
    match ty {
        PgType::Array(element) => is_text(element),
        PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Citext(_) => true,
        _ => false,
    }
}
