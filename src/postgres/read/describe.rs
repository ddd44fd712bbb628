//! What can be read: the schema of a table with Postgres' own estimates of its size, and the list of tables.

use tokio_postgres::types::Type;

use super::open::{Schemas, find};
use crate::ingest::ports::{ListRequest, ReadRequest, TableDescription};
use crate::model::ident::{Ident, TableName};
use crate::postgres::catalog::{CatalogError, CatalogFault};
use crate::postgres::error::Error;
use crate::postgres::pool::Connections;
use crate::postgres::queries;

/// Most tables in one page of the list.
const MAX_PAGE: u32 = 1_000;

/// Describes what a read of the same request would bring.
///
/// # Errors
/// As for the read.
pub(crate) async fn describe(
    connections: &Connections,
    schemas: Schemas<'_>,
    request: &ReadRequest,
) -> Result<TableDescription, Error> {
    let mut connection = connections.get().await?;
    let scope = connection.scope().await?;
    let readable = find(&scope, &request.table, schemas).await?;
    let plan = readable.plan(request)?;
    let failed = |source| Error::statement(format!("describing {}", readable.name), source).of(&readable.name);
    let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[(&readable.table.oid, Type::OID)];
    let rows = scope.query_typed(queries::READ_ESTIMATE, parameters).await;
    let rows = rows.map_err(failed)?;
    let row = rows.first();
    let estimated_rows: Option<f64> = row.and_then(|row| row.try_get("rows").ok().flatten());
    let estimated_bytes: Option<i64> = row.and_then(|row| row.try_get("bytes").ok().flatten());
    Ok(TableDescription {
        table: readable.name.clone(),
        types: readable.types_of(plan.schema()),
        schema: plan.schema().clone(),
        // Estimates of Postgres are whole numbers below 2^53, kept in a float.
        estimated_rows: estimated_rows.filter(|rows| *rows >= 0.0).map(|rows| rows as u64),
        estimated_bytes: estimated_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
    })
}

/// A page of the tables that can be read.
///
/// # Errors
/// Postgres cannot be asked.
pub(crate) async fn list(
    connections: &Connections,
    schemas: Schemas<'_>,
    request: &ListRequest,
) -> Result<Vec<TableName>, Error> {
    let mut connection = connections.get().await?;
    let scope = connection.scope().await?;
    let only = request.schema.as_ref().map(Ident::as_str);
    let after_schema = request
        .after
        .as_ref()
        .and_then(|table| table.schema.as_ref())
        .map(Ident::as_str);
    let after_name = request.after.as_ref().map(|table| table.name.as_str());
    let limit = i64::from(request.limit.min(MAX_PAGE));
    let state_schema = schemas.state.as_str();
    let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[
        (&only, Type::TEXT),
        (&after_schema, Type::TEXT),
        (&after_name, Type::TEXT),
        (&limit, Type::INT8),
        (&state_schema, Type::TEXT),
    ];
    let rows = scope.query_typed(queries::READ_TABLES, parameters).await;
    let rows = rows.map_err(|source| Error::statement("listing tables", source))?;
    let tables = rows.iter().map(|row| {
        let ident = |column: &str| {
            let name: String = row.try_get(column).map_err(CatalogFault::Db)?;
            Ident::new(name).map_err(|error| CatalogFault::Shape(error.to_string()))
        };
        Ok(TableName::qualified(ident("schema")?, ident("table")?))
    });
    let tables = tables.collect::<Result<_, CatalogFault>>();
    Ok(tables.map_err(|fault| CatalogError::of("the list of tables", fault))?)
}
