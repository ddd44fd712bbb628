//! Reads what a change of a table has to reckon with (`sql/catalog/depth.sql`). Decides nothing.

mod beside;

use serde::Deserialize;
use tokio_postgres::types::Type;

use self::beside::{RawColumnGrant, RawPart, RawTrigger};
use super::{CatalogError, CatalogFault, ident, read};
use crate::model::ident::{Ident, TableName};
use crate::planner::depth::{ColumnUser, Depth, Grant, IndexDefinition, View};
use crate::planner::found::FoundTable;
use crate::postgres::pool::Ask;
use crate::postgres::queries;
use crate::sql::{ServerText, Sql};

#[derive(Debug, Deserialize)]
struct RawDepth {
    bytes: u64,
    stamp: String,
    views: Option<Vec<RawView>>,
    indexes: Option<Vec<RawIndex>>,
    grants: Option<Vec<RawGrant>>,
    users: Option<Vec<RawUser>>,
    own_references: Option<Vec<String>>,
    column_grants: Option<Vec<RawColumnGrant>>,
    triggers: Option<Vec<RawTrigger>>,
    row_security: bool,
    rules: bool,
    publications: Option<Vec<String>>,
    partitions: Option<Vec<RawPart>>,
}

#[derive(Debug, Deserialize)]
struct RawView {
    schema: String,
    name: String,
    kind: char,
    columns: Option<Vec<i16>>,
    definition: String,
    options: Option<String>,
    owner: String,
    is_owner: bool,
    comment: Option<String>,
    has_more: bool,
    grants: Option<Vec<RawGrant>>,
}

#[derive(Debug, Deserialize)]
struct RawIndex {
    name: String,
    definition: String,
    constraint: bool,
    columns: Option<Vec<i16>>,
}

#[derive(Debug, Deserialize)]
struct RawGrant {
    role: Option<String>,
    privilege: String,
    grantable: bool,
}

#[derive(Debug, Deserialize)]
struct RawUser {
    attnum: i16,
    what: String,
}

/// The closer look at a table that was found.
pub async fn read_depth(client: &impl Ask, name: &TableName, table: &FoundTable) -> Result<Depth, CatalogError> {
    let depth = look(client, name, table).await;
    depth.map_err(|fault| CatalogError::of_table(name.clone(), fault))
}

async fn look(client: &impl Ask, name: &TableName, table: &FoundTable) -> Result<Depth, CatalogFault> {
    let sql = Sql::new("SELECT NOT EXISTS (SELECT FROM ").table(name).then(")");
    let rows = client.ask(sql.as_str(), &[]).await?;
    let is_empty = rows.first().is_some_and(|row| row.get(0));
    let document = read(client, queries::CATALOG_DEPTH, &[(&table.oid, Type::OID)]).await?;
    let raw = parse(document).map_err(|error| CatalogFault::Shape(error.to_string()))?;
    let named = |attnum: &i16| {
        table
            .columns
            .iter()
            .find(|column| column.attnum == *attnum)
            .map(|column| column.name.clone())
    };
    Ok(Depth {
        is_empty,
        bytes: raw.bytes,
        stamp: raw.stamp,
        views: raw
            .views
            .into_iter()
            .flatten()
            .map(|view| self::view(view, &named))
            .collect::<Result<_, _>>()?,
        indexes: raw
            .indexes
            .into_iter()
            .flatten()
            .map(|raw| index(raw, &named))
            .collect::<Result<_, _>>()?,
        grants: grants(raw.grants)?,
        users: raw
            .users
            .into_iter()
            .flatten()
            .filter_map(|user| {
                Some(ColumnUser {
                    column: named(&user.attnum)?,
                    what: user.what,
                })
            })
            .collect(),
        own_constraints: idents(raw.own_references)?,
        column_grants: beside::column_grants(raw.column_grants, &named)?,
        triggers: beside::triggers(raw.triggers, &named)?,
        row_security: raw.row_security,
        has_rules: raw.rules,
        publications: idents(raw.publications)?,
        partitions: beside::partitions(raw.partitions)?,
    })
}

fn idents(names: Option<Vec<String>>) -> Result<Vec<Ident>, CatalogFault> {
    names.iter().flatten().map(|name| ident(name)).collect()
}

fn view(raw: RawView, named: &dyn Fn(&i16) -> Option<Ident>) -> Result<View, CatalogFault> {
    Ok(View {
        name: TableName::qualified(ident(&raw.schema)?, ident(&raw.name)?),
        is_materialized: raw.kind != 'v',
        definition: ServerText::from_server(raw.definition.trim().trim_end_matches(';').to_owned()),
        options: raw.options.map(ServerText::from_server),
        owner: ident(&raw.owner)?,
        is_owner: raw.is_owner,
        comment: raw.comment,
        grants: grants(raw.grants)?,
        columns: raw.columns.iter().flatten().filter_map(named).collect(),
        has_more: raw.has_more,
    })
}

fn index(raw: RawIndex, named: &dyn Fn(&i16) -> Option<Ident>) -> Result<IndexDefinition, CatalogFault> {
    Ok(IndexDefinition {
        name: ident(&raw.name)?,
        definition: ServerText::from_server(raw.definition),
        of_constraint: raw.constraint,
        columns: raw.columns.iter().flatten().filter_map(named).collect(),
    })
}

fn grants(raw: Option<Vec<RawGrant>>) -> Result<Vec<Grant>, CatalogFault> {
    const KNOWN: [&str; 8] = [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "REFERENCES",
        "TRIGGER",
        "MAINTAIN",
    ];
    let grant = |raw: RawGrant| {
        let unknown = || CatalogFault::Shape(format!("privilege {} is not known", raw.privilege));
        let privilege = KNOWN
            .into_iter()
            .find(|known| *known == raw.privilege)
            .ok_or_else(unknown)?;
        Ok(Grant {
            role: raw.role.as_deref().map(ident).transpose()?,
            privilege,
            grantable: raw.grantable,
        })
    };
    raw.into_iter().flatten().map(grant).collect()
}

/// What another session dropped while the catalog was read has no definition any more, and needs none.
fn parse(mut document: serde_json::Value) -> Result<RawDepth, serde_json::Error> {
    for part in ["views", "indexes", "triggers"] {
        if let Some(found) = document.get_mut(part).and_then(serde_json::Value::as_array_mut) {
            found.retain(|entry| entry.get("definition").is_some_and(|definition| !definition.is_null()));
        }
    }
    serde_json::from_value(document)
}
