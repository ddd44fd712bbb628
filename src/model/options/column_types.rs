//! Types that a stream asks for by the names of its columns, where the type map's choice is not the one that is wanted.
//!
//! Only names of built-in types and of pgvector's: those that mean the same in every database.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::value::OptionValue;
use crate::model::json;
use crate::model::pg_name;
use crate::model::pg_type::PgType;

const FORM: &str =
    "a JSON object of column names and types, built-in ones or pgvector's, such as {\"embedding\": \"vector(3)\"}";

/// The type of each column that one is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnTypes(BTreeMap<String, (String, PgType)>);

impl ColumnTypes {
    /// The type that is asked for a column.
    pub fn get(&self, column: &str) -> Option<&PgType> {
        self.0.get(column).map(|(_, ty)| ty)
    }

    /// The columns, by name.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl OptionValue for ColumnTypes {
    /// In headers and metadata: the JSON object as text.
    fn from_text(text: &str) -> Result<Self, String> {
        let value = json::parse(text.as_bytes()).map_err(|error| format!("{FORM} ({error})"))?;
        Self::from_json(&value)
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or(FORM)?;
        let types = object.iter().map(|(column, name)| {
            let parsed = name
                .as_str()
                .and_then(|name| Some((name.to_owned(), pg_name::parse(name)?)));
            let known = parsed.ok_or_else(|| format!("{FORM} ({name} of column {column:?} is none)"))?;
            Ok((column.clone(), known))
        });
        types.collect::<Result<_, String>>().map(Self)
    }
}

impl Serialize for ColumnTypes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, (name, _))| (column, name)))
    }
}

impl JsonSchema for ColumnTypes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ColumnTypes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, String>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_in_the_forms_that_postgres_prints() {
        let types =
            ColumnTypes::from_text(r#"{"v": "halfvec(3)", "n": "numeric(10,2)[]", "b": "bit(3)", "t": "time(3)"}"#)
                .unwrap();
        let shown: Vec<String> = ["v", "n", "b", "t"]
            .iter()
            .map(|name| types.get(name).unwrap().to_string())
            .collect();
        assert_eq!(shown, ["\"halfvec\"(3)", "numeric(10,2)[]", "bit(3)", "time(3)"]);
        assert_eq!(types.get("V"), None);
        let again = serde_json::to_value(&types).unwrap();
        assert_eq!(ColumnTypes::from_json(&again).unwrap(), types);
    }

    #[test]
    fn what_is_no_type_is_named_with_its_column() {
        for (text, ending) in [
            ("[]", "such as {\"embedding\": \"vector(3)\"}"),
            (r#"{"v": "vectr(3)"}"#, "(\"vectr(3)\" of column \"v\" is none)"),
            (r#"{"v": 3}"#, "(3 of column \"v\" is none)"),
            (r#"{"v": "varchar(0)"}"#, "(\"varchar(0)\" of column \"v\" is none)"),
        ] {
            let refused = ColumnTypes::from_text(text).unwrap_err();
            assert!(refused.ends_with(ending), "{refused}");
        }
    }
}
