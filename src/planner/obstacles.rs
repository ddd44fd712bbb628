//! What stands in the way of writing to a relation, or of changing it, whatever the mode. Pure.

use super::found::{Found, FoundColumn, FoundKey, FoundTable, RelationKind};
use super::loading;
use super::policy::{CreateOptions, Policy};
use super::refusal::Reason;
use super::step::{Action, Step};
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TableShape;

/// Why rows of that shape cannot be written there at all.
pub(super) fn to_writing(wanted: &TableShape, found: &Found, policy: &Policy) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if found.server.in_recovery {
        let remedy = "connect to the primary, e.g. with target_session_attrs=read-write";
        reasons.push(Reason::table("the server is a standby and takes no writes", remedy));
    } else if found.server.read_only {
        let problem = format!(
            "the server is a primary, and sessions of role {} in database {} are read-only (default_transaction_read_only)",
            found.server.role, found.server.database
        );
        reasons.push(Reason::table(problem, READ_WRITE));
    }
    // `search_path` may lead there without a name that could be refused before.
    if found.schema.name.as_str().starts_with("pg_temp") {
        let problem = "it would be a temporary table, which vanishes with the session that made it";
        reasons.push(Reason::bad_request(problem, "name another schema"));
    }
    let has_key = found.table.as_ref().is_some_and(|table| table.primary_key().is_some());
    if policy.needs_key && wanted.primary_key.is_empty() && !has_key {
        let problem = "overwrite needs a key to match rows by, and neither the stream nor the table names one";
        let remedy = "name its columns with the option primary_key, or use write_mode append";
        reasons.push(Reason::bad_request(problem, remedy));
    }
    if let Some(loading) = &policy.loading {
        reasons.extend(loading::obstacles(wanted, found, loading));
    }
    let Some(table) = &found.table else {
        return reasons;
    };
    reasons.extend(kind(table));
    for column in &wanted.columns {
        if table
            .column(&column.name)
            .is_some_and(|there| there.generated.is_some())
        {
            let problem = "it is a generated column, which Postgres computes itself";
            reasons.push(Reason::column(&column.name, problem, "leave it out of the stream"));
        }
    }
    reasons.extend(missing_rights(wanted, found, table, policy));
    if table.row_security {
        let problem = format!(
            "row level security applies to role {}, and COPY FROM does not work with it",
            found.server.role
        );
        reasons.push(Reason::table(
            problem,
            "use a role with BYPASSRLS, or the table's owner without FORCE",
        ));
    }
    reasons
}

/// How sessions that take no writes are made to.
pub const READ_WRITE: &str = "run alter role or alter database .. reset default_transaction_read_only, or add options=-cdefault_transaction_read_only=off to connection_string";

/// Privileges on the columns that rows are written to, granted for each of them or for the table.
fn missing_rights(wanted: &TableShape, found: &Found, table: &FoundTable, policy: &Policy) -> Option<Reason> {
    let key = match wanted.primary_key.is_empty() {
        true => table.primary_key().map(FoundKey::column_names).unwrap_or_default(),
        false => wanted.primary_key.clone(),
    };
    let written: Vec<&FoundColumn> = wanted
        .columns
        .iter()
        .filter_map(|column| table.column(&column.name))
        .collect();
    let lacking = |lacks: &dyn Fn(&FoundColumn) -> bool| -> Vec<&FoundColumn> {
        written.iter().copied().filter(|column| lacks(column)).collect()
    };
    let is_key = |column: &FoundColumn| key.contains(&column.name);
    let missing: Vec<String> = [
        ("INSERT", lacking(&|column| !column.rights.insert)),
        // What rows are matched by is not written where they match.
        (
            "UPDATE",
            lacking(&|column| policy.needs_key && !is_key(column) && !column.rights.update),
        ),
        // Postgres asks for it also where only the value that comes is read (`excluded`).
        ("SELECT", lacking(&|column| policy.needs_key && !column.rights.select)),
    ]
    .into_iter()
    .filter(|(_, columns)| !columns.is_empty())
    .map(
        |(privilege, columns)| match table.columns.iter().any(|column| of(column, privilege)) {
            false => privilege.to_owned(),
            true => {
                let names: Vec<String> = columns.iter().map(|column| column.name.quoted()).collect();
                format!("{privilege} ({})", names.join(", "))
            }
        },
    )
    .collect();
    if missing.is_empty() {
        return None;
    }
    let (list, role) = (missing.join(", "), &found.server.role);
    Some(Reason::denied(
        format!("role {role} lacks the privilege {list} on it"),
        format!("grant {list} on table {} to {role}", found.name),
    ))
}

fn of(column: &FoundColumn, privilege: &str) -> bool {
    match privilege {
        "INSERT" => column.rights.insert,
        "UPDATE" => column.rights.update,
        _ => column.rights.select,
    }
}

fn kind(table: &FoundTable) -> Option<Reason> {
    let writable_view =
        table.kind == RelationKind::View && table.triggers.iter().any(|trigger| trigger.is_instead_of_insert());
    let remedy = match table.kind {
        RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => return None,
        RelationKind::View if writable_view => return None,
        RelationKind::View => "write to the table below it, or give it an INSTEAD OF INSERT trigger",
        RelationKind::MaterializedView => "write to a table below it",
        RelationKind::NotATable(_) => "use another table name",
    };
    Some(Reason::table(format!("it is {}", table.kind.words()), remedy))
}

/// Why the relation, or the schema it would be in, cannot be changed by these steps.
pub(super) fn to_changing(found: &Found, steps: &[Step]) -> Vec<Reason> {
    let role = &found.server.role;
    let Some(table) = &found.table else {
        let schema = &found.schema;
        let (problem, remedy) = if !schema.exists && !found.server.can_create_schema {
            let database = &found.server.database;
            (
                format!("role {role} may not create schema {}", schema.name),
                format!("create the schema, or grant create on database {database} to {role}"),
            )
        } else if schema.exists && !schema.can_create {
            (
                format!("role {role} may not create tables in schema {}", schema.name),
                format!("grant usage, create on schema {} to {role}", schema.name),
            )
        } else {
            return Vec::new();
        };
        return vec![Reason::denied(problem, remedy)];
    };
    let mut reasons = Vec::new();
    if !matches!(table.kind, RelationKind::Table | RelationKind::Partitioned) {
        let problem = format!("it is {} and would have to be changed", table.kind.words());
        reasons.push(Reason::table(
            problem,
            "change it yourself, so that the stream's columns fit",
        ));
    } else if !table.rights.owner {
        let problem = format!("it would have to be changed, and role {role} is not its owner");
        let remedy = format!(
            "change it as its owner {} and use migrate_mode off, or, where that is no superuser, make {role} a member of it",
            table.owner
        );
        reasons.push(Reason::denied(problem, remedy));
    }
    let adds = steps.iter().any(|step| matches!(step.action, Action::AddColumn(_)));
    if table.is_partition && adds {
        let problem = "it is a partition, and columns can only be added to its partitioned table";
        reasons.push(Reason::table(
            problem,
            "write to the partitioned table, or add the columns there",
        ));
    } else if table.is_typed && adds {
        reasons.push(Reason::table(
            "it is a typed table, whose columns are those of its type",
            "alter the type",
        ));
    }
    reasons
}

/// Why a table cannot be created with these options.
pub(super) fn to_creating(wanted: &TableShape, options: &CreateOptions) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if options.fillfactor.is_some_and(|percent| !(10..=100).contains(&percent)) {
        reasons.push(Reason::table(
            "fillfactor is not between 10 and 100",
            "choose a percentage in that range",
        ));
    }
    if options
        .toast_tuple_target
        .is_some_and(|bytes| !(128..=8160).contains(&bytes))
    {
        reasons.push(Reason::table(
            "toast_tuple_target is not between 128 and 8160",
            "choose a number of bytes in that range",
        ));
    }
    if let Some(Err(error)) = options.tablespace.as_deref().map(Ident::new) {
        reasons.push(Reason::table(
            format!("tablespace: {error}"),
            "name an existing tablespace",
        ));
    }
    let Some(by) = &options.partition_by else {
        return reasons;
    };
    match wanted.columns.iter().find(|column| column.name.as_str() == by.column) {
        None => {
            let problem = format!("partition_by names {:?}, which the stream does not carry", by.column);
            reasons.push(Reason::table(problem, "name a date or timestamp column of the stream"));
        }
        Some(column) if !matches!(column.ty, PgType::Date | PgType::Timestamp(_) | PgType::TimestampTz(_)) => {
            let problem = format!("it is {} and partition_by takes dates and timestamps", column.ty);
            reasons.push(Reason::column(&column.name, problem, "name a date or timestamp column"));
        }
        Some(column) => {
            let unique = wanted
                .columns
                .iter()
                .any(|other| other.unique && other.name != column.name);
            let key_lacks_it = !wanted.primary_key.is_empty() && !wanted.primary_key.contains(&column.name);
            if unique || key_lacks_it {
                let problem =
                    "partition_by is not part of the primary key or of a unique column, which Postgres demands";
                reasons.push(Reason::column(
                    &column.name,
                    problem,
                    "add it to the key, or partition by a key column",
                ));
            }
        }
    }
    if options.unlogged {
        reasons.push(Reason::table(
            "a partitioned table cannot be unlogged",
            "choose one of unlogged and partition_by",
        ));
    }
    reasons
}
