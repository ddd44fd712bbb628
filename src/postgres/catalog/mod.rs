//! Reads one table from `pg_catalog` in one round trip, and what else its columns depend on. Runs `sql/catalog`; decides nothing.

mod depth;
mod error;
mod installed;
mod raw;
mod results;
mod types;
mod watchers;

use serde::de::DeserializeOwned;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use self::raw::{RawCollation, RawColumn, RawFound, RawKey, RawTable};
use self::types::Types;
use super::pool::Ask;
use super::queries;
use crate::model::by_name::ByName;
use crate::model::ident::{Ident, TableName};
use crate::model::table::Collation;
use crate::planner::found::{
    ColumnRights, Found, FoundColumn, FoundIndex, FoundKey, FoundSchema, FoundTable, Generated, Identity, RelationKind,
    Rights, ServerFacts,
};

pub use self::depth::read_depth;
pub use self::error::{CatalogError, CatalogFault};
pub use self::installed::read_installed;
pub use self::results::read_types;

/// How often a torn document is asked for. What is dropped at that very moment is in the statement's snapshot still, while
/// functions about it know nothing of it: they answer null or fail with "cache lookup failed" (XX000). The next look finds it gone.
const LOOKS: usize = 8;

/// Reads what there is under `name`; without a schema in `name` it is looked for in `default_schema`, and without that in
/// the first schema of `search_path`.
pub async fn read_table(
    client: &impl Ask,
    name: &TableName,
    default_schema: Option<&Ident>,
) -> Result<Found, CatalogError> {
    let asked = TableName {
        schema: name.schema.as_ref().or(default_schema).cloned(),
        name: name.name.clone(),
    };
    let schema = asked.schema.as_ref().map(Ident::as_str);
    let table = asked.name.as_str();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&schema, Type::TEXT), (&table, Type::TEXT)];
    let raw = read::<RawFound>(client, queries::CATALOG_TABLE, &parameters).await;
    let found = raw.and_then(|raw| found(&raw, &asked.name));
    found.map_err(|fault| CatalogError::of_table(asked, fault))
}

/// The JSON document that is a statement's one row, looked at again while it is torn.
async fn read<T: DeserializeOwned>(
    client: &impl Ask,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<T, CatalogFault> {
    let mut torn = None;
    for _ in 0..LOOKS {
        match read_once(client, statement, parameters).await {
            Err(error) if error.is_torn() => {
                tracing::debug!(?error, "the catalog is looked at again");
                torn = Some(error);
            }
            // A transaction does not outlive its first failure.
            Err(CatalogFault::Db(error))
                if torn.is_some() && error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) =>
            {
                break;
            }
            done => return done,
        }
    }
    Err(torn.unwrap_or_else(|| CatalogFault::Shape("it was not looked at".to_owned())))
}

async fn read_once<T: DeserializeOwned>(
    client: &impl Ask,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<T, CatalogFault> {
    let rows = client.ask(statement, parameters).await?;
    let row = rows.first().ok_or_else(|| CatalogFault::Shape("no row".to_owned()))?;
    let document: String = row.try_get(0)?;
    serde_json::from_str(&document).map_err(|error| CatalogFault::Shape(error.to_string()))
}

impl CatalogFault {
    /// Whether the answer may be that of a catalog that was changed while it was read.
    fn is_torn(&self) -> bool {
        match self {
            CatalogFault::Shape(_) => true,
            CatalogFault::Db(error) => error.code() == Some(&SqlState::INTERNAL_ERROR),
            CatalogFault::NoSchema => false,
        }
    }
}

fn found(raw: &RawFound, name: &Ident) -> Result<Found, CatalogFault> {
    let schema = ident(raw.schema.as_deref().ok_or(CatalogFault::NoSchema)?)?;
    let types = Types::new(raw.types.as_deref().unwrap_or_default(), &raw.server.money);
    let server = ServerFacts {
        version: raw.server.version,
        database: raw.server.database.clone(),
        role: raw.server.role.clone(),
        current_schema: raw.server.current_schema.as_deref().map(ident).transpose()?,
        time_zone: raw.server.time_zone.clone(),
        today: raw.server.today.clone(),
        in_recovery: raw.server.in_recovery,
        read_only: raw.server.read_only,
        can_create_schema: raw.server.can_create_schema,
        can_create_temporary: raw.server.can_create_temporary,
    };
    Ok(Found {
        name: TableName::qualified(schema.clone(), name.clone()),
        schema: FoundSchema {
            name: schema,
            exists: raw.schema_exists,
            can_use: raw.schema_usage.unwrap_or(false),
            can_create: raw.schema_create.unwrap_or(false),
        },
        table: raw
            .table
            .as_ref()
            .map(|table| found_table(table, name, &types))
            .transpose()?,
        server,
    })
}

fn found_table(raw: &RawTable, name: &Ident, types: &Types<'_>) -> Result<FoundTable, CatalogFault> {
    let columns = raw
        .columns
        .iter()
        .flatten()
        .map(|column| found_column(column, types))
        .collect::<Result<Vec<_>, _>>()?;
    let named = |attnum: &i16| {
        columns
            .iter()
            .find(|column| column.attnum == *attnum)
            .map(|column| column.name.clone())
    };
    let keys = raw
        .keys
        .iter()
        .flatten()
        .map(|key| found_key(key, &named))
        .collect::<Result<Vec<_>, _>>()?;
    let partition_columns = raw.partition_columns.iter().flatten().filter_map(named).collect();
    Ok(FoundTable {
        name: name.clone(),
        oid: raw.oid,
        kind: kind(raw.kind),
        by_name: ByName::default(),
        keys,
        indexes: indexes(raw)?,
        exclusions: raw
            .exclusions
            .iter()
            .flatten()
            .map(|name| ident(name))
            .collect::<Result<_, _>>()?,
        referenced_by: raw.referenced_by.clone().unwrap_or_default(),
        is_partition: raw.is_partition,
        has_children: raw.has_children,
        is_typed: raw.typed,
        is_unlogged: raw.persistence == 'u',
        partition_key: raw.partition_key.clone(),
        partition_columns,
        partitions: raw
            .partitions
            .iter()
            .flatten()
            .map(|name| ident(name))
            .collect::<Result<_, _>>()?,
        comment: raw.comment.clone(),
        owner: raw.owner.clone(),
        rights: rights(raw),
        triggers: watchers::triggers(raw)?,
        row_security: raw.row_security,
        rules: watchers::rules(raw)?,
        unidentified: watchers::unidentified(raw),
        row_triggers: watchers::row_triggers(raw)?,
        references: watchers::references(raw)?,
        estimated_rows: raw.rows,
        columns,
    })
}

fn kind(relkind: char) -> RelationKind {
    match relkind {
        'r' => RelationKind::Table,
        'p' => RelationKind::Partitioned,
        'v' => RelationKind::View,
        'm' => RelationKind::MaterializedView,
        'f' => RelationKind::Foreign,
        other => RelationKind::NotATable(other),
    }
}

fn rights(raw: &RawTable) -> Rights {
    Rights {
        owner: raw.is_owner,
        look: raw.can_look,
        delete: raw.can_delete,
        truncate: raw.can_truncate,
    }
}

fn indexes(raw: &RawTable) -> Result<Vec<FoundIndex>, CatalogFault> {
    let index = |index: &raw::RawIndex| {
        Ok(FoundIndex {
            name: ident(&index.name)?,
            valid: index.valid,
        })
    };
    raw.indexes.iter().flatten().map(index).collect()
}

fn found_column(raw: &RawColumn, types: &Types<'_>) -> Result<FoundColumn, CatalogFault> {
    Ok(FoundColumn {
        attnum: raw.attnum,
        name: ident(&raw.name)?,
        ty: types.resolve(raw.type_oid, raw.typmod, &raw.display)?,
        type_id: (raw.type_oid, raw.typmod),
        not_null: raw.not_null,
        collation: raw.collation.as_ref().map(found_collation).transpose()?,
        default: raw.default.clone(),
        generated: match raw.generated.as_str() {
            "s" => Some(Generated::Stored),
            "v" => Some(Generated::Virtual),
            _ => None,
        },
        identity: match raw.identity.as_str() {
            "a" => Some(Identity::Always),
            "d" => Some(Identity::ByDefault),
            _ => None,
        },
        inherited: raw.inherited,
        rights: ColumnRights {
            insert: raw.can_insert,
            select: raw.can_select,
            update: raw.can_update,
        },
        comment: raw.comment.clone(),
    })
}

fn found_key(raw: &RawKey, named: &dyn Fn(&i16) -> Option<Ident>) -> Result<FoundKey, CatalogFault> {
    Ok(FoundKey {
        name: ident(&raw.name)?,
        constraint: raw.constraint.as_deref().map(ident).transpose()?,
        is_primary: raw.primary,
        columns: raw.columns.iter().map(named).collect(),
        plain: raw.plain,
        valid: raw.valid,
        immediate: raw.immediate,
        collations: raw
            .collations
            .iter()
            .flatten()
            .map(|collation| collation.as_ref().map(found_collation).transpose())
            .collect::<Result<_, _>>()?,
        nulls_not_distinct: raw.nulls_not_distinct,
    })
}

fn found_collation(raw: &RawCollation) -> Result<Collation, CatalogFault> {
    Ok(Collation {
        schema: ident(&raw.schema)?,
        name: ident(&raw.name)?,
    })
}

fn ident(name: &str) -> Result<Ident, CatalogFault> {
    Ident::new(name).map_err(|error| CatalogFault::Shape(error.to_string()))
}
