//! The JSON schema of a client's spec, made from the configuration's own schema. Pure.

use serde_json::{Map, Value, json};

use super::{KEEP_EMPTY, OUR_KEYS, PLUGIN_KEYS};
use crate::config;

/// Draft 2020-12: the Go plugin's keys and ours, nothing else, and the same verdicts on the Go plugin's own cases.
pub(super) fn spec_schema(connection_string_required: bool) -> Value {
    let whole = config::json_schema();
    let known = whole
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut properties = Map::new();
    for key in PLUGIN_KEYS.into_iter().chain(OUR_KEYS) {
        if let Some(property) = known.get(key) {
            properties.insert(key.to_owned(), property.clone());
        }
    }
    properties.insert(
        "connection_string".to_owned(),
        json!({
            "type": "string",
            "minLength": 1,
            "description": "Where rows go: a Postgres URI or keyword string. The server may insist on its own."
        }),
    );
    for (key, instead) in [
        ("lakebase", "Databricks Lakebase"),
        ("aws_iam_auth", "AWS IAM authentication"),
    ] {
        let description = format!("{instead} is not supported: put a user and password into connection_string.");
        properties.insert(key.to_owned(), json!({ "type": "null", "description": description }));
    }
    properties.insert(
        KEEP_EMPTY.to_owned(),
        json!({
            "type": "boolean",
            "description": "Tables that got no row in a sync keep the rows of earlier ones (write_mode overwrite-delete-stale)."
        }),
    );
    let mut spec = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if connection_string_required && let Some(spec) = spec.as_object_mut() {
        spec.insert("required".to_owned(), json!(["connection_string"]));
    }
    let mut definitions = whole
        .get("$defs")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    definitions.insert("Spec".to_owned(), spec);
    definitions = only_referenced(definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/Spec",
        "$defs": definitions,
    })
}

/// The definitions that `Spec` leads to.
fn only_referenced(mut all: Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    let mut wanted = vec!["Spec".to_owned()];
    while let Some(name) = wanted.pop() {
        if let Some(definition) = all.remove(&name) {
            references(&definition, &mut wanted);
            kept.insert(name, definition);
        }
    }
    kept
}

fn references(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(object) => {
            let name = object
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|text| text.strip_prefix("#/$defs/"));
            found.extend(name.map(str::to_owned));
            object.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}
