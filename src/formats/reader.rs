//! What every format is once it is opened: batches with one schema, and what is known about them in advance.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::error::SourceError;
use super::text::TextColumns;

/// One opened input.
pub(super) trait BatchReader: Iterator<Item = Result<RecordBatch, SourceError>> + Send {
    fn schema(&self) -> SchemaRef;
    /// Rows, where the input says so in advance.
    fn row_count(&self) -> Option<u64> {
        None
    }
    /// The inferred columns, if the format has no types of its own.
    fn text_columns(&self) -> Option<&TextColumns> {
        None
    }
    /// What the user probably meant instead.
    fn hint(&self) -> Option<String> {
        None
    }
}
