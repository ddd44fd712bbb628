//! The types of a statement's columns and parameters. Runs `sql/query/types.sql`.

use serde::Deserialize;
use tokio_postgres::types::{ToSql, Type};

use super::raw::{RawMoney, RawType};
use super::types::Types;
use super::{CatalogError, CatalogFault, read};
use crate::model::pg_type::PgType;
use crate::postgres::pool::Ask;
use crate::postgres::queries;

#[derive(Debug, Deserialize)]
struct RawResult {
    money: RawMoney,
    columns: Option<Vec<RawResultColumn>>,
    types: Option<Vec<RawType>>,
}

#[derive(Debug, Deserialize)]
struct RawResultColumn {
    #[serde(rename = "type")]
    type_oid: u32,
    typmod: i32,
    display: String,
}

/// The types with these OIDs and modifiers, in their order.
pub async fn read_types(client: &impl Ask, wanted: &[(u32, i32)]) -> Result<Vec<PgType>, CatalogError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found = read_all(client, wanted).await;
    found.map_err(|fault| CatalogError::of("the types of a statement", fault))
}

async fn read_all(client: &impl Ask, wanted: &[(u32, i32)]) -> Result<Vec<PgType>, CatalogFault> {
    let (oids, modifiers): (Vec<u32>, Vec<i32>) = wanted.iter().copied().unzip();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&oids, Type::OID_ARRAY), (&modifiers, Type::INT4_ARRAY)];
    let raw: RawResult = read(client, queries::QUERY_TYPES, &parameters).await?;
    let types = Types::new(raw.types.as_deref().unwrap_or_default(), &raw.money);
    let columns = raw.columns.iter().flatten();
    columns
        .map(|column| types.resolve(column.type_oid, column.typmod, &column.display))
        .collect()
}
