//! What a ticket or descriptor asks to read. Pure.
//!
//! A ticket is a JSON object, or a table's plain name: `t`, `s.t`, with parts in double quotes where they hold dots or
//! quotes. `GetFlightInfo` hands out the JSON form.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::parts;
use crate::ingest::error::RequestError;
use crate::ingest::ports::ReadRequest;
use crate::model::ident::{Ident, TableName};
use crate::model::{json, suggest};

const KEYS: [&str; 7] = [
    "table",
    "schema",
    "columns",
    "limit",
    "arrow_schema",
    "partitions",
    "part",
];
const EXAMPLE: &str =
    "send a table's name, or for example {\"table\": \"t\", \"schema\": \"s\", \"columns\": [\"a\"], \"limit\": 10}";

/// Reads a ticket.
///
/// # Errors
/// A sentence that says what a ticket must look like.
pub fn of_ticket(ticket: &[u8]) -> Result<ReadRequest, RequestError> {
    match of_bytes(ticket)? {
        (request, None) => Ok(request),
        (_, Some(_)) => Err(malformed(
            "\"partitions\" is for GetFlightInfo, whose answer has a ticket for each part",
        )),
    }
}

fn of_bytes(bytes: &[u8]) -> Result<(ReadRequest, Option<u32>), RequestError> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    if text.trim_start().starts_with('{') {
        return of_json(text);
    }
    Ok((ReadRequest::all(table_of_name(text)?), None))
}

/// Reads a descriptor: PATH `[table]` or `[schema, table]`, or CMD with what a ticket holds, and in how many parts it is to be read.
///
/// # Errors
/// A sentence that says what a descriptor must look like.
pub fn of_descriptor(descriptor: &FlightDescriptor) -> Result<(ReadRequest, Option<u32>), RequestError> {
    match DescriptorType::try_from(descriptor.r#type) {
        Ok(DescriptorType::Path) => Ok((ReadRequest::all(table_of_parts(&descriptor.path)?), None)),
        Ok(DescriptorType::Cmd) => of_bytes(&descriptor.cmd),
        _ => Err(malformed("the descriptor is neither a PATH nor a CMD")),
    }
}

/// The ticket for a request, as JSON.
pub fn to_ticket(request: &ReadRequest) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("table".to_owned(), serde_json::json!(request.table.name.as_str()));
    if let Some(schema) = &request.table.schema {
        object.insert("schema".to_owned(), serde_json::json!(schema.as_str()));
    }
    if let Some(columns) = &request.columns {
        object.insert("columns".to_owned(), serde_json::json!(columns));
    }
    if let Some(limit) = request.limit {
        object.insert("limit".to_owned(), serde_json::json!(limit));
    }
    if let Some(schema) = &request.schema {
        object.insert(
            "arrow_schema".to_owned(),
            serde_json::json!(BASE64.encode(encapsulated(schema))),
        );
    }
    if let Some(part) = &request.part {
        object.insert("part".to_owned(), serde_json::json!(part));
    }
    Value::Object(object).to_string().into_bytes()
}

/// A schema as an encapsulated IPC message, what pyarrow's `schema.serialize()` gives.
fn encapsulated(schema: &Schema) -> Vec<u8> {
    let options = arrow::ipc::writer::IpcWriteOptions::default();
    let message = arrow_flight::IpcMessage::try_from(arrow_flight::SchemaAsIpc::new(schema, &options));
    message.map(|message| message.0.to_vec()).unwrap_or_default()
}

fn of_json(text: &str) -> Result<(ReadRequest, Option<u32>), RequestError> {
    let object: Map<String, Value> =
        json::read(text.as_bytes()).map_err(|error| malformed(&format!("it is not a JSON object: {error}")))?;
    if let Some(unknown) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let hint = suggest::hint(unknown, KEYS);
        return Err(malformed(&format!("it has the unknown key {unknown:?}{hint}")));
    }
    let mut parts = Vec::new();
    for key in ["schema", "table"] {
        match object.get(key) {
            None | Some(Value::Null) if key == "schema" => {}
            Some(Value::String(name)) => parts.push(name.clone()),
            _ => return Err(malformed(&format!("its {key:?} is not a string"))),
        }
    }
    let mut request = ReadRequest::all(table_of_parts(&parts)?);
    request.columns = match object.get("columns") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            serde_json::from_value(value.clone()).map_err(|_| malformed("its \"columns\" is not a list of strings"))?,
        ),
    };
    request.limit = match object.get("limit") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_u64()
                .ok_or_else(|| malformed("its \"limit\" is not a number of rows"))?,
        ),
    };
    request.schema = match object.get("arrow_schema") {
        None | Some(Value::Null) => None,
        Some(value) => Some(arrow_schema(value)?),
    };
    request.part = match object.get("part") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            serde_json::from_value(value.clone())
                .map_err(|_| malformed("its \"part\" is none that GetFlightInfo handed out"))?,
        ),
    };
    let partitions = match object.get("partitions") {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            value
                .as_u64()
                .and_then(parts::within)
                .ok_or_else(|| parts::refused("descriptor"))?,
        ),
    };
    Ok((request, partitions))
}

fn arrow_schema(value: &Value) -> Result<SchemaRef, RequestError> {
    let wrong = || {
        malformed(
            "its \"arrow_schema\" is not an Arrow IPC schema message in base64 (pyarrow: base64.b64encode(schema.serialize()))",
        )
    };
    let bytes = value
        .as_str()
        .and_then(|text| BASE64.decode(text).ok())
        .ok_or_else(wrong)?;
    // The IPC reader panics on some invalid type descriptions.
    let read = catch_unwind(AssertUnwindSafe(|| try_schema_from_ipc_buffer(&bytes)));
    read.ok().and_then(Result::ok).map(Arc::new).ok_or_else(wrong)
}

fn table_of_name(text: &str) -> Result<TableName, RequestError> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let part = parts.last_mut();
        match (character, part) {
            ('"', Some(part)) if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            ('"', _) => quoted = !quoted,
            ('.', _) if !quoted => parts.push(String::new()),
            (character, Some(part)) => part.push(character),
            (_, None) => {}
        }
    }
    if quoted {
        return Err(malformed("a double quote is not closed"));
    }
    table_of_parts(&parts)
}

fn table_of_parts(parts: &[String]) -> Result<TableName, RequestError> {
    let ident = |what: &'static str, name: &String| {
        Ident::new(name.as_str()).map_err(|source| RequestError::Name { what, source })
    };
    match parts {
        [table] => Ok(TableName::bare(ident("table", table)?)),
        [schema, table] => Ok(TableName::qualified(ident("schema", schema)?, ident("table", table)?)),
        _ => Err(malformed(&format!(
            "the name has {} parts; it must be [table] or [schema, table]",
            parts.len()
        ))),
    }
}

fn malformed(reason: &str) -> RequestError {
    RequestError::Malformed(format!(
        "the ticket or descriptor names no table to read: {reason}; {EXAMPLE}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ports::part::Part;
    use arrow::datatypes::{DataType, Field};

    fn read(ticket: &str) -> ReadRequest {
        of_ticket(ticket.as_bytes()).unwrap()
    }

    fn refusal(ticket: &str) -> String {
        of_ticket(ticket.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_name_is_a_ticket() {
        assert_eq!(read("t").table.quoted(), "\"t\"");
        assert_eq!(read("s.T x").table.quoted(), "\"s\".\"T x\"");
        assert_eq!(read("\"a.b\".\"c\"\"d\"").table.quoted(), "\"a.b\".\"c\"\"d\"");
        assert!(refusal("a.b.c").contains("3 parts"));
        assert!(refusal("\"a").contains("not closed"));
        assert!(refusal("").contains("name is empty"));
    }

    #[test]
    fn a_json_ticket_says_what_to_read_and_survives_a_round_trip() {
        let mut request = read(r#"{"schema": "s", "table": "t", "columns": ["b", "a"], "limit": 5}"#);
        assert_eq!(request.table.quoted(), "\"s\".\"t\"");
        assert_eq!(request.columns, Some(vec!["b".to_owned(), "a".to_owned()]));
        assert_eq!(request.limit, Some(5));
        let field = Field::new("b", DataType::LargeUtf8, false).with_metadata([("k", "v")]);
        request.schema = Some(Arc::new(Schema::new(vec![field])));
        request.part = Some(Part {
            snapshot: "00000003-0000001B-1".to_owned(),
            number: 1,
            from: Some(10),
            to: None,
            tables: vec![16_384],
        });
        assert_eq!(of_ticket(&to_ticket(&request)).unwrap(), request);
    }

    #[test]
    fn a_bad_ticket_is_answered_with_what_to_send() {
        assert!(refusal("{").contains("not a JSON object"));
        assert!(refusal("{}").contains("\"table\" is not a string"));
        assert!(refusal(r#"{"table": "t", "colums": []}"#).contains("did you mean \"columns\""));
        assert!(refusal(r#"{"table": "t", "limit": -1}"#).contains("number of rows"));
        assert!(refusal(r#"{"table": "t", "columns": "a"}"#).contains("list of strings"));
        assert!(refusal(r#"{"table": "t", "arrow_schema": "AAAA"}"#).contains("base64"));
        assert!(refusal(r#"{"table": "t", "part": {"number": 1}}"#).contains("GetFlightInfo"));
        assert!(refusal(r#"{"table": "t", "partitions": 2}"#).contains("GetFlightInfo"));
    }

    #[test]
    fn a_descriptor_is_a_path_or_holds_a_ticket() {
        let path = FlightDescriptor::new_path(vec!["s".to_owned(), "t".to_owned()]);
        assert_eq!(of_descriptor(&path).unwrap().0.table.quoted(), "\"s\".\"t\"");
        let command = FlightDescriptor::new_cmd(br#"{"table": "t", "partitions": 4}"#.to_vec());
        let (request, partitions) = of_descriptor(&command).unwrap();
        assert_eq!((request.table.quoted().as_str(), partitions), ("\"t\"", Some(4)));
        let empty = FlightDescriptor::default();
        assert!(
            of_descriptor(&empty)
                .unwrap_err()
                .to_string()
                .contains("neither a PATH nor a CMD")
        );
    }
}
