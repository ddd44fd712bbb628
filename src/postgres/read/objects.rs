//! What there is in the database, as clients of SQL protocols ask for it. Runs `sql/objects`; decides nothing.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use super::open::Schemas;
use crate::ingest::ports::catalog::{
    Database, ForeignKeyColumn, KeyRule, KeysRequest, NamedTable, PrimaryKeyColumn, Relation, RelationType,
    RelationsRequest,
};
use crate::model::ident::{Ident, TableName};
use crate::postgres::catalog::{CatalogError, CatalogFault};
use crate::postgres::error::Error;
use crate::postgres::pool::Connections;
use crate::postgres::queries;

/// Most relations in one page.
const MAX_PAGE: u32 = 1_000;

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

async fn ask(
    connections: &Connections,
    what: &'static str,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, Error> {
    let mut connection = connections.get().await?;
    let scope = connection.scope().await?;
    let rows = scope.query_typed(sql, parameters).await;
    rows.map_err(|source| Error::statement(what, source))
}

/// Reads rows of an answer.
fn read<T>(what: &'static str, rows: &[Row], each: impl Fn(&Row) -> Result<T, CatalogFault>) -> Result<Vec<T>, Error> {
    let read = rows.iter().map(each).collect::<Result<_, CatalogFault>>();
    Ok(read.map_err(|fault| CatalogError::of(what, fault))?)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T, CatalogFault> {
    row.try_get(column).map_err(CatalogFault::Db)
}

fn table(row: &Row, schema: &str, relation: &str) -> Result<TableName, CatalogFault> {
    let ident = |column| {
        let name: String = get(row, column)?;
        Ident::new(name).map_err(|error| CatalogFault::Shape(error.to_string()))
    };
    Ok(TableName::qualified(ident(schema)?, ident(relation)?))
}

/// The connected database.
pub(crate) async fn database(connections: &Connections, schemas: Schemas<'_>) -> Result<Database, Error> {
    const WHAT: &str = "asking for the name of the database";
    let rows = ask(connections, WHAT, queries::OBJECTS_DATABASE, &[]).await?;
    let mut found = read(WHAT, &rows, |row| {
        let schema: Option<String> = get(row, "schema")?;
        Ok(Database {
            name: get(row, "database")?,
            schema: schemas.default.map(|schema| schema.as_str().to_owned()).or(schema),
        })
    })?;
    found
        .pop()
        .ok_or_else(|| Error::Internal("the database has no name".to_owned()))
}

/// Names of schemas.
pub(crate) async fn schemas(
    connections: &Connections,
    schemas: Schemas<'_>,
    like: Option<&str>,
) -> Result<Vec<String>, Error> {
    const WHAT: &str = "listing schemas";
    let parameters: &[Parameter<'_>] = &[(&like, Type::TEXT), (&schemas.state.as_str(), Type::TEXT)];
    let rows = ask(connections, WHAT, queries::OBJECTS_SCHEMAS, parameters).await?;
    read(WHAT, &rows, |row| get(row, "schema"))
}

/// A page of relations.
pub(crate) async fn relations(
    connections: &Connections,
    schemas: Schemas<'_>,
    asked: &RelationsRequest,
) -> Result<Vec<Relation>, Error> {
    const WHAT: &str = "listing tables";
    let kinds: Vec<&str> = asked.kinds.iter().flat_map(|kind| relkinds(*kind)).copied().collect();
    let kinds = (!kinds.is_empty()).then_some(kinds);
    let after = asked.after.as_ref();
    let after_schema = after.and_then(|table| table.schema.as_ref()).map(Ident::as_str);
    let after_name = after.map(|table| table.name.as_str());
    let limit = i64::from(asked.limit.min(MAX_PAGE));
    let parameters: &[Parameter<'_>] = &[
        (&asked.schema_like, Type::TEXT),
        (&asked.name_like, Type::TEXT),
        (&kinds, Type::TEXT_ARRAY),
        (&after_schema, Type::TEXT),
        (&after_name, Type::TEXT),
        (&limit, Type::INT8),
        (&schemas.state.as_str(), Type::TEXT),
    ];
    let rows = ask(connections, WHAT, queries::OBJECTS_RELATIONS, parameters).await?;
    read(WHAT, &rows, |row| {
        Ok(Relation {
            name: table(row, "schema", "relation")?,
            kind: kind(get(row, "kind")?),
        })
    })
}

fn relkinds(kind: RelationType) -> &'static [&'static str] {
    match kind {
        RelationType::Table => &["r", "p"],
        RelationType::View => &["v"],
        RelationType::MaterializedView => &["m"],
        RelationType::ForeignTable => &["f"],
    }
}

fn kind(relkind: i8) -> RelationType {
    match u8::try_from(relkind) {
        Ok(b'v') => RelationType::View,
        Ok(b'm') => RelationType::MaterializedView,
        Ok(b'f') => RelationType::ForeignTable,
        _ => RelationType::Table,
    }
}

/// Columns of primary keys.
pub(crate) async fn primary_keys(
    connections: &Connections,
    schemas: Schemas<'_>,
    of: &NamedTable,
) -> Result<Vec<PrimaryKeyColumn>, Error> {
    const WHAT: &str = "listing primary keys";
    let parameters: &[Parameter<'_>] = &[
        (&of.schema, Type::TEXT),
        (&of.table, Type::TEXT),
        (&schemas.state.as_str(), Type::TEXT),
    ];
    let rows = ask(connections, WHAT, queries::OBJECTS_PRIMARY_KEYS, parameters).await?;
    read(WHAT, &rows, |row| {
        Ok(PrimaryKeyColumn {
            table: table(row, "schema", "relation")?,
            column: get(row, "column")?,
            sequence: get(row, "sequence")?,
            key: get(row, "key")?,
        })
    })
}

/// Columns of foreign keys.
pub(crate) async fn foreign_keys(
    connections: &Connections,
    schemas: Schemas<'_>,
    between: &KeysRequest,
) -> Result<Vec<ForeignKeyColumn>, Error> {
    const WHAT: &str = "listing foreign keys";
    let parameters: &[Parameter<'_>] = &[
        (&between.to.schema, Type::TEXT),
        (&between.to.table, Type::TEXT),
        (&between.from.schema, Type::TEXT),
        (&between.from.table, Type::TEXT),
        (&schemas.state.as_str(), Type::TEXT),
    ];
    let rows = ask(connections, WHAT, queries::OBJECTS_FOREIGN_KEYS, parameters).await?;
    read(WHAT, &rows, |row| {
        Ok(ForeignKeyColumn {
            to: table(row, "to_schema", "to_relation")?,
            to_column: get(row, "to_column")?,
            from: table(row, "from_schema", "from_relation")?,
            from_column: get(row, "from_column")?,
            sequence: get(row, "sequence")?,
            key: get(row, "key")?,
            to_key: get(row, "to_key")?,
            on_update: rule(get(row, "on_update")?),
            on_delete: rule(get(row, "on_delete")?),
        })
    })
}

fn rule(letter: i8) -> KeyRule {
    match u8::try_from(letter) {
        Ok(b'c') => KeyRule::Cascade,
        Ok(b'r') => KeyRule::Restrict,
        Ok(b'n') => KeyRule::SetNull,
        Ok(b'd') => KeyRule::SetDefault,
        _ => KeyRule::NoAction,
    }
}
