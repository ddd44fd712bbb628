//! What a new table takes over from the one in whose stead it stands: comments, triggers, privileges, owner. Pure.

use super::{Planner, names_of};
use crate::model::ident::Ident;
use crate::planner::depth::Depth;
use crate::planner::found::FoundTable;
use crate::planner::step::Action;

const HAD: &str = "the old table had it";

impl Planner<'_> {
    /// Comments that the stream does not bring itself.
    pub(super) fn keep_comments(&mut self, table: &FoundTable) {
        let wanted = self.input.wanted;
        if let (None, Some(comment)) = (&wanted.comment, &table.comment) {
            self.step(Action::CommentTable(comment.clone()), HAD);
        }
        for column in &table.columns {
            let silent = wanted
                .column(&column.name)
                .is_some_and(|column| column.comment.is_none());
            if let (true, Some(comment)) = (silent, &column.comment) {
                let action = Action::CommentColumn {
                    column: column.name.clone(),
                    comment: comment.clone(),
                };
                self.step(action, HAD);
            }
        }
    }

    /// Triggers whose columns are all there. A function that a trigger runs may need others: that nobody can know here.
    pub(super) fn keep_triggers(&mut self, depth: &Depth) {
        let wanted = self.input.wanted;
        for trigger in &depth.triggers {
            let lacks: Vec<&Ident> = trigger
                .columns
                .iter()
                .filter(|column| wanted.column(column).is_none())
                .collect();
            if !lacks.is_empty() {
                let (name, lacks) = (&trigger.name, names_of(lacks));
                self.note(format!(
                    "trigger {name} was not created again: the new table has no {lacks}"
                ));
                continue;
            }
            self.step(Action::RecreateTrigger(trigger.definition.clone()), HAD);
            if let Some(state) = trigger.state {
                let name = trigger.name.clone();
                self.step(Action::SetTrigger { name, state }, "it fired so on the old table");
            }
        }
        if !depth.publications.is_empty() {
            let list = names_of(&depth.publications);
            self.note(format!(
                "the new table is not in these publications of the old one: {list}"
            ));
        }
        let functions: Vec<&str> = depth
            .users
            .iter()
            .map(|user| user.what.as_str())
            .filter(|what| what.starts_with("function "))
            .collect();
        if !functions.is_empty() {
            let list = functions.join(", ");
            self.note(format!("these go on using the old table: {list}"));
        }
    }

    /// Privileges and owner of the old table; last, because after that the table may be ours no more.
    pub(super) fn give_back(&mut self, table: &FoundTable, depth: &Depth) {
        let relation = &self.input.found.name;
        for grant in &depth.grants {
            let action = Action::Grant {
                relation: relation.clone(),
                grant: grant.clone(),
            };
            self.step(action, HAD);
        }
        for (column, grant) in &depth.column_grants {
            if self.input.wanted.column(column).is_some() {
                let (column, grant) = (column.clone(), grant.clone());
                self.step(Action::GrantColumn { column, grant }, HAD);
            }
        }
        if let (false, Ok(owner)) = (
            table.owner == self.input.found.server.role,
            Ident::new(table.owner.clone()),
        ) {
            self.step(
                Action::SetOwner {
                    relation: relation.clone(),
                    owner,
                },
                "the old table's owner",
            );
        }
    }
}
