//! Session options as Flight defines them. This server keeps nothing between two calls, so options can be read, and set to what
//! they are; another value is refused by name.

use std::collections::HashMap;

use arrow_flight::{Action, ActionType};
use bytes::Bytes;
use prost::Message;

use super::look::catalog;
use crate::ingest::error::{Error, RequestError};
use crate::ingest::guard::Guarded;
use crate::ingest::ports::catalog::Database;
use crate::model::caller::Caller;

const ACTIONS: [(&str, &str); 3] = [
    (
        "GetSessionOptions",
        "Tells the options catalog (the connected database) and schema (where tables are looked for that name none).",
    ),
    (
        "SetSessionOptions",
        "Takes the options catalog and schema with the values that they have; nothing is kept between calls.",
    ),
    ("CloseSession", "Ends a session, of which nothing is kept here."),
];

/// The database, as clients call it.
const CATALOG: &str = "catalog";
/// The schema of tables that are named without one.
const SCHEMA: &str = "schema";

/// These actions with what they do, as ListActions tells.
pub(in crate::server::flight) fn types() -> impl Iterator<Item = ActionType> {
    ACTIONS.iter().map(|(name, description)| ActionType {
        r#type: (*name).to_owned(),
        description: (*description).to_owned(),
    })
}

/// The answer to one of these actions; `None` for others.
///
/// # Errors
/// A body that cannot be read, or what the database says.
pub(in crate::server::flight) async fn answer(
    destination: &Guarded,
    caller: &Caller,
    action: &Action,
) -> Result<Option<Bytes>, Error> {
    let answer = match action.r#type.as_str() {
        "GetSessionOptions" => {
            read::<Nothing>(action)?;
            let database = catalog(destination)?.database(caller).await?;
            GetResult {
                session_options: options(&database),
            }
            .encode_to_vec()
        }
        "SetSessionOptions" => {
            let asked: SetRequest = read(action)?;
            let database = catalog(destination)?.database(caller).await?;
            set(&asked, &database).encode_to_vec()
        }
        "CloseSession" => {
            read::<Nothing>(action)?;
            CloseResult {
                status: CloseStatus::Closed as i32,
            }
            .encode_to_vec()
        }
        _ => return Ok(None),
    };
    Ok(Some(answer.into()))
}

fn read<T: Message + Default>(action: &Action) -> Result<T, RequestError> {
    T::decode(action.body.clone())
        .map_err(|error| RequestError::Malformed(format!("the body of {} cannot be read: {error}", action.r#type)))
}

fn options(database: &Database) -> HashMap<String, OptionValue> {
    let catalog = (CATALOG.to_owned(), OptionValue::of(&database.name));
    let schema = database
        .schema
        .as_ref()
        .map(|schema| (SCHEMA.to_owned(), OptionValue::of(schema)));
    std::iter::once(catalog).chain(schema).collect()
}

/// Options that are not as they were asked to be, each with why.
fn set(asked: &SetRequest, database: &Database) -> SetResult {
    let there = options(database);
    let refused = asked.session_options.iter().filter_map(|(name, value)| {
        let why = match (name.as_str(), &value.option_value) {
            (CATALOG | SCHEMA, None) => return None,
            (CATALOG | SCHEMA, _) if there.get(name) == Some(value) => return None,
            (CATALOG | SCHEMA, _) => SetFault::InvalidValue,
            _ => SetFault::InvalidName,
        };
        Some((name.clone(), SetError { value: why as i32 }))
    });
    SetResult {
        errors: refused.collect(),
    }
}

/// A request without fields.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Nothing {}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, SetError>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SetError {
    #[prost(enumeration = "SetFault", tag = "1")]
    value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum SetFault {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, OptionValue>,
}

/// `SessionOptionValue`.
#[derive(Clone, PartialEq, prost::Message)]
struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    option_value: Option<Value>,
}

impl OptionValue {
    fn of(text: &str) -> Self {
        Self {
            option_value: Some(Value::Text(text.to_owned())),
        }
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    List(Texts),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

/// `CloseSessionResult`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct CloseResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_may_be_set_to_what_it_is_and_to_nothing_else() {
        let database = Database {
            name: "d".to_owned(),
            schema: Some("public".to_owned()),
        };
        let value = |value| OptionValue {
            option_value: Some(value),
        };
        let asked = [
            (CATALOG, OptionValue::of("d")),
            (SCHEMA, value(Value::Whole(1))),
            ("verbose", value(Value::Flag(true))),
        ];
        let session_options = asked.map(|(name, value)| (name.to_owned(), value)).into();
        let refused = set(&SetRequest { session_options }, &database).errors;
        let of = |name: &str| refused.get(name).map(SetError::value);
        assert_eq!(of(CATALOG), None);
        assert_eq!(of(SCHEMA), Some(SetFault::InvalidValue));
        assert_eq!(of("verbose"), Some(SetFault::InvalidName));
        let unset = [(SCHEMA.to_owned(), OptionValue { option_value: None })].into();
        let none = set(&SetRequest { session_options: unset }, &database);
        assert!(none.errors.is_empty(), "an option without value is as it was");
    }
}
