//! Puts the layers of configuration together: flag over environment over file over default, with the origin of each key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{ConfigError, Problem};
use super::expand::expand;
use super::schema::{self, SCHEMA};
use super::shape;
use super::source::Source;
use crate::model::suggest;

/// The file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "pgflight.yaml";
/// The variable that names the file.
pub const FILE_VARIABLE: &str = "PGFLIGHT_CONFIG";

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// The configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "from --{name}"),
            Self::Variable(name) => write!(f, "from {name}"),
            Self::File(path) => write!(f, "from {}", path.display()),
        }
    }
}

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Full key path and text, in the order given; the later of two wins.
    pub values: Vec<(String, String)>,
}

/// All layers, merged: only what was set, no defaults.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) tree: Map<String, Value>,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) file: Option<PathBuf>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// Reads every layer. Problems of single keys are collected; a file that cannot be read or parsed is an error.
    pub(super) fn read(source: &dyn Source, flags: &Flags) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        layers.read_file(source, flags)?;
        layers.read_variables(source);
        for (path, text) in &flags.values {
            let Some(key) = schema::keys().iter().find(|key| key.path == *path) else {
                let hint = suggest::hint(path, schema::keys().iter().map(|key| key.path.as_str()));
                layers
                    .problems
                    .push(Problem::new(path, format!("is not a known key{hint}")));
                continue;
            };
            let value = shape::scalar(key.kind, text);
            layers.set(path, value, Origin::Flag(key.flag.clone()));
        }
        Ok(layers)
    }

    fn read_file(&mut self, source: &dyn Source, flags: &Flags) -> Result<(), ConfigError> {
        let named = flags
            .file
            .clone()
            .or_else(|| source.variable(FILE_VARIABLE).map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = match source.read(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        let tree = parse_yaml(&path, &text)?;
        let mut expansion = Expansion {
            source,
            problems: &mut self.problems,
        };
        let tree = expansion.object(Some(&SCHEMA), tree, "");
        note_origins(&tree, "", &Origin::File(path.clone()), &mut self.origins);
        self.tree = tree;
        self.file = Some(path);
        Ok(())
    }

    fn read_variables(&mut self, source: &dyn Source) {
        for key in schema::keys() {
            if let Some(text) = source.variable(&key.variable) {
                let origin = Origin::Variable(key.variable.clone());
                self.set(&key.path, shape::scalar(key.kind, &text), origin);
                continue;
            }
            let file_variable = format!("{}_FILE", key.variable);
            let Some(path) = source.variable(&file_variable).filter(|_| key.secret) else {
                continue;
            };
            match source.read(Path::new(&path)) {
                Ok(text) => {
                    let text = text.trim_end_matches(['\r', '\n']);
                    self.set(&key.path, Value::from(text), Origin::Variable(file_variable));
                }
                Err(error) => {
                    let message = format!("cannot be read from {path:?}, named by {file_variable}: {error}");
                    self.problems.push(Problem::new(&key.path, message));
                }
            }
        }
        self.warn_about_near_misses(source);
    }

    /// A variable with our prefix that no key has may belong to something else, unless it looks like one of ours.
    fn warn_about_near_misses(&mut self, source: &dyn Source) {
        let known: Vec<&str> = schema::keys().iter().map(|key| key.variable.as_str()).collect();
        for name in source.variable_names() {
            let plain = name.strip_suffix("_FILE").unwrap_or(&name);
            if !name.starts_with("PGFLIGHT_") || known.contains(&plain) || name == FILE_VARIABLE {
                continue;
            }
            let hint = suggest::closest(&name, known.iter().copied());
            if let Some(meant) = hint.filter(|meant| strsim::levenshtein(meant, &name) <= 3) {
                self.warnings.push(format!(
                    "environment variable {name} is not known and ignored; did you mean {meant}?"
                ));
            }
        }
    }

    fn set(&mut self, path: &str, value: Value, origin: Origin) {
        insert(&mut self.tree, path, value);
        self.origins.insert(path.to_owned(), origin);
    }

    /// Where a key, or the closest key above it, was set.
    pub(super) fn origin_of<'a>(origins: &'a BTreeMap<String, Origin>, key: &str) -> Option<&'a Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = origins.get(key) {
                return Some(origin);
            }
            key = key.rsplit_once(['.', '['])?.0;
        }
    }
}

/// Sets a value at a dotted path; whatever stands in the way and is no mapping is replaced.
fn insert(tree: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        tree.insert(path.to_owned(), value);
        return;
    };
    let inner = tree.entry(first).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

/// `upper` laid over `lower`, mapping by mapping; lists and scalars are replaced whole.
pub(super) fn overlay(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (name, value) in upper {
        match (lower.get_mut(&name), value) {
            (Some(Value::Object(lower)), Value::Object(upper)) => overlay(lower, upper),
            (_, value) => {
                lower.insert(name, value);
            }
        }
    }
}

/// The tree without `null`s: a key that is written without a value counts as not written.
pub(super) fn without_nulls(tree: Map<String, Value>) -> Map<String, Value> {
    let kept = tree.into_iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| match value {
        Value::Object(inner) => (name, Value::Object(without_nulls(inner))),
        value => (name, value),
    })
    .collect()
}

fn parse_yaml(path: &Path, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let malformed = |reason: String| ConfigError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let value: Value = serde_norway::from_str(text).map_err(|error| malformed(error.to_string()))?;
    match value {
        Value::Object(tree) => Ok(without_nulls(tree)),
        Value::Null => Ok(Map::new()),
        _ => Err(malformed("the top level is not a mapping of keys to values".to_owned())),
    }
}

fn note_origins(tree: &Map<String, Value>, path: &str, origin: &Origin, origins: &mut BTreeMap<String, Origin>) {
    for (name, value) in tree {
        let path = schema::join(path, name);
        match value {
            Value::Object(inner) => note_origins(inner, &path, origin, origins),
            _ => {
                origins.insert(path, origin.clone());
            }
        }
    }
}

/// Replaces references in every text of a tree.
struct Expansion<'a> {
    source: &'a dyn Source,
    problems: &'a mut Vec<Problem>,
}

impl Expansion<'_> {
    fn object(&mut self, node: Option<&Value>, tree: Map<String, Value>, path: &str) -> Map<String, Value> {
        let node = node.map(schema::resolve);
        let expanded = tree.into_iter().map(|(name, value)| {
            let known = node.and_then(schema::properties).and_then(|known| known.get(&name));
            let inner = known.or_else(|| node.and_then(|node| node.get("additionalProperties")));
            let path = schema::join(path, &name);
            (name, self.value(inner, value, &path))
        });
        expanded.collect()
    }

    fn value(&mut self, node: Option<&Value>, value: Value, path: &str) -> Value {
        match value {
            Value::Object(tree) => Value::Object(self.object(node, tree, path)),
            Value::Array(items) => {
                let item = node.map(schema::resolve).and_then(|node| node.get("items"));
                let items = items.into_iter().enumerate();
                items
                    .map(|(at, value)| self.value(item, value, &format!("{path}[{at}]")))
                    .collect()
            }
            Value::String(text) => match expand(&text, self.source) {
                Ok((text, true)) => node.map_or(Value::from(text.as_str()), |node| {
                    shape::scalar(shape::kind_of(node), &text)
                }),
                Ok((text, false)) => Value::from(text),
                Err(message) => {
                    self.problems.push(Problem::new(path, message));
                    Value::String(text)
                }
            },
            scalar => scalar,
        }
    }
}
