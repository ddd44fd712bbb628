//! What a user may say about text formats.

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
        }
    }
}
