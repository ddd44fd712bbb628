//! What a load demands of its table beyond columns: decided from the table and the stream alone, so that a load is taken or
//! refused whether the table has rows or not. Pure.
//!
//! Rows that nothing is matched with go in by COPY, the others by `INSERT .. SELECT .. ON CONFLICT`, and Postgres allows the
//! former more: what the latter may not do is refused for both.

use super::diff::STALE_COLUMNS;
use super::found::{Found, FoundTable, Identity, RelationKind, RowCommand};
use super::refusal::Reason;
use crate::model::ident::{Ident, TableName};
use crate::model::loading::Loading;
use crate::model::options::{CommitMode, WriteMode};
use crate::model::pg_type::PgType;
use crate::model::table::TableShape;

/// Why this load cannot write there.
pub(super) fn obstacles(wanted: &TableShape, found: &Found, loading: &Loading) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let table = found.table.as_ref();
    if loading.matches_by_key() {
        reasons.extend(version(wanted, table, loading));
        reasons.extend(table.into_iter().flat_map(|table| key(wanted, table)));
    }
    if loading.write_mode == WriteMode::OverwriteDeleteStale {
        reasons.extend(stale(wanted, found));
    }
    if loading.write_mode == WriteMode::Replace {
        reasons.extend(table.and_then(|table| emptying(found, table)));
    }
    reasons.extend(table.and_then(|table| rule(table, loading)));
    reasons.extend(table.and_then(|table| identity(table, loading)));
    if stages(table, loading) && !found.server.can_create_temporary {
        let (role, database) = (&found.server.role, &found.server.database);
        let problem = format!(
            "rows go through a temporary table, and role {role} may not create temporary tables in database {database}"
        );
        let remedy = format!("grant temporary on database {database} to {role}");
        reasons.push(Reason::denied(problem, remedy));
    }
    reasons
}

/// What somebody who asks for the plan should know, though the load is taken.
pub(super) fn notes(found: &Found, loading: &Loading) -> Vec<String> {
    let Some(table) = &found.table else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if let (WriteMode::Append, Some(rule)) = (loading.write_mode, table.rule_on(RowCommand::Insert)) {
        notes.push(format!(
            "rule {:?} on INSERT is not carried out, because rows come by COPY, which knows triggers and no rules",
            rule.name.as_str()
        ));
    }
    let suppressors = table.suppressors(loading);
    if !suppressors.is_empty() {
        let fate = match loading.accepts_suppressed {
            true => "are counted as suppressed",
            false => "fail the load (on_suppressed_row: fail)",
        };
        notes.push(format!(
            "rows that trigger {} leaves out {fate}",
            suppressors.join(" or ")
        ));
    }
    if loading.write_mode == WriteMode::Append && table.collects_rows(loading) {
        let names: Vec<String> = table
            .self_references()
            .map(|key| format!("{:?}", key.name.as_str()))
            .collect();
        notes.push(format!(
            "foreign key {} lets a row name another of the stream, so all rows are collected in a temporary table and inserted \
             at once; were it deferrable, they would go straight in",
            names.join(", ")
        ));
    }
    notes
}

/// Whether rows may have to pass a temporary table.
fn stages(table: Option<&FoundTable>, loading: &Loading) -> bool {
    loading.write_mode != WriteMode::Append
        || table.is_some_and(|table| table.kind == RelationKind::View || table.collects_rows(loading))
}

impl FoundTable {
    /// Foreign keys by which one row of it names another.
    pub fn self_references(&self) -> impl Iterator<Item = &super::found::FoundReference> {
        self.references.iter().filter(|reference| reference.within)
    }

    /// Triggers that can leave out rows of that load.
    pub fn suppressors(&self, loading: &Loading) -> Vec<String> {
        let able = self
            .row_triggers
            .iter()
            .filter(|trigger| trigger.may_suppress(loading.matches_by_key()));
        let mut names: Vec<String> = able
            .map(|trigger| format!("{:?}", trigger.trigger.name.as_str()))
            .collect();
        names.dedup();
        names
    }

    /// Whether the order of a load's rows would matter if each chunk were checked by itself: a row may name one that comes
    /// later, and the check cannot be put off to the end.
    pub fn collects_rows(&self, loading: &Loading) -> bool {
        loading.commit == CommitMode::Atomic
            // INSERT would carry out rules, which COPY does not.
            && self.rule_on(RowCommand::Insert).is_none()
            && self.self_references().next().is_some()
            && !self.defers_checks(loading)
    }

    /// Whether the checks of all foreign keys to itself are put off to the end. Where bad rows are rejected they must be found
    /// earlier.
    pub fn defers_checks(&self, loading: &Loading) -> bool {
        let mut own = self.self_references().peekable();
        loading.commit == CommitMode::Atomic
            && !loading.rejects
            && own.peek().is_some()
            && own.all(|reference| reference.deferrable)
    }
}

fn key(wanted: &TableShape, table: &FoundTable) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let named = !wanted.primary_key.is_empty();
    let there = table.primary_key();
    let key = match there {
        Some(there) if !named => there.column_names(),
        // Without any key the load is refused elsewhere.
        _ => wanted.primary_key.clone(),
    };
    let missing: Vec<&str> = key
        .iter()
        .filter(|column| wanted.column(column).is_none())
        .map(Ident::as_str)
        .collect();
    let list = names(&key);
    if !missing.is_empty() {
        let problem = format!(
            "overwrite matches rows by the table's key ({list}), and the stream lacks {}",
            missing.join(", ")
        );
        let remedy =
            "send it with the rows, name another unique key with the option primary_key, or use write_mode append";
        reasons.push(Reason::bad_request(problem, remedy));
    } else if !named && !key.is_empty() && table.conflict_key(&key).is_none() {
        let problem = format!(
            "overwrite matches rows by the table's key ({list}), and ON CONFLICT cannot use it, because it is deferrable, \
             temporal or not complete"
        );
        let remedy = "name another unique key with the option primary_key, or make this one NOT DEFERRABLE";
        reasons.push(Reason::table(problem, remedy));
    }
    let fixed = table.columns.iter().filter(|column| {
        column.identity == Some(Identity::Always)
            && wanted.column(&column.name).is_some()
            && !key.contains(&column.name)
    });
    for column in fixed {
        let problem = format!(
            "it is GENERATED ALWAYS AS IDENTITY, and an overwrite by ({list}) would set it in rows that are there, which Postgres \
             never does"
        );
        let remedy = "leave it out of the stream, match rows by it, or make it GENERATED BY DEFAULT";
        reasons.push(Reason::column(&column.name, problem, remedy));
    }
    reasons
}

fn version(wanted: &TableShape, table: Option<&FoundTable>, loading: &Loading) -> Option<Reason> {
    let name = loading.version_column.as_ref()?;
    let Some(column) = wanted.columns.iter().find(|column| column.name.as_str() == name) else {
        let problem = format!("version_column is {name:?}, and the stream has no such column");
        let remedy = "name a column of the stream";
        return Some(about(name, problem, remedy));
    };
    let there = table.and_then(|table| table.column(&column.name));
    let ty = there.map_or(&column.ty, |there| &there.ty);
    (!is_ordered(ty)).then(|| {
        let problem = format!("it is {ty}, whose values have no order, and version_column keeps the larger one");
        Reason::column(&column.name, problem, "name a column of a type that has an order")
    })
}

/// Whether Postgres can say which of two values is larger. Types that are not known are left to it.
fn is_ordered(ty: &PgType) -> bool {
    match ty {
        PgType::Json | PgType::Xml | PgType::JsonPath | PgType::Xid | PgType::Cid => false,
        PgType::Point | PgType::Line | PgType::Lseg | PgType::Box | PgType::Path => false,
        PgType::Polygon | PgType::Circle => false,
        PgType::Array(element) => is_ordered(element),
        PgType::Domain(domain) => is_ordered(&domain.base),
        PgType::Composite(row) => row.fields.iter().all(|(_, ty)| is_ordered(ty)),
        _ => true,
    }
}

fn stale(wanted: &TableShape, found: &Found) -> Option<Reason> {
    let table = found.table.as_ref();
    if let Some(table) = table.filter(|table| !table.rights.delete) {
        return Some(lacks(
            found,
            table,
            "DELETE",
            "overwrite-delete-stale deletes rows of it",
        ));
    }
    let there = |column: &Ident| table.and_then(|table| table.column(column)).map(|column| &column.ty);
    let sent = |column: &Ident| wanted.column(column).map(|column| &column.ty);
    let (column, what) = unusable(&found.name, |column| there(column).or_else(|| sent(column)))?;
    let [source, time] = STALE_COLUMNS;
    let problem = format!("overwrite-delete-stale knows stale rows by the columns {source} and {time}, and {what}");
    let remedy = "send it with the rows, or use write_mode overwrite";
    Some(about(column, problem, remedy))
}

/// The column by which stale rows of a table are known that is not there or cannot be compared, and what is wrong with it.
pub fn unusable<'t>(
    table: &TableName,
    type_of: impl Fn(&Ident) -> Option<&'t PgType>,
) -> Option<(&'static str, String)> {
    let wrong = |name: &'static str, wanted: &str, fits: fn(&PgType) -> bool| {
        let column = Ident::new(name).ok()?;
        let what = match type_of(&column).map(below_domains) {
            None => format!("{table} has no column {name}"),
            Some(ty) if !fits(ty) => format!("column {name} of {table} is {ty} and not {wanted}"),
            Some(_) => return None,
        };
        Some((name, what))
    };
    let [source, time_column] = STALE_COLUMNS;
    let text = |ty: &PgType| {
        matches!(
            ty,
            PgType::Text | PgType::Varchar(_) | PgType::Bpchar(_) | PgType::Citext(_) | PgType::Name
        )
    };
    let time = |ty: &PgType| matches!(ty, PgType::Timestamp(_) | PgType::TimestampTz(_));
    wrong(source, "text", text).or_else(|| wrong(time_column, "a timestamp", time))
}

fn below_domains(ty: &PgType) -> &PgType {
    match ty {
        PgType::Domain(domain) => below_domains(&domain.base),
        ty => ty,
    }
}

/// A reason about a column that need not be there.
fn about(column: &str, problem: String, remedy: &str) -> Reason {
    match Ident::new(column) {
        Ok(column) => Reason::column(&column, problem, remedy),
        Err(_) => Reason::table(problem, remedy),
    }
}

fn lacks(found: &Found, table: &FoundTable, privilege: &str, does: &str) -> Reason {
    let role = &found.server.role;
    let grantee = Ident::new(role.as_str()).map_or_else(|_| "<role>".to_owned(), |role| role.quoted());
    let name = TableName::qualified(found.schema.name.clone(), table.name.clone());
    Reason::denied(
        format!("{does}, and role {role} may not"),
        format!(
            "run: GRANT {privilege} ON {} TO {grantee}, or use write_mode overwrite",
            name.quoted()
        ),
    )
}

/// TRUNCATE is how a table is emptied in an instant.
fn emptying(found: &Found, table: &FoundTable) -> Option<Reason> {
    if !matches!(table.kind, RelationKind::Table | RelationKind::Partitioned) {
        let problem = format!("replace needs a table, and it is {}", table.kind.words());
        return Some(Reason::table(problem, "use write_mode append"));
    }
    let holders = table.held_by();
    if !holders.is_empty() {
        let problem = format!(
            "replace cannot empty it, because foreign keys of {} point to it",
            holders.join(", ")
        );
        return Some(Reason::table(problem, "use write_mode overwrite, or drop them first"));
    }
    (!table.rights.truncate).then(|| lacks(found, table, "TRUNCATE", "replace empties it"))
}

fn rule(table: &FoundTable, loading: &Loading) -> Option<Reason> {
    let rule = match loading.write_mode {
        WriteMode::Append => None,
        WriteMode::Replace => table.rule_on(RowCommand::Insert),
        WriteMode::Overwrite => table.rule_against_upserts(),
        WriteMode::OverwriteDeleteStale => {
            let upserts = table.rule_against_upserts();
            upserts.or_else(|| table.rule_on(RowCommand::Delete))
        }
    }?;
    let (command, mode) = (rule.event.words(), loading.write_mode.as_str());
    let problem = format!(
        "rule {:?} on {command} does something else with rows than {mode} promises",
        rule.name.as_str()
    );
    let remedy =
        "drop it, make a trigger of it, or use write_mode append, which comes by COPY and carries out no rules";
    Some(Reason::table(problem, remedy))
}

fn identity(table: &FoundTable, loading: &Loading) -> Option<Reason> {
    let (command, needed) = match loading.write_mode {
        WriteMode::OverwriteDeleteStale if table.unidentified.contains(&RowCommand::Delete) => ("DELETE", true),
        _ => (
            "UPDATE",
            loading.matches_by_key() && table.unidentified.contains(&RowCommand::Update),
        ),
    };
    needed.then(|| {
        let problem = format!(
            "a publication sends each {command} of its rows, and it has no replica identity, so Postgres refuses them"
        );
        let remedy = "give it a primary key, or run: alter table .. replica identity using index .. (or full)";
        Reason::table(problem, remedy)
    })
}

fn names(columns: &[Ident]) -> String {
    columns.iter().map(Ident::as_str).collect::<Vec<_>>().join(", ")
}
