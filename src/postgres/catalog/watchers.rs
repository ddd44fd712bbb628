//! What watches a table's rows as the catalog tells it: triggers, rewrite rules and foreign keys. Decides nothing.

use super::raw::{RawRule, RawTable, RawTrigger};
use super::{CatalogFault, ident};
use crate::planner::found::{FoundReference, FoundRule, FoundTrigger, RowCommand, RowTrigger};

pub(super) fn triggers(raw: &RawTable) -> Result<Vec<FoundTrigger>, CatalogFault> {
    raw.triggers.iter().flatten().map(trigger).collect()
}

fn trigger(raw: &RawTrigger) -> Result<FoundTrigger, CatalogFault> {
    Ok(FoundTrigger {
        name: ident(&raw.name)?,
        kind: raw.kind,
        enabled: is_enabled(raw.enabled),
    })
}

/// 'O' fires in ordinary sessions, 'A' always; 'R' only in replicas and 'D' never.
fn is_enabled(state: char) -> bool {
    matches!(state, 'O' | 'A')
}

pub(super) fn row_triggers(raw: &RawTable) -> Result<Vec<RowTrigger>, CatalogFault> {
    let all = raw.row_triggers.iter().flatten().map(|raw| {
        Ok(RowTrigger {
            trigger: trigger(&raw.trigger)?,
            only_redundant: raw.redundant,
        })
    });
    all.collect()
}

pub(super) fn rules(raw: &RawTable) -> Result<Vec<FoundRule>, CatalogFault> {
    let event = |rule: &RawRule| match rule.event {
        '2' => Some(RowCommand::Update),
        '3' => Some(RowCommand::Insert),
        '4' => Some(RowCommand::Delete),
        _ => None,
    };
    let known = raw.rules.iter().flatten().filter_map(|rule| Some((rule, event(rule)?)));
    known
        .map(|(rule, event)| {
            Ok(FoundRule {
                name: ident(&rule.name)?,
                event,
                enabled: is_enabled(rule.enabled),
            })
        })
        .collect()
}

/// What Postgres refuses, because a publication could not tell which row it was.
pub(super) fn unidentified(raw: &RawTable) -> Vec<RowCommand> {
    let refused = [
        (raw.without_identity.updates, RowCommand::Update),
        (raw.without_identity.deletes, RowCommand::Delete),
    ];
    refused
        .into_iter()
        .filter_map(|(refused, command)| refused.then_some(command))
        .collect()
}

pub(super) fn references(raw: &RawTable) -> Result<Vec<FoundReference>, CatalogFault> {
    let all = raw.references.iter().flatten().map(|raw| {
        Ok(FoundReference {
            schema: ident(&raw.schema)?,
            name: ident(&raw.name)?,
            from: raw.from.clone(),
            within: raw.within,
            deferrable: raw.deferrable,
        })
    });
    all.collect()
}
