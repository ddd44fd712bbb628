//! The JSON schema of the configuration, and what follows from it: the list of single keys with their environment
//! variables and flags.
//!
//! The schema comes from the doc comments and types in [`super::raw`]; it is the one description of the keys, from which
//! validation, `--help`, environment names and the reference in `docs/config.md` are made.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::raw::RawConfig;

/// The JSON schema (draft 2020-12) of the configuration file and of a CloudQuery spec for this destination.
pub fn json_schema() -> Value {
    schemars::schema_for!(RawConfig).to_value()
}

/// The schema, made once.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(json_schema);

/// What kind of scalar a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, also one of a list.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// One key that holds a single value, and therefore also has an environment variable and a flag.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Full path, as in `limits.max_streams`.
    pub path: String,
    /// Environment variable, as in `PGFLIGHT_LIMITS_MAX_STREAMS`.
    pub variable: String,
    /// Flag without its dashes, as in `limits-max-streams`.
    pub flag: String,
    /// What it takes.
    pub kind: Kind,
    /// True when its value must not be shown; such a key can also be read from the file named by `<variable>_FILE`.
    pub secret: bool,
    /// One sentence.
    pub description: String,
    /// The default, when there is one.
    pub default: Option<Value>,
    /// The words it takes, when they are a closed list.
    pub words: Vec<String>,
}

/// Every single-valued key, in the order of the schema. Lists and maps have no flag and no variable.
pub fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let mut keys = Vec::new();
        collect(&SCHEMA, "", None, &mut keys);
        keys
    });
    &KEYS
}

fn collect(node: &Value, path: &str, default: Option<&Value>, keys: &mut Vec<Key>) {
    let target = resolve(node);
    if let Some(properties) = target.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let path = join(path, name);
            // A nested struct's own default lists its fields' defaults.
            let inherited = default.and_then(|default| default.get(name));
            let default = property.get("default").or(inherited);
            collect(property, &path, default, keys);
        }
        return;
    }
    let words = words(target);
    let kind = match type_name(target) {
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        Some("string") => Kind::Text,
        _ if !words.is_empty() => Kind::Text,
        _ => return,
    };
    keys.push(Key {
        path: path.to_owned(),
        variable: format!("PGFLIGHT_{}", path.replace('.', "_").to_uppercase()),
        flag: path.replace(['.', '_'], "-"),
        kind,
        secret: target.get("format").and_then(Value::as_str) == Some("password"),
        description: description(node),
        default: default.filter(|value| !value.is_null()).cloned(),
        words,
    });
}

/// `parent.name`, or `name` at the top.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// The description of a key, or of the type it refers to.
pub(super) fn description(node: &Value) -> String {
    let own = node.get("description").and_then(Value::as_str);
    let referred = || resolve(node).get("description").and_then(Value::as_str);
    own.or_else(referred).unwrap_or_default().replace('\n', " ")
}

/// The schema that decides: `$ref` followed, and the branch of an optional key that is not `null`.
pub(super) fn resolve(node: &Value) -> &Value {
    let mut node = node;
    loop {
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            match SCHEMA.pointer(pointer) {
                Some(target) => node = target,
                None => return node,
            }
        } else if let Some(branches) = node.get("anyOf").and_then(Value::as_array) {
            match branches.iter().find(|branch| type_name(branch) != Some("null")) {
                Some(branch) => node = branch,
                None => return node,
            }
        } else {
            return node;
        }
    }
}

/// The schema's type, `null` left out.
pub(super) fn type_name(node: &Value) -> Option<&str> {
    match node.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

/// The closed list of words that a schema allows, or nothing.
pub(super) fn words(node: &Value) -> Vec<String> {
    let from = |values: &Vec<Value>, member: Option<&str>| -> Vec<String> {
        let picked = values.iter().filter_map(|value| match member {
            Some(member) => value.get(member).and_then(Value::as_str),
            None => value.as_str(),
        });
        picked.map(str::to_owned).collect()
    };
    let listed = node
        .get("enum")
        .and_then(Value::as_array)
        .map(|values| from(values, None));
    let constants = || {
        node.get("oneOf")
            .and_then(Value::as_array)
            .map(|values| from(values, Some("const")))
    };
    listed.or_else(constants).unwrap_or_default()
}

/// The named properties of an object schema.
pub(super) fn properties(node: &Value) -> Option<&Map<String, Value>> {
    node.get("properties").and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> &'static Key {
        keys().iter().find(|key| key.path == path).unwrap()
    }

    #[test]
    fn every_single_valued_key_has_a_variable_a_flag_and_a_description() {
        for key in keys() {
            assert!(!key.description.is_empty(), "{}", key.path);
        }
        let streams = key("limits.max_streams");
        assert_eq!(streams.variable, "PGFLIGHT_LIMITS_MAX_STREAMS");
        assert_eq!(streams.flag, "limits-max-streams");
        assert_eq!((streams.kind, &streams.default), (Kind::Integer, &Some(256.into())));
        assert!(key("connection_string").secret);
        assert!(key("pgvector_config.openai_embedding.api_key").secret);
        assert_eq!(
            key("write_mode").words,
            ["append", "overwrite", "overwrite-delete-stale", "replace"]
        );
        assert_eq!(key("commit").words, ["atomic", "batch"]);
        assert_eq!(key("log.level").default, Some("info".into()));
    }

    #[test]
    fn variables_and_flags_are_unique() {
        let count = keys().len();
        for pick in [|key: &Key| key.variable.clone(), |key: &Key| key.flag.clone()] {
            let mut names: Vec<String> = keys().iter().map(pick).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn the_schema_names_its_draft_and_closes_every_object() {
        assert_eq!(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let definitions = SCHEMA["$defs"].as_object().unwrap();
        for (name, definition) in definitions {
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
        assert_eq!(SCHEMA["additionalProperties"], false);
    }
}
