//! SQL of deletions: stale rows in slices, records with what hangs below them. Pure text from typed names.
//!
//! Records and their descendants go in one statement of chained `WITH .. DELETE .. RETURNING`: one snapshot, one
//! transaction, and no list of ids ever leaves the server.

use crate::model::command::{DeleteRecords, Joiner, PredicateGroup};
use crate::model::ident::TableName;

/// Why records cannot be deleted as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeletePlanError {
    /// A group without conditions: it could mean every row or none.
    #[error("deleting records of {table}: condition group {group} is empty; leave it out or give it a condition")]
    EmptyGroup {
        /// The table.
        table: String,
        /// Position of the group, from 1.
        group: usize,
    },
    /// A relation hangs below a table that nothing was deleted from.
    #[error(
        "deleting records of {table}: relation {relation} hangs below {parent}, which is neither that table nor a relation before it; put parents before their children"
    )]
    UnknownParent {
        /// The table.
        table: String,
        /// The relation.
        relation: String,
        /// Its parent.
        parent: String,
    },
}

/// Name of the column that [`stale_slice`] answers last: how many rows it found.
pub const PICKED: &str = "pgflight_picked";

/// Deletes at most `rows` stale rows and answers with their number; `$1` is the source's name, `$2` the sync time. A row
/// that somebody changes between being found and being deleted stays, although it may still be stale, so what was found is
/// counted as well.
///
/// The conditions stand inside and outside: in a partitioned table a `ctid` names one row in every partition.
///
/// With `key`, an expression over the table's columns, the answer's second column is the array of the deleted rows' keys.
pub fn stale_slice(table: &TableName, rows: u32, key: Option<&str>) -> String {
    const STALE: &str = "\"_cq_source_name\" = $1 and \"_cq_sync_time\" < $2";
    let table = table.quoted();
    format!(
        "with p as materialized (select ctid from {table} where {STALE} limit {rows}), \
         d0 as (delete from {table} where ctid = any (array(select ctid from p)) and {STALE} returning 1{}) \
         select count(*){}, (select count(*) from p) as {PICKED} from d0",
        returning(key),
        key.map_or("", |_| ", array_agg(pgflight_key)")
    )
}

fn returning(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!(", {key} as pgflight_key"))
}

/// Deletes records and what hangs below them; answers with one number, the rows deleted in all tables.
///
/// Parameters are the predicates' values in order, through all groups. `keys` are expressions over the columns of the
/// table and of its relations, where there are some: for each there is one more column, the deleted rows' keys.
///
/// # Errors
/// [`DeletePlanError`].
pub fn records(command: &DeleteRecords, keys: &[Option<String>]) -> Result<String, DeletePlanError> {
    let key = |part: usize| keys.get(part).and_then(Option::as_deref);
    let mut parts = Vec::with_capacity(1 + command.relations.len());
    let returned = if command.relations.is_empty() {
        "1"
    } else {
        "\"_cq_id\""
    };
    let condition = condition(command)?;
    parts.push(format!(
        "d0 as (delete from {}{condition} returning {returned}{})",
        command.table.quoted(),
        returning(key(0))
    ));
    for (at, relation) in command.relations.iter().enumerate() {
        let parents = parents(command, at);
        if parents.is_empty() {
            return Err(DeletePlanError::UnknownParent {
                table: command.table.to_string(),
                relation: relation.table.to_string(),
                parent: relation.parent.to_string(),
            });
        }
        let ids: Vec<String> = parents
            .iter()
            .map(|parent| format!("select \"_cq_id\" from d{parent}"))
            .collect();
        parts.push(format!(
            "d{} as (delete from {} where \"_cq_parent_id\" in ({}) returning \"_cq_id\"{})",
            at + 1,
            relation.table.quoted(),
            ids.join(" union all "),
            returning(key(at + 1))
        ));
    }
    let counts: Vec<String> = (0..parts.len())
        .map(|part| format!("(select count(*) from d{part})"))
        .collect();
    let keyed = (0..parts.len()).filter(|part| key(*part).is_some());
    let arrays = keyed.map(|part| format!(", array(select pgflight_key from d{part})"));
    Ok(format!(
        "with {} select {}{}",
        parts.join(", "),
        counts.join(" + "),
        arrays.collect::<String>()
    ))
}

/// The deletions (numbered as in the statement) that relation `at` may hang below.
fn parents(command: &DeleteRecords, at: usize) -> Vec<usize> {
    let Some(relation) = command.relations.get(at) else {
        return Vec::new();
    };
    let above = command.relations.iter().take(at).enumerate();
    let mut parents: Vec<usize> = above
        .filter(|(_, above)| above.table == relation.parent)
        .map(|(at, _)| at + 1)
        .collect();
    if command.table == relation.parent {
        parents.insert(0, 0);
    }
    parents
}

fn condition(command: &DeleteRecords) -> Result<String, DeletePlanError> {
    let mut parameter = 0;
    let mut groups = Vec::with_capacity(command.groups.len());
    for (at, group) in command.groups.iter().enumerate() {
        if group.predicates.is_empty() {
            return Err(DeletePlanError::EmptyGroup {
                table: command.table.to_string(),
                group: at + 1,
            });
        }
        groups.push(group_text(group, &mut parameter));
    }
    Ok(match groups.is_empty() {
        true => String::new(),
        false => format!(" where {}", groups.join(" and ")),
    })
}

fn group_text(group: &PredicateGroup, parameter: &mut usize) -> String {
    let comparisons: Vec<String> = group
        .predicates
        .iter()
        .map(|predicate| {
            *parameter += 1;
            format!("{} = ${parameter}", predicate.column.quoted())
        })
        .collect();
    let joiner = match group.joiner {
        Joiner::All => " and ",
        Joiner::Any => " or ",
    };
    format!("({})", comparisons.join(joiner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::command::{Predicate, Relation};
    use crate::model::ident::Ident;
    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    fn table(name: &str) -> TableName {
        TableName::bare(Ident::new(name).unwrap())
    }

    fn group(joiner: Joiner, columns: &[&str]) -> PredicateGroup {
        let value = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let predicates = columns
            .iter()
            .map(|column| Predicate {
                column: Ident::new(*column).unwrap(),
                value: value.clone(),
            })
            .collect();
        PredicateGroup { joiner, predicates }
    }

    #[test]
    fn groups_are_joined_by_and_and_parameters_count_through() {
        let command = DeleteRecords {
            table: table("t"),
            groups: vec![group(Joiner::Any, &["a", "b"]), group(Joiner::All, &["c", "d\""])],
            relations: vec![],
        };
        assert_eq!(
            records(&command, &[]).unwrap(),
            "with d0 as (delete from \"t\" where (\"a\" = $1 or \"b\" = $2) and (\"c\" = $3 and \"d\"\"\" = $4) returning 1) \
             select (select count(*) from d0)"
        );
    }

    #[test]
    fn without_groups_every_row_goes_and_an_empty_group_is_refused() {
        let mut command = DeleteRecords {
            table: table("t"),
            groups: vec![],
            relations: vec![],
        };
        assert_eq!(
            records(&command, &[]).unwrap(),
            "with d0 as (delete from \"t\" returning 1) select (select count(*) from d0)"
        );
        command.groups = vec![group(Joiner::All, &["a"]), group(Joiner::Any, &[])];
        assert_eq!(
            records(&command, &[]).unwrap_err(),
            DeletePlanError::EmptyGroup {
                table: "t".into(),
                group: 2
            }
        );
    }

    #[test]
    fn relations_hang_below_the_table_or_an_earlier_relation() {
        let relation = |name: &str, parent: &str| Relation {
            table: table(name),
            parent: table(parent),
        };
        let mut command = DeleteRecords {
            table: table("t"),
            groups: vec![],
            relations: vec![relation("c", "t"), relation("g", "c")],
        };
        assert_eq!(
            records(&command, &[]).unwrap(),
            "with d0 as (delete from \"t\" returning \"_cq_id\"), \
             d1 as (delete from \"c\" where \"_cq_parent_id\" in (select \"_cq_id\" from d0) returning \"_cq_id\"), \
             d2 as (delete from \"g\" where \"_cq_parent_id\" in (select \"_cq_id\" from d1) returning \"_cq_id\") \
             select (select count(*) from d0) + (select count(*) from d1) + (select count(*) from d2)"
        );
        command.relations.swap(0, 1);
        let error = records(&command, &[]).unwrap_err().to_string();
        assert!(error.contains("relation g hangs below c"), "{error}");
    }

    #[test]
    fn a_slice_of_stale_rows_repeats_its_condition_outside() {
        assert_eq!(
            stale_slice(&table("T"), 10, None),
            "with p as materialized (select ctid from \"T\" where \"_cq_source_name\" = $1 and \"_cq_sync_time\" < $2 limit 10), \
             d0 as (delete from \"T\" where ctid = any (array(select ctid from p)) and \"_cq_source_name\" = $1 \
             and \"_cq_sync_time\" < $2 returning 1) select count(*), (select count(*) from p) as pgflight_picked from d0"
        );
    }
}
