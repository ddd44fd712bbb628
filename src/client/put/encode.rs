//! Record batches as Flight messages of a size that every server takes.
//!
//! Pure. A message holds about [`TARGET_MESSAGE_BYTES`]; a single wide row may be larger. Dictionaries are sent as
//! dictionaries, and only when they change.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, FlightDescriptor};
use serde_json::json;

/// Small enough for the 4 MiB that gRPC servers take by default, large enough that a message's own cost vanishes.
const TARGET_MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Turns one stream's schema and batches into messages.
pub(super) struct Encoder {
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(false),
            options: IpcWriteOptions::default(),
            context: IpcWriteContext::default(),
        }
    }

    /// The first message of a stream: where the rows go, and their schema.
    pub(super) fn schema(&mut self, schema: &Schema, descriptor: FlightDescriptor) -> FlightData {
        let encoded =
            self.generator
                .schema_to_bytes_with_dictionary_tracker(schema, &mut self.dictionaries, &self.options);
        FlightData::from(encoded).with_descriptor(descriptor)
    }

    /// A batch, preceded by the dictionaries that it changes.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
        let (dictionaries, rows) =
            self.generator
                .encode(batch, &mut self.dictionaries, &self.options, &mut self.context)?;
        Ok(dictionaries.into_iter().chain([rows]).map(FlightData::from).collect())
    }
}

/// The message that ends a strict stream: no data, only the number of rows that came before.
pub(super) fn commit(rows: u64) -> FlightData {
    FlightData::new().with_app_metadata(json!({"commit": {"rows": rows}}).to_string())
}

/// Cuts a batch by rows until every piece is near the target size. No row is lost, doubled or moved.
pub(super) fn split(batch: &RecordBatch) -> Vec<RecordBatch> {
    let size = byte_count(batch);
    let rows = batch.num_rows();
    if size <= TARGET_MESSAGE_BYTES || rows <= 1 {
        return vec![compacted(batch)];
    }
    let piece_rows = (rows * TARGET_MESSAGE_BYTES / size).clamp(1, rows.div_ceil(2));
    let mut pieces = Vec::new();
    for offset in (0..rows).step_by(piece_rows) {
        let piece = batch.slice(offset, piece_rows.min(rows - offset));
        // Rows differ in width: a piece that holds the wide ones is cut again.
        if byte_count(&piece) > 2 * TARGET_MESSAGE_BYTES {
            pieces.extend(split(&piece));
        } else {
            pieces.push(compacted(&piece));
        }
    }
    pieces
}

/// Bytes that the rows of a batch occupy, without what other slices of the same buffers hold.
fn byte_count(batch: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| {
        let own = column
            .to_data()
            .get_slice_memory_size()
            .unwrap_or_else(|_| column.get_array_memory_size());
        own + view_bytes(column).map_or(0, |(used, _)| used)
    };
    batch.columns().iter().map(of_column).sum()
}

/// For view arrays: bytes that the views point at, and bytes in all buffers that would be sent along.
fn view_bytes(column: &ArrayRef) -> Option<(usize, usize)> {
    let held = |buffers: &[arrow::buffer::Buffer]| buffers.iter().map(arrow::buffer::Buffer::len).sum();
    match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            Some((views.total_buffer_bytes_used(), held(views.data_buffers())))
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            Some((views.total_buffer_bytes_used(), held(views.data_buffers())))
        }
        _ => None,
    }
}

/// IPC sends a view array's buffers whole, however few of their bytes a slice needs: such columns are rewritten.
fn compacted(batch: &RecordBatch) -> RecordBatch {
    let wasteful = |column: &ArrayRef| view_bytes(column).is_some_and(|(used, held)| held > 2 * used + 64 * 1024);
    if !batch.columns().iter().any(wasteful) {
        return batch.clone();
    }
    let compact = |column: &ArrayRef| -> ArrayRef {
        match column.data_type() {
            DataType::Utf8View if wasteful(column) => Arc::new(column.as_string_view().gc()),
            DataType::BinaryView if wasteful(column) => Arc::new(column.as_binary_view().gc()),
            _ => Arc::clone(column),
        }
    };
    let columns = batch.columns().iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Same types and lengths as before; if Arrow disagreed, the batch as it was would be right as well.
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).unwrap_or_else(|_| batch.clone())
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int64Array, StringViewArray};
    use arrow::compute::concat_batches;

    use super::*;

    #[test]
    fn cutting_keeps_every_row_in_order_and_every_piece_small() {
        let numbers = Int64Array::from_iter_values(0..4000);
        // Widths from 0 to 8000 bytes: the last pieces need a second cut.
        let wide = BinaryArray::from_iter_values((0..4000_usize).map(|row| vec![b'x'; row * 2]));
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("w", Arc::new(wide))]).unwrap();
        let pieces = split(&batch);
        assert!(pieces.len() >= 8, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| byte_count(piece) <= 2 * TARGET_MESSAGE_BYTES));
        assert_eq!(concat_batches(&batch.schema(), &pieces).unwrap(), batch);
    }

    #[test]
    fn one_wide_row_is_one_piece() {
        let wide = BinaryArray::from_iter_values([vec![0_u8; 5 * TARGET_MESSAGE_BYTES]]);
        let batch = RecordBatch::try_from_iter([("w", Arc::new(wide) as ArrayRef)]).unwrap();
        assert_eq!(split(&batch), vec![batch]);
    }

    #[test]
    fn a_slice_of_views_does_not_drag_the_whole_buffer_along() {
        let texts = StringViewArray::from_iter_values((0..2000).map(|row| format!("{row:0>4000}")));
        let batch = RecordBatch::try_from_iter([("t", Arc::new(texts) as ArrayRef)]).unwrap();
        let pieces = split(&batch);
        let mut encoder = Encoder::new();
        let sent: usize = pieces
            .iter()
            .flat_map(|piece| encoder.batch(piece).unwrap())
            .map(|message| message.data_body.len())
            .sum();
        assert!(
            pieces.len() > 2 && sent < 10_000_000,
            "{sent} bytes in {} pieces",
            pieces.len()
        );
        assert_eq!(concat_batches(&batch.schema(), &pieces).unwrap(), batch);
    }

    #[test]
    fn the_commit_message_has_no_header_and_says_how_many_rows_came() {
        let message = commit(42);
        assert_eq!((message.data_header.len(), message.data_body.len()), (0, 0));
        assert_eq!(message.app_metadata.as_ref(), br#"{"commit":{"rows":42}}"#);
    }
}
