//! The parts of the closer look that stand beside the table: column privileges, triggers, partitions. Decides nothing.

use serde::Deserialize;

use super::{CatalogFault, RawGrant, grants, ident};
use crate::model::ident::{Ident, TableName};
use crate::planner::depth::{Grant, PartIndex, PartitionPart, TriggerDefinition, TriggerState};
use crate::sql::ServerText;

type Named<'a> = &'a dyn Fn(&i16) -> Option<Ident>;

#[derive(Debug, Deserialize)]
pub(super) struct RawColumnGrant {
    attnum: i16,
    #[serde(flatten)]
    grant: RawGrant,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawTrigger {
    name: String,
    definition: String,
    enabled: char,
    columns: Option<Vec<i16>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawPart {
    schema: String,
    name: String,
    kind: char,
    indexes: Option<Vec<RawPartIndex>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawPartIndex {
    name: String,
    valid: bool,
    of: Option<String>,
}

pub(super) fn column_grants(
    raw: Option<Vec<RawColumnGrant>>,
    named: Named<'_>,
) -> Result<Vec<(Ident, Grant)>, CatalogFault> {
    let mut all = Vec::new();
    for RawColumnGrant { attnum, grant } in raw.into_iter().flatten() {
        if let Some(column) = named(&attnum) {
            all.extend(
                grants(Some(vec![grant]))?
                    .into_iter()
                    .map(|grant| (column.clone(), grant)),
            );
        }
    }
    Ok(all)
}

pub(super) fn triggers(raw: Option<Vec<RawTrigger>>, named: Named<'_>) -> Result<Vec<TriggerDefinition>, CatalogFault> {
    let trigger = |raw: RawTrigger| {
        Ok(TriggerDefinition {
            name: ident(&raw.name)?,
            definition: ServerText::from_server(raw.definition),
            state: match raw.enabled {
                'A' => Some(TriggerState::Always),
                'R' => Some(TriggerState::Replica),
                'D' => Some(TriggerState::Disabled),
                _ => None,
            },
            columns: raw.columns.iter().flatten().filter_map(named).collect(),
        })
    };
    raw.into_iter().flatten().map(trigger).collect()
}

pub(super) fn partitions(raw: Option<Vec<RawPart>>) -> Result<Vec<PartitionPart>, CatalogFault> {
    let index = |raw: &RawPartIndex| {
        Ok(PartIndex {
            name: ident(&raw.name)?,
            valid: raw.valid,
            part_of: raw.of.as_deref().map(ident).transpose()?,
        })
    };
    let part = |raw: RawPart| {
        Ok(PartitionPart {
            name: TableName::qualified(ident(&raw.schema)?, ident(&raw.name)?),
            is_table: raw.kind == 'r',
            indexes: raw
                .indexes
                .iter()
                .flatten()
                .map(index)
                .collect::<Result<_, CatalogFault>>()?,
        })
    };
    raw.into_iter().flatten().map(part).collect()
}
