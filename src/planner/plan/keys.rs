//! Steps for primary keys, unique constraints and CloudQuery's index. Pure.

use super::{Planner, names_of};
use crate::model::ident::Ident;
use crate::planner::depth::PartitionPart;
use crate::planner::diff::STALE_COLUMNS;
use crate::planner::found::{FoundKey, RelationKind};
use crate::planner::names;
use crate::planner::refusal::Reason;
use crate::planner::step::{Action, Step};

impl Planner<'_> {
    pub(super) fn no_key(&mut self, wanted: &[Ident], found: Option<&FoundKey>) {
        let list = names_of(wanted);
        let reason = format!("rows are matched by ({list}), which no unique index is over");
        if self.off() {
            self.reasons.push(no_key_reason(&list));
            return;
        }
        if let Some(old) = found.filter(|_| self.moves_to_cq_id()) {
            self.move_to_cq_id(wanted, old);
            return;
        }
        match found {
            None if self.is_empty() || self.converts() => {
                let name = self.input.wanted.primary_key_name.clone();
                self.step(
                    Action::AddPrimaryKey {
                        name,
                        columns: wanted.to_vec(),
                    },
                    reason,
                );
            }
            Some(old) if self.converts() && self.table().is_some_and(|table| table.referenced_by.is_empty()) => {
                let name = old.constraint.clone();
                self.steps.extend(name.iter().map(|name| Step {
                    action: Action::DropConstraint(name.clone()),
                    reason: format!("the key was ({})", names_of(&old.column_names())),
                }));
                self.step(
                    Action::AddPrimaryKey {
                        name,
                        columns: wanted.to_vec(),
                    },
                    reason,
                );
                self.relax_old_key(wanted, old);
            }
            _ => self.impossible(no_key_reason(&list)),
        }
    }

    /// Whether the stream's key is `_cq_id` alone and the table's key is made of other columns: the one change of key that
    /// the Go plugin makes by itself.
    fn moves_to_cq_id(&self) -> bool {
        let key = &self.input.wanted.primary_key;
        let old = self.table().and_then(|table| table.primary_key());
        self.input.policy.is_cq_id_key(key)
            && !self.off()
            && old.is_some_and(|old| !old.columns.iter().flatten().any(|column| key.contains(column)))
    }

    /// Whether `column` is of a key that is about to be given up for `_cq_id`.
    pub(super) fn moves_key_from(&self, column: &Ident) -> bool {
        self.moves_to_cq_id() && self.table().is_some_and(|table| table.in_primary_key(column))
    }

    fn move_to_cq_id(&mut self, wanted: &[Ident], old: &FoundKey) {
        let name = old.constraint.clone().unwrap_or_else(|| old.name.clone());
        self.step(Action::DropConstraint(name.clone()), "the key moves to _cq_id");
        self.step(
            Action::AddPrimaryKey {
                name: Some(name),
                columns: wanted.to_vec(),
            },
            "the key moves to _cq_id",
        );
        self.relax_old_key(wanted, old);
    }

    /// Columns of a key that was given up keep its NOT NULL, which the stream may not.
    fn relax_old_key(&mut self, wanted: &[Ident], old: &FoundKey) {
        for column in old.column_names().into_iter().filter(|column| !wanted.contains(column)) {
            let nullable = self.input.wanted.column(&column).is_none_or(|column| column.nullable);
            let identity = self
                .table()
                .and_then(|table| table.column(&column))
                .is_some_and(|c| c.identity.is_some());
            if nullable && !identity {
                self.step(Action::DropNotNull(column), "it was NOT NULL for the old key only");
            }
        }
    }

    pub(super) fn not_unique(&mut self, column: &Ident) {
        let kind = self.table().map(|table| table.kind);
        let in_partition_key = self
            .table()
            .is_some_and(|table| table.partition_columns[..] == [column.clone()]);
        // Postgres wants the partition key in every unique constraint, and builds none of them beside writers.
        let partitioned = kind == Some(RelationKind::Partitioned);
        if self.off() || (partitioned && !(in_partition_key && self.is_empty())) {
            self.note(format!(
                "column {column} is unique to the stream, and the table has no such constraint"
            ));
        } else if self.is_empty() {
            self.step(Action::AddUnique(column.clone()), "the stream declares it unique");
        } else if self.input.policy.profile == crate::model::options::TypeProfile::Cloudquery {
            // As the Go plugin: uniqueness of a filled table is not added, and not worth failing a sync for.
            self.note(format!(
                "column {column} is unique to the stream, and the table with rows has no such constraint"
            ));
        } else {
            self.unique_after(column);
        }
    }

    /// Builds the index beside the writers and then makes it a constraint.
    fn unique_after(&mut self, column: &Ident) {
        let table = &self.input.found.name.name;
        let Some(name) = names::object_name(table, Some(column), "key") else {
            return;
        };
        let reason = "the stream declares it unique";
        self.index_after(&name, vec![column.clone()], true, reason);
        self.after.push(Step {
            action: Action::AddUniqueUsing(name),
            reason: reason.to_owned(),
        });
    }

    pub(super) fn performance_index(&mut self, name: &Ident, invalid: bool) {
        let partitioned = self
            .table()
            .is_some_and(|table| table.kind == RelationKind::Partitioned);
        if self.off() || !self.table().is_none_or(|table| table.rights.owner) {
            self.note(format!("index {name} is missing"));
        } else if self.is_empty() && !invalid {
            self.index_now(name);
        } else if partitioned {
            self.index_partitions(name, invalid);
        } else {
            self.index_after(name, stale_columns(), false, STALE);
        }
    }

    /// The index of a partitioned table with rows, partition by partition, since CONCURRENTLY is not offered for the whole.
    /// One that was left half-way (`begun`) is finished.
    fn index_partitions(&mut self, name: &Ident, begun: bool) {
        let partitions = self.depth().partitions;
        if let Some(odd) = partitions.iter().find(|partition| !partition.is_table) {
            let odd = &odd.name;
            self.note(format!(
                "index {name} is missing; partition {odd} is partitioned itself or foreign, so it is yours to build"
            ));
            return;
        }
        let after = |planner: &mut Self, action: Action, reason: &str| {
            let reason = reason.to_owned();
            planner.after.push(Step { action, reason });
        };
        if !begun {
            let (name, columns) = (name.clone(), stale_columns());
            after(self, Action::CreateIndexOnly { name, columns }, STALE);
        }
        for PartitionPart {
            name: partition,
            indexes,
            ..
        } in partitions
        {
            let attached = indexes.iter().any(|index| index.part_of.as_ref() == Some(name));
            let Some(part) = names::performance_index(&partition.name).filter(|_| !attached) else {
                continue;
            };
            let there = indexes.iter().find(|index| index.name == part);
            if there.is_some_and(|index| !index.valid) {
                let (partition, name) = (partition.clone(), part.clone());
                after(self, Action::DropPartIndex { partition, name }, LEFTOVER);
            }
            if !there.is_some_and(|index| index.valid) {
                let (partition, name, columns) = (partition.clone(), part.clone(), stale_columns());
                after(
                    self,
                    Action::CreatePartIndex {
                        partition,
                        name,
                        columns,
                    },
                    STALE,
                );
            }
            let index = name.clone();
            after(
                self,
                Action::AttachIndex { index, partition, part },
                "the table's index is that of its partitions",
            );
        }
    }

    /// CloudQuery's index, in the transaction that creates the table or finds it empty.
    pub(super) fn index_now(&mut self, name: &Ident) {
        let action = Action::CreateIndex {
            name: name.clone(),
            columns: stale_columns(),
            unique: false,
            concurrently: false,
        };
        self.step(action, STALE);
    }

    fn index_after(&mut self, name: &Ident, columns: Vec<Ident>, unique: bool, reason: &str) {
        let there = self
            .table()
            .and_then(|table| table.indexes.iter().find(|index| index.name == *name));
        if there.is_some_and(|index| !index.valid) {
            let action = Action::DropIndex {
                name: name.clone(),
                concurrently: true,
            };
            self.after.push(Step {
                action,
                reason: LEFTOVER.to_owned(),
            });
        }
        let action = Action::CreateIndex {
            name: name.clone(),
            columns,
            unique,
            concurrently: true,
        };
        self.after.push(Step {
            action,
            reason: reason.to_owned(),
        });
    }
}

const LEFTOVER: &str = "an earlier build of it failed and left it invalid";
const STALE: &str = "deleting stale rows looks for a source's older rows";

fn stale_columns() -> Vec<Ident> {
    STALE_COLUMNS.iter().filter_map(|name| Ident::new(*name).ok()).collect()
}

fn no_key_reason(list: &str) -> Reason {
    let problem = format!("rows are matched by ({list}), and no unique index is exactly over these columns");
    Reason::table(
        problem,
        format!("create unique index concurrently on it over ({list}), or name a key that has one"),
    )
}
