//! Rows as lines of CSV and of JSON. Values are the texts that Postgres itself prints; here they only get what the format puts around
//! them. Pure.

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use serde_json::Value;

/// How the values of a column stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// As they are, where they are numbers.
    Number,
    /// As they are.
    Bare,
    /// In quotes.
    Quoted,
}

/// Lines of one form.
#[derive(Clone, Debug)]
pub(super) enum Lines {
    /// RFC 4180, with a line of names.
    Csv,
    /// One object per line: the keys as they are written, and how their values stand.
    Json(Vec<(String, Stands)>),
}

impl Lines {
    /// Objects with these columns, of these types of Postgres.
    pub(super) fn json(schema: &Schema, types: &[String]) -> Self {
        let columns = schema.fields().iter().zip(types).map(|(field, kind)| {
            let stands = match kind.split('(').next().unwrap_or(kind) {
                "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" => Stands::Number,
                "boolean" | "json" | "jsonb" => Stands::Bare,
                _ => Stands::Quoted,
            };
            (quoted(field.name()), stands)
        });
        Self::Json(columns.collect())
    }

    /// What stands before all rows.
    pub(super) fn head(&self, schema: &Schema) -> Vec<u8> {
        let mut line = Vec::new();
        if let Self::Csv = self {
            write_record(
                schema.fields().iter().map(|field| Some(field.name().as_str())),
                &mut line,
            );
        }
        line
    }

    /// The rows of a batch of texts.
    ///
    /// # Errors
    /// A column that is no text.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Vec<u8>, &'static str> {
        let texts = batch.columns().iter().map(|column| column.as_any().downcast_ref());
        let texts: Option<Vec<&StringArray>> = texts.collect();
        let texts = texts.ok_or("a column was not read as text")?;
        let bytes: usize = texts.iter().map(|column| column.value_data().len()).sum();
        let mut lines = Vec::with_capacity(bytes + batch.num_rows() * (texts.len() * 4 + 2));
        for row in 0..batch.num_rows() {
            let cells = texts
                .iter()
                .map(|column| column.is_valid(row).then(|| column.value(row)));
            match self {
                Self::Csv => write_record(cells, &mut lines),
                Self::Json(columns) => write_object(columns, cells, &mut lines),
            }
        }
        Ok(lines)
    }
}

/// NULL is an empty field, an empty text is one in quotes.
fn write_record<'a>(cells: impl Iterator<Item = Option<&'a str>>, lines: &mut Vec<u8>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            lines.push(b',');
        }
        let Some(cell) = cell else { continue };
        let plain = !cell.is_empty() && !cell.contains([',', '"', '\n', '\r']) && cell.trim() == cell;
        if plain {
            lines.extend_from_slice(cell.as_bytes());
            continue;
        }
        lines.push(b'"');
        for byte in cell.bytes() {
            if byte == b'"' {
                lines.push(b'"');
            }
            lines.push(byte);
        }
        lines.push(b'"');
    }
    lines.push(b'\n');
}

fn write_object<'a>(columns: &[(String, Stands)], cells: impl Iterator<Item = Option<&'a str>>, lines: &mut Vec<u8>) {
    lines.push(b'{');
    for (index, ((key, stands), cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            lines.push(b',');
        }
        lines.extend_from_slice(key.as_bytes());
        lines.push(b':');
        match (cell, stands) {
            (None, _) => lines.extend_from_slice(b"null"),
            // A document may have been stored with line breaks; within its strings there are none.
            (Some(cell), Stands::Bare) => lines.extend(cell.bytes().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                byte => byte,
            })),
            (Some(cell), Stands::Number) if is_number(cell) => lines.extend_from_slice(cell.as_bytes()),
            (Some(cell), Stands::Number | Stands::Quoted) => lines.extend_from_slice(quoted(cell).as_bytes()),
        }
    }
    lines.extend_from_slice(b"}\n");
}

/// Not so NaN and infinities.
fn is_number(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};
    use std::sync::Arc;

    fn batch(rows: &[[Option<&str>; 3]]) -> RecordBatch {
        let names = ["n", "j", "t\"x"];
        let fields: Vec<Field> = names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true))
            .collect();
        let column = |at: usize| Arc::new(rows.iter().map(|row| row[at]).collect::<StringArray>()) as _;
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![column(0), column(1), column(2)]).unwrap()
    }

    #[test]
    fn values_stand_as_postgres_prints_them() {
        let batch = batch(&[
            [Some("1.10"), Some("{\"a\":\n1}"), Some("a,\"b\"\n")],
            [Some("NaN"), None, Some("")],
            [Some("-Infinity"), Some("true"), Some("x")],
        ]);
        let types = ["numeric(5,2)", "json", "text"].map(str::to_owned);
        let text = |lines: Vec<u8>| String::from_utf8(lines).unwrap();
        let json = Lines::json(&batch.schema(), &types);
        assert_eq!(text(json.head(&batch.schema())), "");
        assert_eq!(
            text(json.of(&batch).unwrap()),
            "{\"n\":1.10,\"j\":{\"a\": 1},\"t\\\"x\":\"a,\\\"b\\\"\\n\"}\n\
             {\"n\":\"NaN\",\"j\":null,\"t\\\"x\":\"\"}\n\
             {\"n\":\"-Infinity\",\"j\":true,\"t\\\"x\":\"x\"}\n"
        );
        assert_eq!(text(Lines::Csv.head(&batch.schema())), "n,j,\"t\"\"x\"\n");
        assert_eq!(
            text(Lines::Csv.of(&batch).unwrap()),
            "1.10,\"{\"\"a\"\":\n1}\",\"a,\"\"b\"\"\n\"\nNaN,,\"\"\n-Infinity,true,x\n"
        );
    }
}
