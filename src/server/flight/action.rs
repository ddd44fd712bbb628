//! DoAction: one JSON body in, one JSON answer out. Each action is a command of the core; nothing is decided here.

use arrow_flight::{Action, ActionType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::ingest::error::{Error, RequestError};
use crate::ingest::ports::Destination;
use crate::model::caller::Caller;
use crate::model::ident::{Ident, TableName};

/// Actions with what they do, as ListActions tells.
const ACTIONS: &[(&str, &str)] = &[
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

/// Carries out an action.
///
/// # Errors
/// An action that is not there, a body that does not fit, or the core's failure.
pub async fn run(destination: &dyn Destination, caller: &Caller, action: &Action) -> Result<Value, Error> {
    match action.r#type.as_str() {
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

fn body<T: DeserializeOwned>(action: &Action) -> Result<T, RequestError> {
    serde_json::from_slice(&action.body)
        .map_err(|error| RequestError::Malformed(format!("the body of {} is not understood: {error}", action.r#type)))
}

fn table(schema: Option<&str>, table: &str) -> Result<TableName, RequestError> {
    let ident = |what, name: &str| Ident::new(name).map_err(|source| RequestError::Name { what, source });
    Ok(TableName {
        schema: schema.map(|schema| ident("schema", schema)).transpose()?,
        name: ident("table", table)?,
    })
}
