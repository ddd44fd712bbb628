//! Checks a parsed configuration against the schema and reports every key that does not fit, with its full path.
//!
//! serde stops at the first error and does not know paths; this check goes first, so that a person mends a file once. It
//! knows the part of JSON schema that [`super::raw`]'s types produce, and nothing else.

use serde_json::Value;

use super::error::Problem;
use super::schema::{self, Kind};
use crate::model::duration::{DURATION_FORM, GoDuration};
use crate::model::suggest;

/// Keys of the Go plugin's spec that exist for hosted databases which pgflight does not know.
const REFUSED: [(&str, &str); 2] = [
    (
        "lakebase",
        "is not supported by pgflight; put a user and password into `connection_string`",
    ),
    (
        "aws_iam_auth",
        "is not supported by pgflight; put a user and password into `connection_string`",
    ),
];

/// Turns the text of a flag, variable or expanded reference into the scalar its key takes.
/// Text that does not fit stays text, and the check names it.
pub(super) fn scalar(kind: Kind, text: &str) -> Value {
    let text = match kind {
        Kind::Text => return Value::from(text),
        Kind::Integer | Kind::Boolean => text.trim(),
    };
    let parsed = match kind {
        Kind::Boolean => text.parse().ok().map(Value::Bool),
        _ => text
            .parse::<u64>()
            .map(Value::from)
            .or_else(|_| text.parse::<i64>().map(Value::from))
            .ok(),
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// The kind of scalar that a schema takes.
pub(super) fn kind_of(node: &Value) -> Kind {
    match schema::type_name(schema::resolve(node)) {
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        _ => Kind::Text,
    }
}

/// Adds a problem for every part of `value` that `node` does not allow.
pub(super) fn check(node: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let node = schema::resolve(node);
    let words = schema::words(node);
    if !words.is_empty() {
        return check_word(&words, value, path, problems);
    }
    let fits = match (schema::type_name(node), value) {
        (Some("object"), Value::Object(_)) => {
            return check_object(node, value, path, problems);
        }
        (Some("array"), Value::Array(items)) => {
            if items.is_empty() && node.get("minItems").is_some_and(|least| *least == 1) {
                problems.push(Problem::new(path, "is an empty list; at least one entry is needed"));
            }
            let Some(item) = node.get("items") else { return };
            for (at, value) in items.iter().enumerate() {
                check(item, value, &format!("{path}[{at}]"), problems);
            }
            return;
        }
        (Some("string"), Value::String(text)) => string_fits(node, text),
        (Some("integer"), Value::Number(number)) => integer_fits(node, number),
        (Some("boolean"), Value::Bool(_)) | (None, _) => true,
        _ => false,
    };
    if !fits {
        problems.push(Problem::new(
            path,
            format!("is {}; allowed: {}", shown(node, value), allowed(node)),
        ));
    }
}

fn check_word(words: &[String], value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let found = value.as_str();
    if found.is_some_and(|found| words.iter().any(|word| word == found)) {
        return;
    }
    let hint = found
        .map(|found| suggest::hint(found, words.iter().map(String::as_str)))
        .unwrap_or_default();
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    let message = format!("is {}; allowed: {}{hint}", brief(value), named.join(", "));
    problems.push(Problem::new(path, message));
}

fn check_object(node: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let (Some(object), known) = (value.as_object(), schema::properties(node)) else {
        return;
    };
    for (name, value) in object {
        let inner = schema::join(path, name);
        if let Some(property) = known.and_then(|known| known.get(name)) {
            check(property, value, &inner, problems);
        } else if let Some(any) = node.get("additionalProperties").filter(|any| any.is_object()) {
            check(any, value, &inner, problems);
        } else if let Some((_, message)) = REFUSED.iter().find(|(key, _)| path.is_empty() && key == name) {
            problems.push(Problem::new(inner, *message));
        } else {
            let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
            let mut hint = suggest::hint(name, names.clone());
            if hint.is_empty() {
                hint = format!("; keys here are {}", names.collect::<Vec<_>>().join(", "));
            }
            problems.push(Problem::new(inner, format!("is not a known key{hint}")));
        }
    }
    let required = node.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            problems.push(Problem::new(schema::join(path, name), "is missing"));
        }
    }
}

fn string_fits(node: &Value, text: &str) -> bool {
    if is_duration(node) {
        return text.parse::<GoDuration>().is_ok();
    }
    !(text.is_empty() && node.get("minLength").is_some_and(|least| *least != 0))
}

fn integer_fits(node: &Value, number: &serde_json::Number) -> bool {
    let bound = |name: &str| node.get(name).and_then(Value::as_i64);
    let Some(value) = number.as_i64() else {
        // Above the signed range only keys without an upper bound fit; fractions never do.
        return number.is_u64() && bound("maximum").is_none();
    };
    bound("minimum").is_none_or(|least| value >= least) && bound("maximum").is_none_or(|most| value <= most)
}

fn is_duration(node: &Value) -> bool {
    node.get("format").and_then(Value::as_str) == Some("duration-go")
}

fn allowed(node: &Value) -> String {
    let bound = |name: &str| node.get(name).and_then(Value::as_i64);
    match schema::type_name(node) {
        Some("integer") => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            (Some(least), None) => format!("a whole number from {least}"),
            _ => "a whole number".to_owned(),
        },
        Some("boolean") => "true, false".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => "a mapping of keys to values".to_owned(),
        _ if is_duration(node) => DURATION_FORM.to_owned(),
        _ if node.get("minLength").is_some() => "a text that is not empty".to_owned(),
        _ => "a text".to_owned(),
    }
}

/// The value as found; a secret's is never repeated.
fn shown(node: &Value, value: &Value) -> String {
    let secret = node.get("format").and_then(Value::as_str) == Some("password");
    match value {
        Value::String(text) if secret && !text.is_empty() => "a text that does not fit".to_owned(),
        Value::Number(_) if secret => "a number".to_owned(),
        value => brief(value),
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            let start: String = text.chars().take(60).collect();
            format!("{start:?}...")
        }
        scalar => scalar.to_string(),
    }
}
