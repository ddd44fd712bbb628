//! Values that must never be shown: they print and serialise as a placeholder, and are read only where they are used.
//!
//! [`Secret`] hides all of its text. [`ConnectionString`] hides what is secret in it and shows the rest, because host and
//! database are what a person needs to see in a log.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::dsn;

/// What is shown instead of a secret.
pub const REDACTED: &str = "[redacted]";

/// A text that is never printed, logged or serialised.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "format": "password", "writeOnly": true })
    }
}

/// A Postgres connection string, URI or keyword form; printed without its passwords.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ConnectionString(String);

impl ConnectionString {
    /// Takes a connection string as it was typed. It is not parsed here.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text, passwords included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every password replaced, or only a placeholder when it cannot be parsed.
    pub fn redacted(&self) -> String {
        dsn::redact(&self.0)
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for ConnectionString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

impl JsonSchema for ConnectionString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConnectionString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "format": "password", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_text_nowhere_but_where_it_is_exposed() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, r#"[redacted] [redacted] "[redacted]""#);
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_connection_string_prints_without_its_password() {
        let string = ConnectionString::new("postgres://bob:hunter2@db:5433/app?sslmode=require");
        let shown = format!("{string} {string:?} {}", serde_json::to_string(&string).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("postgres://bob:[redacted]@db:5433/app?sslmode=require"),
            "{shown}"
        );
    }
}
