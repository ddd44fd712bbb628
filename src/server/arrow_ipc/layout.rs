//! What a batch announces of its buffers, held against the schema before the reader takes them: where the reader would trip over its
//! own asserts, the message is refused with a sentence instead. Formats: "Columnar Format", "Buffer Listing for Each Layout", and
//! "RecordBatch message" of the Arrow specification.
//!
//! It walks nodes and buffers in the reader's order and says nothing of what the reader refuses itself, but for values that take too
//! few bytes where all of them are NULL: those it tells, to be made up ([`super::nulls`]).

use arrow::datatypes::{DataType, Field, Schema, UnionMode};
use arrow::ipc::{MetadataVersion, RecordBatch};

use super::nulls::Missing;
use super::unpacked_bytes;

/// Types whose sizes cannot be, which the reader takes from a schema as they stand.
pub(super) fn check_schema(schema: &Schema) -> Result<(), String> {
    let negative = |field: &&Field| match field.data_type() {
        DataType::FixedSizeBinary(size) | DataType::FixedSizeList(_, size) => *size < 0,
        _ => false,
    };
    match schema.flattened_fields().into_iter().find(negative) {
        Some(field) => Err(format!(
            "the schema's field {:?} is of type {}, and no size is below 0",
            field.name(),
            field.data_type()
        )),
        None => Ok(()),
    }
}

/// Checks a batch of these fields; tells the values that are missing in columns of nothing but NULLs.
pub(super) fn check_batch<'a>(
    batch: &RecordBatch<'_>,
    body: &[u8],
    fields: impl IntoIterator<Item = &'a Field>,
    version: MetadataVersion,
) -> Result<Vec<Missing>, String> {
    let nodes = batch.nodes().into_iter().flatten();
    let mut announced = Announced {
        nodes: nodes.map(|node| (node.length(), node.null_count())).collect(),
        buffers: buffers(batch, body)?,
        variadic: batch.variadicBufferCounts().into_iter().flatten().collect(),
        unions_have_validity: version < MetadataVersion::V5,
        nodes_used: 0,
        buffers_used: 0,
        variadic_used: 0,
        missing: Vec::new(),
    };
    fields.into_iter().try_for_each(|field| announced.take(field))?;
    Ok(announced.missing)
}

/// A buffer as it will stand in memory.
#[derive(Clone, Copy)]
struct Announcement {
    bytes: i64,
    /// Where it lies in the body; `None` where it is unpacked into memory of its own.
    offset: Option<i64>,
}

fn buffers(batch: &RecordBatch<'_>, body: &[u8]) -> Result<Vec<Announcement>, String> {
    /// Of a compressed buffer, before its bytes.
    const PREFIX: i64 = 8;
    let compressed = batch.compression().is_some();
    let announced = batch.buffers().into_iter().flatten().map(|buffer| {
        let (offset, length) = (buffer.offset(), buffer.length());
        if !compressed || length == 0 {
            return Ok(Announcement {
                bytes: length,
                offset: Some(offset),
            });
        }
        Ok(match unpacked_bytes(body, offset, length)? {
            None => Announcement {
                bytes: length - PREFIX,
                offset: Some(offset + PREFIX),
            },
            Some(bytes) => Announcement { bytes, offset: None },
        })
    });
    announced.collect()
}

struct Announced {
    /// Lengths and numbers of NULLs.
    nodes: Vec<(i64, i64)>,
    buffers: Vec<Announcement>,
    variadic: Vec<i64>,
    unions_have_validity: bool,
    nodes_used: usize,
    buffers_used: usize,
    variadic_used: usize,
    missing: Vec<Missing>,
}

impl Announced {
    /// The next column's number of values, and whether it has values at all; 0 where there is none, which the reader tells.
    fn node(&mut self) -> (i64, bool) {
        self.nodes_used += 1;
        let (length, nulls) = self.nodes.get(self.nodes_used - 1).copied().unwrap_or((0, 0));
        (length, length > 0 && nulls == length)
    }

    /// The next buffer takes at least so many bytes, unless all values are NULL.
    fn values(&mut self, only_nulls: bool, bytes: i64) {
        let at = self.buffers_used;
        if let Some(buffer) = self.buffers.get(at).filter(|_| only_nulls)
            && buffer.bytes < bytes
        {
            self.missing.push(Missing { at, bytes });
        }
    }

    fn buffer(&mut self) -> Option<Announcement> {
        self.buffers_used += 1;
        self.buffers.get(self.buffers_used - 1).copied()
    }

    fn skip(&mut self, buffers: usize) {
        self.buffers_used = self.buffers_used.saturating_add(buffers);
    }

    /// A buffer of numbers of that width, which the reader looks at as a whole.
    fn numbers(&mut self, field: &Field, what: &str, width: i64) -> Result<(), String> {
        match self.buffer() {
            Some(buffer) if buffer.bytes % width != 0 => Err(format!(
                "column {:?}: the {what} take {} bytes, which is no multiple of {width}",
                field.name(),
                buffer.bytes
            )),
            _ => Ok(()),
        }
    }

    fn take(&mut self, field: &Field) -> Result<(), String> {
        match field.data_type() {
            DataType::Union(children, mode) => {
                self.take_union(field, *mode)?;
                return children.iter().try_for_each(|(_, child)| self.take(child));
            }
            DataType::RunEndEncoded(ends, values) => {
                self.node();
                self.take(ends)?;
                return self.take(values);
            }
            _ => {}
        }
        let (length, only_nulls) = self.node();
        let times = |width: i64| length.saturating_mul(width);
        let ends = |width: i64| times(width).saturating_add(width);
        match field.data_type() {
            DataType::Null => Ok(()),
            DataType::Utf8 | DataType::Binary => self.take_texts(field, 4, only_nulls, ends(4)),
            DataType::LargeUtf8 | DataType::LargeBinary => self.take_texts(field, 8, only_nulls, ends(8)),
            DataType::Utf8View | DataType::BinaryView => self.take_text_views(field, only_nulls, times(16)),
            DataType::List(child) | DataType::Map(child, _) => {
                self.take_offsets(field, 4, only_nulls, ends(4))?;
                self.take(child)
            }
            DataType::LargeList(child) => {
                self.take_offsets(field, 8, only_nulls, ends(8))?;
                self.take(child)
            }
            DataType::ListView(child) => self.take_views(field, child, 4),
            DataType::LargeListView(child) => self.take_views(field, child, 8),
            DataType::FixedSizeList(child, _) => {
                self.skip(1);
                self.take(child)
            }
            DataType::Struct(children) => {
                self.skip(1);
                children.iter().try_for_each(|child| self.take(child))
            }
            DataType::Dictionary(keys, _) => {
                self.skip(1);
                let width = i64::try_from(keys.primitive_width().unwrap_or(1)).unwrap_or(1);
                self.values(only_nulls, times(width));
                self.numbers(field, "keys", width)
            }
            other => {
                self.skip(1);
                self.values(only_nulls, bytes_of(other, length));
                self.skip(1);
                Ok(())
            }
        }
    }

    /// Validity and offsets.
    fn take_offsets(&mut self, field: &Field, width: i64, only_nulls: bool, bytes: i64) -> Result<(), String> {
        self.skip(1);
        self.values(only_nulls, bytes);
        self.numbers(field, "offsets", width)
    }

    fn take_texts(&mut self, field: &Field, width: i64, only_nulls: bool, bytes: i64) -> Result<(), String> {
        self.take_offsets(field, width, only_nulls, bytes)?;
        self.skip(1);
        Ok(())
    }

    fn take_text_views(&mut self, field: &Field, only_nulls: bool, bytes: i64) -> Result<(), String> {
        let count = self.variadic.get(self.variadic_used).copied();
        self.variadic_used += 1;
        self.skip(1);
        self.values(only_nulls, bytes);
        self.numbers(field, "views", 16)?;
        self.skip(usize::try_from(count.unwrap_or(0)).unwrap_or(0));
        Ok(())
    }

    fn take_views(&mut self, field: &Field, child: &Field, width: i64) -> Result<(), String> {
        self.skip(1);
        self.numbers(field, "offsets", width)?;
        self.numbers(field, "sizes", width)?;
        self.take(child)
    }

    /// The reader cuts type ids and offsets to the union's length without asking whether they have it, and takes them where they lie.
    fn take_union(&mut self, field: &Field, mode: UnionMode) -> Result<(), String> {
        let (length, _) = self.node();
        if self.unions_have_validity {
            self.skip(1);
        }
        let offsets = match mode {
            UnionMode::Dense => Some(("offsets", 4)),
            UnionMode::Sparse => None,
        };
        for (what, width) in [Some(("type ids", 1)), offsets].into_iter().flatten() {
            let Some(buffer) = self.buffer() else { return Ok(()) };
            let needed = length.saturating_mul(width);
            if buffer.bytes < needed {
                return Err(format!(
                    "union {:?}: its {what} take {} bytes, and {length} values need {needed}",
                    field.name(),
                    buffer.bytes
                ));
            }
            if buffer.offset.is_some_and(|offset| offset % width != 0) {
                return Err(format!(
                    "union {:?}: its {what} start in the middle of a number ({} bytes into the body)",
                    field.name(),
                    buffer.offset.unwrap_or_default()
                ));
            }
        }
        Ok(())
    }
}

/// What that many values of a type of fixed width take.
fn bytes_of(ty: &DataType, length: i64) -> i64 {
    let width = match ty {
        DataType::Boolean => return length.saturating_add(7) / 8,
        DataType::FixedSizeBinary(width) => i64::from(*width),
        other => i64::try_from(other.primitive_width().unwrap_or(0)).unwrap_or(0),
    };
    length.saturating_mul(width)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Fields};
    use arrow::ipc::{Endianness, MessageBuilder, MessageHeader, SchemaBuilder};
    use flatbuffers::FlatBufferBuilder;

    use super::*;
    use crate::server::arrow_ipc::read_schema;

    /// A schema message of no columns whose numbers are said to be in this order.
    fn schema_of(endianness: Endianness) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let fields = builder.create_vector::<flatbuffers::ForwardsUOffset<arrow::ipc::Field<'_>>>(&[]);
        let mut schema = SchemaBuilder::new(&mut builder);
        schema.add_endianness(endianness);
        schema.add_fields(fields);
        let schema = schema.finish();
        let mut message = MessageBuilder::new(&mut builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::Schema);
        message.add_header(schema.as_union_value());
        let message = message.finish();
        builder.finish(message, None);
        builder.finished_data().to_vec()
    }

    #[test]
    fn numbers_that_are_said_to_be_big_endian_are_not_read_as_others() {
        assert!(read_schema(&schema_of(Endianness::Little)).is_ok());
        let refused = read_schema(&schema_of(Endianness::Big)).unwrap_err();
        assert!(refused.contains("big-endian"), "{refused}");
    }

    #[test]
    fn sizes_below_0_are_refused_at_any_depth() {
        let item = Field::new("item", DataType::FixedSizeBinary(-1), true);
        let inside = Field::new("s", DataType::Struct(Fields::from(vec![item])), true);
        for field in [
            inside,
            Field::new_fixed_size_list("l", Field::new_list_field(DataType::Int8, true), -1, true),
        ] {
            let refused = check_schema(&Schema::new(vec![field])).unwrap_err();
            assert!(refused.contains("below 0"), "{refused}");
        }
    }
}
