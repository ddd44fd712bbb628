//! The effective configuration as YAML, secrets redacted, with the origin of every value that is not a default.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::layers::{Layers, Origin};
use super::raw::RawConfig;
use super::schema;

/// The configuration as a YAML document. It parses back to the same configuration, apart from its secrets.
pub(super) fn yaml(raw: &RawConfig, origins: &BTreeMap<String, Origin>) -> String {
    let mut text = String::new();
    // Every field is a text, number, flag, list or map, and all maps have text keys: this cannot fail.
    if let Ok(Value::Object(tree)) = serde_json::to_value(raw) {
        object(&tree, "", 0, origins, &mut text);
    }
    text
}

fn object(tree: &Map<String, Value>, path: &str, depth: usize, origins: &BTreeMap<String, Origin>, text: &mut String) {
    for (name, value) in tree {
        let path = schema::join(path, name);
        text.extend(std::iter::repeat_n("  ", depth));
        text.push_str(&scalar(&Value::from(name.as_str())));
        text.push(':');
        entry(value, &path, depth, origins, text);
    }
}

fn entry(value: &Value, path: &str, depth: usize, origins: &BTreeMap<String, Origin>, text: &mut String) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            text.push('\n');
            object(inner, path, depth + 1, origins, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for (at, item) in items.iter().enumerate() {
                text.extend(std::iter::repeat_n("  ", depth + 1));
                text.push('-');
                entry(item, &format!("{path}[{at}]"), depth + 1, origins, text);
            }
        }
        value => {
            text.push(' ');
            text.push_str(&scalar(value));
            if let Some(origin) = Layers::origin_of(origins, path) {
                text.push_str(&format!("  # {origin}"));
            }
            text.push('\n');
        }
    }
}

/// A scalar or an empty collection; texts that YAML could read as something else are quoted as in JSON.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(safe);
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !reserved.contains(&text.to_lowercase().as_str()) {
        return text.clone();
    }
    value.to_string()
}
