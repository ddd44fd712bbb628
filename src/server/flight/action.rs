//! DoAction: one JSON body in, one JSON answer out. Each action is a command of the core; nothing is decided here.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::{Action, ActionType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tonic::metadata::MetadataMap;

use super::json_words::words;
use super::{migrate, sql};
use crate::config::Config;
use crate::ingest::error::{Error, RequestError};
use crate::ingest::guard::Guarded;
use crate::ingest::request::parse_time;
use crate::model::caller::Caller;
use crate::model::command::{DeleteRecords, DeleteStale, Joiner, Predicate, PredicateGroup, Relation};
use crate::model::ident::{Ident, TableName};
use crate::model::migration::MigrationReport;

/// Actions with what they do, as ListActions tells.
const ACTIONS: &[(&str, &str)] = &[
    (
        "pgflight.migrate",
        "Makes a table fit an Arrow schema. Body {\"table\", \"schema\"?, \"arrow_schema\": base64 of the schema as an IPC stream, \"dry_run\"?, \"as_load\"?, options of a put}; answers with the steps.",
    ),
    (
        "pgflight.delete_stale",
        "Deletes rows of a source that are older than a sync. Body {\"table\", \"schema\"?, \"source_name\", \"sync_time\"}; answers {\"deleted\": n}.",
    ),
    (
        "pgflight.delete_records",
        "Deletes rows by their values and what hangs below them. Body {\"table\", \"schema\"?, \"where\": [{\"all\" or \"any\": {column: value}}], or \"all\": true for every row, \"relations\"?: [{\"table\", \"parent\"}]}; answers {\"deleted\": n}.",
    ),
    (
        "pgflight.stream.open",
        "Opens a resumable stream and shuts out its older writers. Body {\"stream_id\", \"table\", \"schema\"?}; answers with epoch, next_seq, token and rows.",
    ),
    (
        "pgflight.stream.status",
        "Tells where a resumable stream stands. Body {\"stream_id\"}; answers like pgflight.stream.open, with the result of a finished stream.",
    ),
];

/// Every action, for ListActions.
pub fn types() -> Vec<ActionType> {
    let action = |(name, description): &(&str, &str)| ActionType {
        r#type: (*name).to_owned(),
        description: (*description).to_owned(),
    };
    ACTIONS.iter().map(action).collect()
}

/// Body of `pgflight.stream.open`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenStream {
    stream_id: String,
    table: String,
    schema: Option<String>,
}

/// Body of `pgflight.stream.status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamStatus {
    stream_id: String,
}

/// Body of `pgflight.delete_stale`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stale {
    table: String,
    schema: Option<String>,
    source_name: String,
    sync_time: String,
}

/// Body of `pgflight.delete_records`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    table: String,
    schema: Option<String>,
    /// Conditions; without any, nothing is deleted unless `all` says it.
    #[serde(default)]
    r#where: Vec<Group>,
    /// Every row goes, on purpose.
    #[serde(default)]
    all: bool,
    #[serde(default)]
    relations: Vec<Below>,
}

/// Conditions joined by AND or OR.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    All(Map<String, Value>),
    Any(Map<String, Value>),
}

/// A table below another one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Below {
    table: String,
    parent: String,
}

/// Carries out an action.
///
/// # Errors
/// An action that is not there, a body that does not fit, or the core's failure.
pub async fn run(
    destination: &Guarded,
    config: &Config,
    caller: &Caller,
    headers: &MetadataMap,
    action: &Action,
) -> Result<Value, Error> {
    match action.r#type.as_str() {
        "pgflight.migrate" => {
            let command = migrate::command(&action.body, headers, config)?;
            Ok(json!(destination.migrate(caller, command).await?))
        }
        "pgflight.delete_stale" => {
            let body: Stale = body(action)?;
            let command = DeleteStale {
                table: table(body.schema.as_deref(), &body.table)?,
                source_name: body.source_name,
                sync_time: parse_time(&body.sync_time)?,
            };
            let deleted = destination.delete_stale(caller, command).await?;
            Ok(json!({ "deleted": deleted }))
        }
        "pgflight.delete_records" => {
            let deleted = destination.delete_records(caller, records(body(action)?)?).await?;
            Ok(json!({ "deleted": deleted }))
        }
        "pgflight.stream.open" => {
            let body: OpenStream = body(action)?;
            let table = table(body.schema.as_deref(), &body.table)?;
            let state = destination.open_stream(caller, &body.stream_id, &table).await?;
            Ok(json!(state))
        }
        "pgflight.stream.status" => {
            let body: StreamStatus = body(action)?;
            match destination.stream_status(caller, &body.stream_id).await? {
                Some(state) => Ok(json!(state)),
                None => Err(RequestError::NotFound(format!("there is no stream {:?}", body.stream_id)).into()),
            }
        }
        other => {
            if let Some(refusal) = sql::action(other) {
                return Err(refusal.into());
            }
            let known: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            let hint = crate::model::suggest::hint(other, known.iter().copied());
            Err(RequestError::Unsupported(format!(
                "there is no action {other:?}{hint}; actions are {}",
                known.join(", ")
            ))
            .into())
        }
    }
}

/// Carries out `pgflight.migrate` for this process itself: without a caller and without headers.
///
/// # Errors
/// As [`run`].
pub async fn migrate_here(destination: &Guarded, config: &Config, body: &Value) -> Result<MigrationReport, Error> {
    let command = migrate::command(body.to_string().as_bytes(), &MetadataMap::new(), config)?;
    destination.migrate(&Caller::anonymous(), command).await
}

fn malformed(what: &str, error: &dyn std::error::Error) -> RequestError {
    RequestError::Malformed(format!("{what}: {error}"))
}

fn records(body: Records) -> Result<DeleteRecords, RequestError> {
    let named = |name: &str| table(body.schema.as_deref(), name);
    match (body.r#where.is_empty(), body.all) {
        (true, false) => {
            return Err(RequestError::Malformed(
                "the body of pgflight.delete_records has no condition in \"where\"; add one, or send \"all\": true to delete every row"
                    .to_owned(),
            ));
        }
        (false, true) => {
            return Err(RequestError::Malformed(
                "the body of pgflight.delete_records has conditions in \"where\" and \"all\": true; send one of them"
                    .to_owned(),
            ));
        }
        (true, true) | (false, false) => {}
    }
    let groups = body.r#where.iter().map(group).collect::<Result<_, _>>()?;
    let relations = body.relations.iter().map(|below| {
        Ok(Relation {
            table: named(&below.table)?,
            parent: named(&below.parent)?,
        })
    });
    Ok(DeleteRecords {
        table: named(&body.table)?,
        groups,
        relations: relations.collect::<Result<_, RequestError>>()?,
    })
}

fn group(group: &Group) -> Result<PredicateGroup, RequestError> {
    let (joiner, conditions) = match group {
        Group::All(conditions) => (Joiner::All, conditions),
        Group::Any(conditions) => (Joiner::Any, conditions),
    };
    let predicate = |(column, value): (&String, &Value)| {
        let column = Ident::new(column.as_str()).map_err(|source| RequestError::Name { what: "column", source })?;
        Ok(Predicate {
            value: one_cell(value)?,
            column,
        })
    };
    Ok(PredicateGroup {
        joiner,
        predicates: conditions.iter().map(predicate).collect::<Result<_, RequestError>>()?,
    })
}

/// A JSON value as one row of one column; the column it is compared with decides how it is read.
fn one_cell(value: &Value) -> Result<RecordBatch, RequestError> {
    let cell: ArrayRef = match value {
        Value::Null => Arc::new(StringArray::from(vec![None::<&str>])),
        Value::Bool(flag) => Arc::new(BooleanArray::from(vec![*flag])),
        Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Arc::new(Int64Array::from(vec![whole])),
            (None, Some(float)) => Arc::new(Float64Array::from(vec![float])),
            (None, None) => return Err(RequestError::Malformed(format!("{number} is out of range"))),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(RequestError::Malformed(
                "a condition compares with a string, a number, true, false or null".to_owned(),
            ));
        }
    };
    RecordBatch::try_from_iter_with_nullable([("value", cell, true)]).map_err(|error| malformed("a condition", &error))
}

fn body<T: DeserializeOwned>(action: &Action) -> Result<T, RequestError> {
    crate::model::json::read(&action.body).map_err(|error| {
        RequestError::Malformed(format!(
            "the body of {} is not understood: {}",
            action.r#type,
            words(&error)
        ))
    })
}

fn table(schema: Option<&str>, table: &str) -> Result<TableName, RequestError> {
    let ident = |what, name: &str| Ident::new(name).map_err(|source| RequestError::Name { what, source });
    Ok(TableName {
        schema: schema.map(|schema| ident("schema", schema)).transpose()?,
        name: ident("table", table)?,
    })
}
