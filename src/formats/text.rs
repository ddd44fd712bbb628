//! Text formats as typed batches: infers each column's kind from the first rows, then converts every row exactly.
//!
//! The rows that were looked at are kept and converted like all others, so nothing is read twice and standard input
//! works as files do. What a line looks like is the business of `csv` and `ndjson`, which produce [`Block`]s.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Schema, SchemaRef};

use super::error::SourceError;
use super::kind::{Dialect, Kind};
use super::options::TextOptions;
use super::reader::BatchReader;

/// Rows per block of texts.
pub(super) const BLOCK_ROWS: usize = 8192;
/// Bytes per block of texts: a block ends after the row that passes this.
pub(super) const BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Postgres' own limit on columns; names that nobody can store are not collected.
pub(super) const MAX_COLUMNS: usize = 1600;
/// What a cell takes beside its text: its end, and whether it is there.
pub(super) const CELL_BYTES: usize = 8;

/// Some rows as texts; `None` is SQL NULL.
pub(super) struct Block {
    pub(super) columns: Vec<StringArray>,
    /// The line on which each row starts, from 1.
    pub(super) lines: Vec<u64>,
}

/// A format's rows as texts.
pub(super) trait TextRows: Send {
    fn dialect(&self) -> Dialect;
    /// Column names; may grow with each block until [`TextRows::close_columns`].
    fn names(&self) -> &[String];
    /// From now on a row with another column is an error.
    fn close_columns(&mut self, columns: &[String], sampled: usize);
    /// The next rows (at most `max_rows`), or `None` at the end.
    fn next_block(&mut self, max_rows: usize) -> Result<Option<Block>, SourceError>;
}

/// Columns of a text file with their kinds: `None` where no value was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextColumns {
    pub(crate) dialect: Dialect,
    pub(crate) columns: Vec<(String, Option<Kind>)>,
}

impl TextColumns {
    /// The columns that hold both: NDJSON files may each lack keys that others have, CSV headers must agree.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), String> {
        if self.dialect != other.dialect {
            return Err("one is CSV and the other is JSON".to_owned());
        }
        if self.dialect == Dialect::Csv {
            let names = |columns: &Self| columns.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            let difference = super::unify::name_difference(&names(self), &names(other));
            if !difference.is_empty() {
                return Err(difference);
            }
        }
        for (name, kind) in &other.columns {
            match self.columns.iter_mut().find(|(known, _)| known == name) {
                None => self.columns.push((name.clone(), *kind)),
                Some((_, known)) => *known = either(*known, *kind, self.dialect),
            }
        }
        Ok(())
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(String, Option<Kind>)| self.kind_of(*kind).field(name);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    fn kind_of(&self, kind: Option<Kind>) -> Kind {
        kind.unwrap_or_else(|| Kind::unknown(self.dialect))
    }
}

fn either(a: Option<Kind>, b: Option<Kind>, dialect: Dialect) -> Option<Kind> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.or(b, dialect)),
        (known, None) | (None, known) => known,
    }
}

/// A text file as typed batches.
pub(super) struct TypedText<R> {
    input: String,
    rows: R,
    columns: TextColumns,
    schema: SchemaRef,
    /// For each column its place in a block: blocks keep the file's own order.
    places: Vec<Option<usize>>,
    sampled: usize,
    waiting: VecDeque<Block>,
    hint: Option<String>,
}

impl<R: TextRows> TypedText<R> {
    /// Reads the first rows and infers the columns; with `known` columns (from all files of the load) those win.
    pub(super) fn open(
        input: String,
        mut rows: R,
        options: &TextOptions,
        known: Option<&TextColumns>,
    ) -> Result<Self, SourceError> {
        let mut waiting = VecDeque::new();
        let mut sampled = 0;
        let mut sampled_bytes = 0;
        while sampled < options.infer_rows && sampled_bytes < options.sample_bytes {
            let Some(block) = rows.next_block(BLOCK_ROWS.min(options.infer_rows - sampled))? else {
                break;
            };
            sampled += block.lines.len();
            sampled_bytes += block
                .columns
                .iter()
                .map(|column| column.value_data().len() + column.len() * CELL_BYTES)
                .sum::<usize>();
            waiting.push_back(block);
        }
        let columns = match known {
            Some(known) => known.clone(),
            None => infer(&rows, &waiting, options),
        };
        let hint = delimiter_hint(&input, &rows, &waiting, options);
        let names: Vec<String> = columns.columns.iter().map(|(name, _)| name.clone()).collect();
        rows.close_columns(&names, sampled);
        let places = names
            .iter()
            .map(|name| rows.names().iter().position(|known| known == name))
            .collect();
        let schema = columns.schema();
        Ok(Self {
            input,
            rows,
            columns,
            schema,
            places,
            sampled,
            waiting,
            hint,
        })
    }

    fn convert(&self, block: &Block) -> Result<RecordBatch, SourceError> {
        let row_count = block.lines.len();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.columns.len());
        for ((name, kind), place) in self.columns.columns.iter().zip(&self.places) {
            let kind = self.columns.kind_of(*kind);
            // A block of the sample may come from before a column was first seen.
            let found = place.and_then(|place| block.columns.get(place)).cloned();
            let cells = found.unwrap_or_else(|| StringArray::new_null(row_count));
            arrays.push(
                kind.convert(&cells, self.columns.dialect)
                    .map_err(|misfit| SourceError::Value {
                        input: self.input.clone(),
                        line: block.lines.get(misfit.row).copied().unwrap_or(0),
                        column: name.clone(),
                        kind: kind.name(),
                        sampled: self.sampled,
                    })?,
            );
        }
        let options = RecordBatchOptions::new().with_row_count(Some(row_count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(|source| {
            SourceError::Decode {
                input: self.input.clone(),
                format: "text",
                source,
            }
        })
    }
}

fn infer<R: TextRows>(rows: &R, blocks: &VecDeque<Block>, options: &TextOptions) -> TextColumns {
    let dialect = rows.dialect();
    let mut columns = Vec::new();
    for (index, name) in rows.names().iter().enumerate() {
        // What the user calls text is text in CSV; in JSON it is the value's own text, whatever its type.
        let kind = if let Some(given) = options.given.get(name) {
            Some(given.kind(dialect))
        } else if options.all_text || options.text_columns.contains(name) {
            Some(if dialect == Dialect::Json {
                Kind::Json
            } else {
                Kind::Text
            })
        } else {
            let cells = blocks
                .iter()
                .filter_map(|block| block.columns.get(index))
                .flat_map(|column| column.iter());
            cells
                .flatten()
                .map(|cell| Kind::of(cell, dialect))
                .reduce(|a, b| a.or(b, dialect))
        };
        columns.push((name.clone(), kind));
    }
    TextColumns { dialect, columns }
}

/// What to try where a CSV came as one column whose cells nearly all hold another delimiter equally often, as their name does.
fn delimiter_hint<R: TextRows>(
    input: &str,
    rows: &R,
    blocks: &VecDeque<Block>,
    options: &TextOptions,
) -> Option<String> {
    let [name] = rows.names() else { return None };
    if rows.dialect() != Dialect::Csv {
        return None;
    }
    let cells = || {
        let columns = blocks.iter().filter_map(|block| block.columns.first());
        columns.flat_map(|column| column.iter()).flatten()
    };
    let found = [(';', ";"), ('\t', "\\t"), ('|', "|"), (',', ",")]
        .into_iter()
        .find(|(delimiter, _)| {
            let count = |text: &str| text.matches(*delimiter).count();
            let expected = match options.header {
                true => count(name),
                false => cells().next().map_or(0, &count),
            };
            let (all, alike) = cells().fold((0_usize, 0_usize), |(all, alike), cell| {
                (all + 1, alike + usize::from(count(cell) == expected))
            });
            // A few lines may be quoted or broken.
            expected > 0 && alike * 10 >= all * 9
        })?;
    Some(format!(
        "{input} was read as one column, {name:?}, although its lines hold {:?} alike; if that separates fields, use --delimiter '{}'",
        found.0, found.1
    ))
}

impl<R: TextRows> Iterator for TypedText<R> {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = match self.waiting.pop_front() {
            Some(block) => block,
            None => match self.rows.next_block(BLOCK_ROWS) {
                Ok(Some(block)) => block,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            },
        };
        Some(self.convert(&block))
    }
}

impl<R: TextRows> BatchReader for TypedText<R> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn text_columns(&self) -> Option<&TextColumns> {
        Some(&self.columns)
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
