//! What watches a table's rows as the catalog tells it: triggers, rewrite rules and foreign keys. Decides nothing.

use super::raw::{RawRule, RawTable, RawTrigger};
use super::{CatalogFault, ident};
use crate::postgres::migrate::found::{FoundReference, FoundRule, FoundTrigger, RowTrigger, RuleEvent};

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

/// Those that are carried out in ordinary sessions.
pub(super) fn rules(raw: &RawTable) -> Result<Vec<FoundRule>, CatalogFault> {
    let event = |rule: &RawRule| match rule.event {
        '2' => Some(RuleEvent::Update),
        '3' => Some(RuleEvent::Insert),
        '4' => Some(RuleEvent::Delete),
        _ => None,
    };
    let enabled = raw.rules.iter().flatten().filter(|rule| is_enabled(rule.enabled));
    let known = enabled.filter_map(|rule| Some((rule, event(rule)?)));
    known
        .map(|(rule, event)| {
            let name = ident(&rule.name)?;
            Ok(FoundRule { name, event })
        })
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
