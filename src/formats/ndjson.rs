//! JSON objects as rows of JSON tokens: one column per key. Where one object ends is the business of `documents`.
//!
//! Values are cut out of the object as they stand, so no number is rounded and no document is rewritten. Every object is
//! checked to be valid JSON before it is cut.

use std::collections::HashMap;

use arrow::array::{ArrayBuilder, StringBuilder};
use serde::de::IgnoredAny;

use super::documents::Documents;
use super::error::SourceError;
use super::kind::Dialect;
use super::text::{BLOCK_BYTES, Block, CELL_BYTES, MAX_COLUMNS, TextRows};

pub(super) struct NdjsonRows {
    documents: Documents,
    names: Vec<String>,
    positions: HashMap<String, usize>,
    /// Set once columns are closed: how many rows were looked at before.
    closed_after: Option<usize>,
}

impl NdjsonRows {
    pub(super) fn new(documents: Documents) -> Self {
        Self {
            documents,
            names: Vec::new(),
            positions: HashMap::new(),
            closed_after: None,
        }
    }

    fn fail(&self, reason: String) -> SourceError {
        self.documents.fail(reason)
    }

    /// The members of the object on `line`.
    fn members<'a>(&self, line: &'a str) -> Result<Vec<(String, &'a str)>, SourceError> {
        let object = line.trim();
        if !object.starts_with('{') {
            let hint = if object.starts_with('[') {
                "; a JSON array must be split into one object per line"
            } else {
                ""
            };
            return Err(self.fail(format!("the line is not a JSON object{hint}")));
        }
        serde_json::from_str::<IgnoredAny>(object).map_err(|error| {
            self.fail(format!(
                "the line is not valid JSON (at character {} of it)",
                error.column()
            ))
        })?;
        cut(object).ok_or_else(|| {
            self.fail(format!(
                "a key is not valid JSON text, or the object has more than {MAX_COLUMNS} keys"
            ))
        })
    }

    fn position(&mut self, key: String) -> Result<usize, SourceError> {
        if let Some(position) = self.positions.get(&key) {
            return Ok(*position);
        }
        if let Some(sampled) = self.closed_after {
            return Err(self.fail(format!(
                "the key {key:?} is new: no column for it was found in the first {sampled} rows; look at more rows \
                 with --infer-rows"
            )));
        }
        let position = self.names.len();
        if position >= MAX_COLUMNS {
            return Err(self.fail(format!(
                "there are more than {MAX_COLUMNS} keys; Postgres takes no more columns"
            )));
        }
        self.names.push(key.clone());
        self.positions.insert(key, position);
        Ok(position)
    }
}

impl TextRows for NdjsonRows {
    fn dialect(&self) -> Dialect {
        Dialect::Json
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn close_columns(&mut self, columns: &[String], sampled: usize) {
        self.closed_after = Some(sampled);
        // Blocks that were read before keep this file's own order, so known columns are only ever added behind.
        for name in columns {
            if !self.positions.contains_key(name) {
                self.positions.insert(name.clone(), self.names.len());
                self.names.push(name.clone());
            }
        }
    }

    fn next_block(&mut self, max_rows: usize) -> Result<Option<Block>, SourceError> {
        let mut columns: Vec<StringBuilder> = Vec::new();
        let mut lines = Vec::new();
        let mut byte_count = 0;
        while lines.len() < max_rows && byte_count < BLOCK_BYTES {
            let Some(line) = self.documents.next()? else { break };
            byte_count += line.len() + self.names.len() * CELL_BYTES;
            let row = lines.len();
            for (key, token) in self.members(&line)? {
                let position = self.position(key)?;
                while columns.len() <= position {
                    columns.push(StringBuilder::new());
                }
                let Some(column) = columns.get_mut(position) else {
                    continue;
                };
                if column.len() > row {
                    let name = &self.names[position];
                    return Err(self.fail(format!("the key {name:?} occurs twice in the object")));
                }
                pad(column, row);
                column.append_option((token != "null").then_some(token));
            }
            lines.push(self.documents.line());
        }
        if lines.is_empty() {
            return Ok(None);
        }
        columns.resize_with(self.names.len(), StringBuilder::new);
        columns.iter_mut().for_each(|column| pad(column, lines.len()));
        Ok(Some(Block {
            columns: columns.iter_mut().map(StringBuilder::finish).collect(),
            lines,
        }))
    }
}

/// Fills a column with NULL up to `rows` rows: the key was missing in them.
fn pad(column: &mut StringBuilder, rows: usize) {
    column.append_nulls(rows - column.len());
}

/// Cuts an object that is known to be valid JSON into its keys (unescaped) and its values (as written).
fn cut(object: &str) -> Option<Vec<(String, &str)>> {
    let bytes = object.as_bytes();
    let mut members = Vec::new();
    let mut at = skip_space(bytes, 1);
    while bytes.get(at) == Some(&b'"') {
        let key_end = token_end(bytes, at);
        let key = serde_json::from_str::<String>(object.get(at..key_end)?).ok()?;
        let value_start = skip_space(bytes, skip_space(bytes, key_end) + 1);
        let value_end = token_end(bytes, value_start);
        members.push((key, object.get(value_start..value_end)?));
        if members.len() > MAX_COLUMNS {
            return None;
        }
        at = skip_space(bytes, value_end);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
    }
    Some(members)
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Where the value that starts at `start` ends: behind a string's quote, an object's or array's own closing bracket,
/// or a literal's last character.
fn token_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            space if depth == 0 && space.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

fn string_end(bytes: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    loop {
        match bytes.get(at) {
            None => return at,
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_cut_into_keys_and_untouched_values() {
        let line = r#"{ "a" : 1.10 ,"b\"c":{"x":[1,"}"]}, "d":"te\\", "e" : [ ] ,"f":null}"#;
        let members = cut(line).unwrap();
        let expected = [
            ("a", "1.10"),
            ("b\"c", r#"{"x":[1,"}"]}"#),
            ("d", r#""te\\""#),
            ("e", "[ ]"),
            ("f", "null"),
        ];
        assert_eq!(members, expected.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(cut("{}").unwrap(), vec![]);
        assert_eq!(cut("{ }").unwrap(), vec![]);
    }
}
