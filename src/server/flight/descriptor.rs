//! From a FlightDescriptor, gRPC headers and schema metadata to a target table and options. Pure.
//!
//! Precedence: descriptor > header `pgflight-<option>` > schema metadata `pgflight.<option>` > per-table configuration >
//! server default. An option that is not known is refused wherever it stands.

use arrow::datatypes::Schema;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use serde_json::Value;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use super::{parts, sql};
use crate::ingest::error::RequestError;
use crate::model::ident::{Ident, TableName};
use crate::model::json;
use crate::model::options::StreamOptions;
use crate::model::presence::Presence;

/// gRPC headers that carry options.
const HEADER_PREFIX: &str = "pgflight-";
/// Schema metadata keys that carry options.
const METADATA_PREFIX: &str = "pgflight.";

/// Where a plain descriptor points to, and the options that it carries itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Table to write.
    pub table: TableName,
    /// Options of the descriptor alone.
    pub options: StreamOptions,
    /// What a client of Flight SQL expects of the table; `None` for plain Flight, whose answer is another one.
    pub ingest: Option<Presence>,
}

/// What a descriptor asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A plain table.
    Plain(Target),
    /// A Flight SQL command.
    FlightSql(arrow_flight::sql::Command),
}

/// Reads a descriptor.
///
/// # Errors
/// A sentence that says what the descriptor must look like.
pub fn read(descriptor: &FlightDescriptor) -> Result<Command, RequestError> {
    match DescriptorType::try_from(descriptor.r#type) {
        Ok(DescriptorType::Path) => Ok(Command::Plain(Target {
            table: table_of_path(&descriptor.path)?,
            options: StreamOptions::default(),
            ingest: None,
        })),
        Ok(DescriptorType::Cmd) => command(&descriptor.cmd),
        _ => Err(RequestError::Malformed(format!(
            "the Flight descriptor has type {}; use a PATH [table] or [schema, table], or a CMD with a JSON object",
            descriptor.r#type
        ))),
    }
}

fn table_of_path(path: &[String]) -> Result<TableName, RequestError> {
    match path {
        [table] => Ok(TableName::bare(ident("table", table)?)),
        [schema, table] => Ok(TableName::qualified(ident("schema", schema)?, ident("table", table)?)),
        _ => Err(RequestError::Malformed(format!(
            "the descriptor's path has {} parts; it must be [table] or [schema, table]",
            path.len()
        ))),
    }
}

fn command(cmd: &[u8]) -> Result<Command, RequestError> {
    let first = cmd.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return json_command(cmd).map(Command::Plain);
    }
    if let Some(command) = sql::command(cmd)? {
        return Ok(Command::FlightSql(command));
    }
    Err(RequestError::Malformed(
        "the descriptor's command is neither a JSON object nor a Flight SQL command; send for example {\"table\": \"t\"}"
            .to_owned(),
    ))
}

fn json_command(cmd: &[u8]) -> Result<Target, RequestError> {
    let value = json::parse(cmd)
        .map_err(|error| RequestError::Malformed(format!("the descriptor's command is not valid JSON: {error}")))?;
    let Value::Object(mut object) = value else {
        return Err(RequestError::Malformed(
            "the descriptor's command must be a JSON object".to_owned(),
        ));
    };
    let table = match object.remove("table") {
        Some(Value::String(table)) => ident("table", &table)?,
        Some(other) => {
            return Err(RequestError::Malformed(format!(
                "\"table\" in the descriptor is {other}; it must be a string"
            )));
        }
        None => {
            return Err(RequestError::Malformed(
                "the descriptor's command names no \"table\"; send for example {\"table\": \"t\"}".to_owned(),
            ));
        }
    };
    let schema = match object.remove("schema") {
        None | Some(Value::Null) => None,
        Some(Value::String(schema)) => Some(ident("schema", &schema)?),
        Some(other) => {
            return Err(RequestError::Malformed(format!(
                "\"schema\" in the descriptor is {other}; it must be a string"
            )));
        }
    };
    let options = StreamOptions::from_json(&object).map_err(|source| RequestError::Option {
        place: "descriptor",
        source,
    })?;
    Ok(Target {
        table: TableName { schema, name: table },
        options,
        ingest: None,
    })
}

fn ident(what: &'static str, name: &str) -> Result<Ident, RequestError> {
    Ident::new(name).map_err(|source| RequestError::Name { what, source })
}

/// Options that came as gRPC headers.
///
/// # Errors
/// An unknown option, or a value that does not fit.
pub fn header_options(headers: &MetadataMap) -> Result<StreamOptions, RequestError> {
    let mut options = Once::of("header");
    for header in headers.iter() {
        let KeyAndValueRef::Ascii(key, value) = header else {
            continue;
        };
        let Some(name) = key.as_str().strip_prefix(HEADER_PREFIX) else {
            continue;
        };
        // Of reads; drivers send the headers of a connection with all of its calls.
        if name == parts::OPTION {
            continue;
        }
        let value = value.to_str().map_err(|_| {
            RequestError::Malformed(format!(
                "the header {:?} is not ASCII text; send the option in the descriptor",
                key.as_str()
            ))
        })?;
        options.set(name, value)?;
    }
    Ok(options.options)
}

/// Options of one place, where each may stand once: `pgflight-batch-size` and `pgflight-batch_size` are the same.
pub(crate) struct Once {
    place: &'static str,
    options: StreamOptions,
    named: Vec<String>,
}

impl Once {
    pub(crate) fn of(place: &'static str) -> Self {
        let (options, named) = Default::default();
        Self { place, options, named }
    }

    pub(crate) fn into_options(self) -> StreamOptions {
        self.options
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), RequestError> {
        let known = name.replace('-', "_");
        if self.named.contains(&known) {
            return Err(RequestError::Malformed(format!(
                "the option {known} stands twice in the {}; send it once",
                self.place
            )));
        }
        let place = self.place;
        let set = self.options.set(name, value);
        set.map_err(|source| RequestError::Option { place, source })?;
        self.named.push(known);
        Ok(())
    }
}

/// Options that came as Arrow schema metadata. Keys of other systems are left alone.
///
/// # Errors
/// As [`header_options`].
pub fn metadata_options(schema: &Schema) -> Result<StreamOptions, RequestError> {
    let mut options = Once::of("schema metadata");
    for (key, value) in schema.metadata().iter() {
        let Some(name) = key.strip_prefix(METADATA_PREFIX) else {
            continue;
        };
        // The comment of the table is a property of the schema, not an option of the load.
        if name == "comment" {
            continue;
        }
        options.set(name, value)?;
    }
    Ok(options.options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options::WriteMode;
    use arrow_flight::sql::{Any, CommandStatementQuery, ProstMessageExt};
    use prost::Message;

    fn path(parts: &[&str]) -> FlightDescriptor {
        FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    fn json(text: &str) -> Result<Command, RequestError> {
        read(&FlightDescriptor::new_cmd(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_path_names_a_table_with_or_without_schema() {
        let Command::Plain(target) = read(&path(&["s", "Robert\"); --"])).unwrap() else {
            panic!("plain")
        };
        assert_eq!(target.table.quoted(), "\"s\".\"Robert\"\"); --\"");
        assert!(read(&path(&[])).unwrap_err().to_string().contains("0 parts"));
        assert!(
            read(&path(&["a", "b", "c"]))
                .unwrap_err()
                .to_string()
                .contains("[schema, table]")
        );
        assert!(read(&path(&[""])).unwrap_err().to_string().contains("name is empty"));
    }

    #[test]
    fn a_json_command_names_table_and_options() {
        let Command::Plain(target) = json(r#" {"table":"t","schema":"s","write_mode":"overwrite"}"#).unwrap() else {
            panic!("plain")
        };
        assert_eq!(target.table.quoted(), "\"s\".\"t\"");
        assert_eq!(target.options.write_mode, Some(WriteMode::Overwrite));
    }

    #[test]
    fn a_bad_command_is_answered_with_what_to_send() {
        let message = |text: &str| json(text).unwrap_err().to_string();
        assert!(message("{").contains("not valid JSON"));
        assert!(message("nonsense").contains("neither a JSON object nor a Flight SQL command"));
        assert!(message("{}").contains("names no \"table\""));
        assert!(message(r#"{"table":1}"#).contains("must be a string"));
        let unknown = message(r#"{"table":"t","wirte_mode":"append"}"#);
        assert!(
            unknown.contains("wirte_mode") && unknown.contains("write_mode"),
            "{unknown}"
        );
        let value = message(r#"{"table":"t","write_mode":"upsert"}"#);
        assert!(value.contains("upsert") && value.contains("overwrite"), "{value}");
    }

    #[test]
    fn a_flight_sql_command_is_recognised() {
        let any = CommandStatementQuery {
            query: "select 1".into(),
            transaction_id: None,
        }
        .as_any();
        let command = read(&FlightDescriptor::new_cmd(Any::encode_to_vec(&any))).unwrap();
        let Command::FlightSql(arrow_flight::sql::Command::CommandStatementQuery(read)) = command else {
            panic!("{command:?}")
        };
        assert_eq!(read.query, "select 1");
    }

    #[test]
    fn headers_and_metadata_carry_the_same_options() {
        let mut headers = MetadataMap::new();
        headers.insert("pgflight-write-mode", "overwrite".parse().unwrap());
        headers.insert("other", "x".parse().unwrap());
        assert_eq!(header_options(&headers).unwrap().write_mode, Some(WriteMode::Overwrite));
        let metadata = [("pgflight.write_mode", "append"), ("pandas", "{}")];
        let schema = Schema::empty().with_metadata(metadata);
        assert_eq!(metadata_options(&schema).unwrap().write_mode, Some(WriteMode::Append));
        headers.insert("pgflight-nope", "1".parse().unwrap());
        assert!(header_options(&headers).unwrap_err().to_string().contains("nope"));
    }
}
