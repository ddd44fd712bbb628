//! Columns of nothing but NULLs whose values take no bytes, as Arrow for JavaScript leaves them: Arrow for Go never looks at the values
//! then, and the reader here insists on them. What is missing is made up as zeros behind the body.
//!
//! Nothing is made up for a column that has values.

use arrow::buffer::Buffer;
use arrow::ipc::{self, BodyCompressionBuilder, RecordBatch, RecordBatchBuilder};
use flatbuffers::{FlatBufferBuilder, WIPOffset};

/// Most bytes that are made up for a batch, and the largest body that is copied for it: who sends many rows has buffers for them.
const MOST: i64 = 1 << 20;
const LARGEST_BODY: usize = 16 << 20;

/// A buffer that is too short for its column, which has only NULLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// Its place in the batch.
    pub(super) at: usize,
    /// What the column needs.
    pub(super) bytes: i64,
}

/// The batch as a message of its own, and its body; all of these buffers lie behind what came.
pub(super) fn completed(batch: &RecordBatch<'_>, body: &[u8], missing: &[Missing]) -> Option<(Vec<u8>, Buffer)> {
    let bytes = missing.iter().map(|buffer| buffer.bytes).max();
    let bytes = bytes.filter(|bytes| *bytes <= MOST && body.len() <= LARGEST_BODY)?;
    let start = body.len().next_multiple_of(8);
    // Zeros for all of them, behind what says in a compressed batch that they are not compressed.
    let mut longer = Vec::with_capacity(start + 8 + usize::try_from(bytes).ok()?);
    longer.extend_from_slice(body);
    longer.resize(start, 0);
    longer.extend_from_slice(&(-1_i64).to_le_bytes());
    longer.resize(start + 8 + usize::try_from(bytes).ok()?, 0);
    let (offset, prefix) = match batch.compression() {
        Some(_) => (i64::try_from(start).ok()?, 8),
        None => (i64::try_from(start).ok()? + 8, 0),
    };
    let mut buffers: Vec<ipc::Buffer> = batch.buffers()?.iter().copied().collect();
    for buffer in missing {
        *buffers.get_mut(buffer.at)? = ipc::Buffer::new(offset, prefix + buffer.bytes);
    }
    Some((written(batch, &buffers), Buffer::from_vec(longer)))
}

fn written(batch: &RecordBatch<'_>, buffers: &[ipc::Buffer]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let batch = write_batch(&mut builder, batch, buffers);
    builder.finish(batch, None);
    builder.finished_data().to_vec()
}

/// The batch with these buffers instead of its own.
fn write_batch<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    batch: &RecordBatch<'_>,
    buffers: &[ipc::Buffer],
) -> WIPOffset<RecordBatch<'a>> {
    let nodes: Vec<ipc::FieldNode> = batch.nodes().into_iter().flatten().copied().collect();
    let nodes = builder.create_vector(&nodes);
    let buffers = builder.create_vector(buffers);
    let variadic = batch
        .variadicBufferCounts()
        .map(|counts| counts.iter().collect::<Vec<i64>>());
    let variadic = variadic.map(|counts| builder.create_vector(&counts));
    let compression = batch.compression().map(|compression| {
        let mut building = BodyCompressionBuilder::new(builder);
        building.add_codec(compression.codec());
        building.add_method(compression.method());
        building.finish()
    });
    let mut building = RecordBatchBuilder::new(builder);
    building.add_length(batch.length());
    building.add_nodes(nodes);
    building.add_buffers(buffers);
    if let Some(compression) = compression {
        building.add_compression(compression);
    }
    if let Some(variadic) = variadic {
        building.add_variadicBufferCounts(variadic);
    }
    building.finish()
}

/// Reads what [`completed`] wrote.
pub(super) fn root(written: &[u8]) -> Result<RecordBatch<'_>, String> {
    flatbuffers::root::<RecordBatch<'_>>(written).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch as Rows, StringArray, new_null_array};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
    use arrow::ipc::{CompressionType, MessageBuilder, MessageHeader, MetadataVersion, root_as_message};

    use super::*;
    use crate::server::arrow_ipc::{Dictionaries, read_message, weigh};

    /// A batch message whose columns of nothing but NULLs have no values, as JavaScript writes it.
    fn without_values(rows: &Rows, compression: Option<CompressionType>) -> (Vec<u8>, Vec<u8>) {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let (mut tracker, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
        let encoded = IpcDataGenerator::default().encode(rows, &mut tracker, &options, &mut context);
        let (_, encoded) = encoded.unwrap();
        let message = root_as_message(&encoded.ipc_message).unwrap();
        let batch = message.header_as_record_batch().unwrap();
        let mut buffers: Vec<ipc::Buffer> = batch.buffers().unwrap().iter().copied().collect();
        let mut at = 0;
        for column in rows.columns() {
            let width = column.to_data().buffers().len() + 1;
            if column.null_count() == column.len() {
                for buffer in &mut buffers[at + 1..at + width] {
                    *buffer = ipc::Buffer::new(buffer.offset(), 0);
                }
            }
            at += width;
        }
        let mut builder = FlatBufferBuilder::new();
        let batch = write_batch(&mut builder, &batch, &buffers);
        let mut building = MessageBuilder::new(&mut builder);
        building.add_version(MetadataVersion::V5);
        building.add_header_type(MessageHeader::RecordBatch);
        building.add_header(batch.as_union_value());
        building.add_bodyLength(i64::try_from(encoded.arrow_data.len()).unwrap());
        let message = building.finish();
        builder.finish(message, None);
        (builder.finished_data().to_vec(), encoded.arrow_data)
    }

    fn all_null(types: &[DataType], rows: usize) -> Rows {
        let fields: Vec<Field> = types
            .iter()
            .enumerate()
            .map(|(at, ty)| Field::new(format!("c{at}"), ty.clone(), true))
            .collect();
        let columns: Vec<ArrayRef> = types.iter().map(|ty| new_null_array(ty, rows)).collect();
        Rows::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn columns_of_nothing_but_nulls_need_no_values_whatever_their_type() {
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::Int64,
            DataType::Float64,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Date32,
            DataType::Decimal128(20, 2),
            DataType::FixedSizeBinary(16),
            DataType::Utf8,
            DataType::LargeBinary,
            DataType::Utf8View,
            DataType::List(Arc::new(Field::new_list_field(DataType::Null, true))),
        ];
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            for rows in [1, 7, 8, 9, 100] {
                let sent = all_null(&types, rows);
                let (header, body) = without_values(&sent, compression);
                weigh(&header, &body).unwrap();
                let mut dictionaries = Dictionaries::default();
                let read = read_message(&header, Buffer::from_vec(body), &sent.schema(), &mut dictionaries);
                assert_eq!(read.unwrap().unwrap(), sent, "{rows} rows, {compression:?}");
            }
        }
    }

    #[test]
    fn values_beside_them_are_read_and_columns_with_values_need_them() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![7, 8]))),
            ("even", Arc::new(BooleanArray::from(vec![None, None]))),
            ("name", Arc::new(StringArray::from(vec![Some("a"), None]))),
        ];
        let sent = Rows::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
        let sent = sent.unwrap();
        let (header, body) = without_values(&sent, None);
        let read = |header: &[u8], body: Vec<u8>| {
            let mut dictionaries = Dictionaries::default();
            read_message(header, Buffer::from_vec(body), &sent.schema(), &mut dictionaries)
        };
        assert_eq!(read(&header, body).unwrap().unwrap(), sent);
    }

    #[test]
    fn not_more_is_made_up_than_a_few_rows_need() {
        let sent = all_null(&[DataType::FixedSizeBinary(1 << 16)], 17);
        let (header, body) = without_values(&sent, None);
        let mut dictionaries = Dictionaries::default();
        let refused = read_message(&header, Buffer::from_vec(body), &sent.schema(), &mut dictionaries).unwrap_err();
        assert!(refused.contains("does not match"), "{refused}");
    }
}
