//! The action `pgflight.migrate`: its body, headers and schema as a command of the core. Pure; runs nothing.
//!
//! Options are those of a put, from the same places in the same order, so that with `as_load` the answer is what a put with
//! these options would do before its first row.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use tonic::metadata::MetadataMap;

use super::descriptor;
use crate::config::Config;
use crate::ingest::error::RequestError;
use crate::ingest::request::LoadOptions;
use crate::model::command::MigrateCommand;
use crate::model::ident::{Ident, TableName};
use crate::model::json;
use crate::model::options::StreamOptions;
use crate::server::arrow_ipc;

/// Reads a body.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub(super) fn command(body: &[u8], headers: &MetadataMap, config: &Config) -> Result<MigrateCommand, RequestError> {
    let mut body: Map<String, Value> = json::read(body).map_err(|error| {
        RequestError::Malformed(format!("the body of pgflight.migrate is not a JSON object: {error}"))
    })?;
    let (table, schema) = (text(&mut body, "table")?, text(&mut body, "schema")?);
    let Some(table) = table else {
        return Err(missing("table"));
    };
    let Some(arrow_schema) = text(&mut body, "arrow_schema")? else {
        return Err(missing("arrow_schema"));
    };
    let (dry_run, as_load) = (flag(&mut body, "dry_run")?, flag(&mut body, "as_load")?);
    let table = TableName {
        schema: schema.map(|schema| ident("schema", &schema)).transpose()?,
        name: ident("table", &table)?,
    };
    let schema = arrow(&arrow_schema)?;
    let own = StreamOptions::from_json(&body).map_err(|source| RequestError::Option {
        place: "body of pgflight.migrate",
        source,
    })?;
    let merged = own
        .merge_over(descriptor::header_options(headers)?)
        .merge_over(descriptor::metadata_options(&schema)?)
        .merge_over(config.stream_options(&table));
    let options = LoadOptions::resolve(merged)?;
    let for_load = as_load.then(|| options.loading());
    Ok(MigrateCommand {
        table,
        schema,
        mode: options.migrate_mode,
        rules: options.migrate_rules,
        for_load,
        lock_timeout: options.lock_timeout,
        profile: options.type_profile,
        primary_key: options.primary_key,
        performance_indexes: false,
        dry_run,
    })
}

fn arrow(text: &str) -> Result<SchemaRef, RequestError> {
    let malformed = |reason: String| {
        RequestError::Malformed(format!(
            "arrow_schema is not a schema in Arrow's stream format: {reason}"
        ))
    };
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| RequestError::Malformed(format!("arrow_schema is not base64: {error}")))?;
    let first = arrow_ipc::split_message(&mut Bytes::from(bytes)).map_err(malformed)?;
    let first = first.ok_or_else(|| malformed("it is empty".to_owned()))?;
    Ok(Arc::new(arrow_ipc::read_schema(&first.header).map_err(malformed)?))
}

fn text(body: &mut Map<String, Value>, key: &str) -> Result<Option<String>, RequestError> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(unfit(key, &other, "a string")),
    }
}

fn flag(body: &mut Map<String, Value>, key: &str) -> Result<bool, RequestError> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(other) => Err(unfit(key, &other, "true or false")),
    }
}

fn missing(key: &str) -> RequestError {
    RequestError::Malformed(format!("the body of pgflight.migrate has no {key:?}"))
}

fn unfit(key: &str, found: &Value, allowed: &str) -> RequestError {
    RequestError::Malformed(format!(
        "{key:?} in the body of pgflight.migrate is {found}; it must be {allowed}"
    ))
}

fn ident(what: &'static str, name: &str) -> Result<Ident, RequestError> {
    Ident::new(name).map_err(|source| RequestError::Name { what, source })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;
    use arrow::ipc::writer::StreamWriter;
    use serde_json::json;

    use super::*;
    use crate::model::options::{ForcedStrategy, MigrateMode, MigrateRewrite, WriteMode};

    fn empty_schema() -> String {
        let mut bytes = Vec::new();
        StreamWriter::try_new(&mut bytes, &Schema::empty())
            .unwrap()
            .finish()
            .unwrap();
        STANDARD.encode(bytes)
    }

    fn read(mut body: Value, headers: &MetadataMap) -> Result<MigrateCommand, RequestError> {
        body["arrow_schema"] = json!(empty_schema());
        let config = json!({"migrate_rewrite": "allow", "tables": {"t": {"forced_strategy": "drop"}}});
        command(
            body.to_string().as_bytes(),
            headers,
            &Config::from_json(&config).unwrap(),
        )
    }

    #[test]
    fn options_come_from_body_header_and_configuration_in_this_order() {
        let mut headers = MetadataMap::new();
        headers.insert("pgflight-migrate-mode", "off".parse().unwrap());
        let one = read(json!({"table": "t"}), &headers).unwrap();
        assert_eq!(one.mode, MigrateMode::Off);
        assert_eq!(one.rules.rewrite, MigrateRewrite::Allow);
        assert_eq!(one.rules.forced_strategy, ForcedStrategy::Drop);
        assert_eq!(
            (one.for_load.map(|load| load.write_mode), one.dry_run),
            (None, false),
            "a migration of its own right"
        );
        let body = json!({"table": "t", "migrate_mode": "forced", "write_mode": "overwrite", "as_load": true, "dry_run": true});
        let other = read(body, &headers).unwrap();
        assert_eq!(other.mode, MigrateMode::Forced);
        assert_eq!(
            (other.for_load.map(|load| load.write_mode), other.dry_run),
            (Some(WriteMode::Overwrite), true)
        );
    }

    #[test]
    fn a_body_that_does_not_fit_is_answered_with_what_to_send() {
        let message = |body: Value| read(body, &MetadataMap::new()).unwrap_err().to_string();
        assert!(message(json!({})).contains("has no \"table\""));
        assert!(message(json!({"table": 1})).contains("\"table\" in the body of pgflight.migrate is 1"));
        assert!(message(json!({"table": "t", "dry_run": "yes"})).contains("must be true or false"));
        let unknown = message(json!({"table": "t", "dryrun": true}));
        assert!(unknown.contains("unknown option \"dryrun\""), "{unknown}");
        let text = |bytes: &[u8]| {
            command(bytes, &MetadataMap::new(), &Config::default())
                .unwrap_err()
                .to_string()
        };
        assert!(text(b"[]").contains("not a JSON object"));
        assert!(text(br#"{"table": "t", "arrow_schema": "?"}"#).contains("not base64"));
        assert!(text(br#"{"table": "t", "arrow_schema": ""}"#).contains("not a schema"));
    }
}
