//! What a user may say about text formats, and what a table that exists says.

use std::collections::HashMap;

use super::kind::{Dialect, Kind};

/// How text formats are read.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// CSV field delimiter; `None` is a comma, or a tab for `.tsv`.
    pub delimiter: Option<u8>,
    /// Whether the first CSV line names the columns; else they are `column_1`, `column_2`, ...
    pub header: bool,
    /// The CSV field that means NULL.
    pub null_text: String,
    /// How many rows per file are looked at to infer types.
    pub infer_rows: usize,
    /// Columns that are text (CSV) or a JSON document (NDJSON) whatever they look like.
    pub text_columns: Vec<String>,
    /// All columns are.
    pub all_text: bool,
    /// Columns of the table that is loaded, where it exists: their values go on as texts, to be read as the column's type is.
    pub given: HashMap<String, Given>,
    /// Bytes of text that are kept at most while types are inferred.
    pub sample_bytes: usize,
}

/// What a column that exists takes of a JSON value; of CSV it takes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Of strings what they say, of all else the value as it is written.
    Text,
    /// The value as it is written, as a JSON document.
    Document,
    /// As [`Given::Text`], and of an array the text of an array of Postgres.
    Array,
}

impl Given {
    pub(super) fn kind(self, dialect: Dialect) -> Kind {
        match (self, dialect) {
            (_, Dialect::Csv) => Kind::Text,
            (Self::Text, Dialect::Json) => Kind::Given,
            (Self::Document, Dialect::Json) => Kind::Json,
            (Self::Array, Dialect::Json) => Kind::GivenArray,
        }
    }
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            header: true,
            null_text: String::new(),
            infer_rows: 20_000,
            text_columns: Vec::new(),
            all_text: false,
            given: HashMap::new(),
            sample_bytes: 64 << 20,
        }
    }
}
