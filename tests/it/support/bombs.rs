//! Small messages that stand for much: what a put can be sent that takes far more memory, or far longer, than it has bytes.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field, Int32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryHandling, DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, FlightDescriptor};
use tonic::Code;

use super::flight::batch;

/// A kind of message that is larger than it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bomb {
    /// Compressed dictionaries of different ids, which stay as long as the stream.
    Dictionaries,
    /// Dictionaries that are extended again and again, each time by a copy.
    Deltas,
    /// Columns that all name one buffer, where it is not aligned.
    SharedBuffer,
    /// A list of views of one text, into a document.
    SharedText,
    /// A text that is six times as long in a document.
    ControlCharacters,
    /// A compressed batch, of the largest size that is taken.
    Unpacked,
}

/// How large they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Bytes of the text of control characters.
    pub(crate) control_characters: usize,
    /// Bytes that a batch unpacks to.
    pub(crate) unpacked: usize,
}

impl Bomb {
    pub(crate) const ALL: [Self; 6] = [
        Self::Dictionaries,
        Self::Deltas,
        Self::SharedBuffer,
        Self::SharedText,
        Self::ControlCharacters,
        Self::Unpacked,
    ];

    /// What answers it; nothing where it is valid and lands.
    pub(crate) fn refusal(self) -> Option<Code> {
        match self {
            Self::Dictionaries | Self::Deltas | Self::SharedBuffer | Self::SharedText => Some(Code::InvalidArgument),
            Self::ControlCharacters | Self::Unpacked => None,
        }
    }

    /// The messages of a put, without a descriptor.
    pub(crate) fn messages(self, size: Size) -> Vec<FlightData> {
        match self {
            Self::Dictionaries => dictionaries(),
            Self::Deltas => deltas(),
            Self::SharedBuffer => shared_buffer(),
            Self::SharedText => {
                let text = "x".repeat(16 << 20);
                let mut views = StringViewArray::from(vec![text.as_str()]);
                let one = views.views()[0];
                let buffers = views.data_buffers().to_vec();
                views = StringViewArray::new(ScalarBuffer::from(vec![one; 200]), buffers, None);
                encoded(&[batch(vec![("doc", documents(Arc::new(views)))])], &plain())
            }
            Self::ControlCharacters => {
                let text = "\u{1}".repeat(size.control_characters);
                let texts = StringArray::from(vec![text.as_str()]);
                encoded(&[batch(vec![("doc", documents(Arc::new(texts)))])], &plain())
            }
            Self::Unpacked => {
                let (rows, zeros) = (240, vec![0; size.unpacked / 240]);
                let cells: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| &zeros)));
                encoded(&[batch(vec![("cell", cells)])], &zstd())
            }
        }
    }
}

/// The same messages to another table.
pub(crate) fn addressed(mut messages: Vec<FlightData>, to: FlightDescriptor) -> Vec<FlightData> {
    messages[0].flight_descriptor = Some(to);
    messages
}

fn plain() -> IpcWriteOptions {
    IpcWriteOptions::default()
}

fn zstd() -> IpcWriteOptions {
    plain()
        .try_with_compression(Some(CompressionType::ZSTD))
        .expect("built with compression")
}

/// The values of an array as one list: a column of `jsonb`.
fn documents(values: ArrayRef) -> ArrayRef {
    let list_of = |values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(item, offsets, values, None))
    };
    let fields = vec![(
        Arc::new(Field::new(
            "texts",
            list_of(Arc::clone(&values)).data_type().clone(),
            true,
        )),
        list_of(values),
    )];
    Arc::new(arrow::array::StructArray::from(fields))
}

fn encoded(batches: &[RecordBatch], options: &IpcWriteOptions) -> Vec<FlightData> {
    let (generator, mut tracker) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
    let schema = generator.schema_to_bytes_with_dictionary_tracker(&batches[0].schema(), &mut tracker, options);
    let mut messages = vec![FlightData::from(schema)];
    let mut context = IpcWriteContext::default();
    for batch in batches {
        let (dictionaries, rows) = generator
            .encode(batch, &mut tracker, options, &mut context)
            .expect("it can be encoded");
        messages.extend(dictionaries.into_iter().chain([rows]).map(FlightData::from));
    }
    messages
}

/// Thirty of 40 MB, which have a few kilobytes each on the wire.
fn dictionaries() -> Vec<FlightData> {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![0; 5_000_000]));
    let names: Vec<String> = (0..30).map(|n| format!("d{n}")).collect();
    let column = || -> ArrayRef {
        let keys = Int32Array::from(vec![0]);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(&values)))
    };
    encoded(
        &[batch(names.iter().map(|name| (name.as_str(), column())).collect())],
        &zstd(),
    )
}

/// A megabyte, seven hundred times.
fn deltas() -> Vec<FlightData> {
    let text = "y".repeat(1 << 20);
    let of = |texts: Vec<&str>| {
        let values: ArrayRef = Arc::new(StringArray::from(texts));
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0]), values));
        batch(vec![("d", column)])
    };
    let options = plain().with_dictionary_handling(DictionaryHandling::Delta);
    let messages = encoded(&[of(vec!["x"]), of(vec!["x", &text])], &options);
    let [schema, first, _, delta, _] = messages.as_slice() else {
        panic!(
            "schema, dictionary, batch, delta, batch and not {} messages",
            messages.len()
        );
    };
    let again = std::iter::repeat_n(delta, 700);
    [schema, first].into_iter().chain(again).cloned().collect()
}

/// 1,600 columns of a million numbers each.
fn shared_buffer() -> Vec<FlightData> {
    const BYTES: i64 = 4 << 20;
    let names: Vec<String> = (0..1600).map(|n| format!("c{n}")).collect();
    let column: ArrayRef = Arc::new(Int32Array::from(vec![7; 8]));
    let honest = batch(names.iter().map(|name| (name.as_str(), Arc::clone(&column))).collect());
    let mut messages = encoded(&[honest], &plain());
    let rows = &mut messages[1];
    let mut header = rows.data_header.to_vec();
    // The vectors of the flatbuffer are structs of two numbers: 1,600 nodes (8 rows, no NULL), and 3,200 buffers, of which every
    // second one has the values.
    let node = [8_i64, 0].map(i64::to_le_bytes).concat();
    let nodes = find(&header, &node.repeat(3));
    for place in 0..1600 {
        let at = nodes + 16 * place;
        assert_eq!(&header[at..at + 16], node);
        header[at..at + 8].copy_from_slice(&(BYTES / 4).to_le_bytes());
    }
    let buffers = {
        let message = arrow::ipc::root_as_message(&rows.data_header).expect("a message");
        let batch = message.header_as_record_batch().expect("a batch");
        let all: Vec<[i64; 2]> = batch
            .buffers()
            .into_iter()
            .flatten()
            .map(|b| [b.offset(), b.length()])
            .collect();
        all
    };
    let flat: Vec<u8> = buffers
        .iter()
        .flatten()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let at = find(&header, &flat);
    for (place, buffer) in buffers.iter().enumerate() {
        // One byte in, so that no column is aligned wherever the body comes to lie but by chance.
        let named = if buffer[1] == 32 { [1, BYTES] } else { [0, 0] };
        let bytes = named.map(i64::to_le_bytes).concat();
        header[at + 16 * place..at + 16 * place + 16].copy_from_slice(&bytes);
    }
    let length = find(&header, &8_i64.to_le_bytes());
    header[length..length + 8].copy_from_slice(&(BYTES / 4).to_le_bytes());
    rows.data_header = header.into();
    rows.data_body = vec![1; (BYTES + 8) as usize].into();
    messages
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|window| window == wanted).expect("it is there")
}
