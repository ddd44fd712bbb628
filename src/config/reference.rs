//! The reference of all keys as Markdown, made from the schema; `docs/config.md` holds it and a test compares the two.

use serde_json::Value;

use super::schema::{self, SCHEMA};
use crate::model::options::StreamOptions;

/// One table row per key: path, what it takes, default, meaning. Keys of lists carry `[]`, keys of maps `<name>`.
pub fn reference_markdown() -> String {
    let mut text = String::from("| key | takes | default | meaning |\n|---|---|---|---|\n");
    rows(&SCHEMA, "", None, &mut text);
    text
}

fn rows(node: &Value, path: &str, defaults: Option<&Value>, text: &mut String) {
    let Some(properties) = schema::properties(schema::resolve(node)) else {
        return;
    };
    for (name, property) in properties {
        let path = schema::join(path, name);
        // Part of the shared option type, refused by `rules` for a table.
        let of_a_table = path.strip_prefix("tables.<name>.");
        if of_a_table.is_some_and(|name| StreamOptions::OF_ONE_STREAM.contains(&name)) {
            continue;
        }
        let default = property
            .get("default")
            .or_else(|| defaults.and_then(|defaults| defaults.get(name)));
        let target = schema::resolve(property);
        let shown = match default {
            None | Some(Value::Null | Value::Object(_) | Value::Array(_)) => String::new(),
            Some(Value::String(word)) => format!("`{word}`"),
            Some(value) => format!("`{value}`"),
        };
        let (takes, meaning) = (takes(target), schema::description(property));
        text.push_str(&format!("| `{path}` | {takes} | {shown} | {meaning} |\n"));
        if let Some(item) = target.get("items") {
            rows(item, &format!("{path}[]"), None, text);
        }
        if let Some(any) = target.get("additionalProperties").filter(|any| any.is_object()) {
            rows(any, &format!("{path}.<name>"), None, text);
        }
        rows(target, &path, default, text);
    }
}

fn takes(node: &Value) -> String {
    let words = schema::words(node);
    if !words.is_empty() {
        let words: Vec<String> = words
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| format!("`{word}`"))
            .collect();
        return words.join(", ");
    }
    match (schema::type_name(node), node.get("format").and_then(Value::as_str)) {
        (Some("integer"), _) => "whole number",
        (Some("boolean"), _) => "`true`, `false`",
        (Some("array"), _) => "list",
        (Some("object"), _) => "mapping",
        (_, Some("duration-go")) => "duration",
        (_, Some("password")) => "text (secret)",
        _ => "text",
    }
    .to_owned()
}
