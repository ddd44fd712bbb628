//! From Flight messages to Arrow: schema, dictionaries, record batches, metadata-only messages.
//!
//! IPC bodies come from strangers. Sizes and offsets are checked before the reader sees them (it would allocate whatever a
//! compressed buffer's length prefix says), validation of the arrays stays on, and a panic of the reader is an error of
//! this one stream. Format: Arrow columnar format, "Encapsulated message format" and "Compression".

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{MessageHeader, root_as_message};
use arrow_flight::FlightData;

/// Most rows of one batch: a batch of nothing but NULL columns costs no bytes on the wire but a row each in Postgres.
const MAX_BATCH_ROWS: i64 = 16 << 20;
/// Most bytes that one batch's compressed buffers may unpack to.
const MAX_UNPACKED_BYTES: i64 = 1 << 30;
/// Postgres' own limit on columns.
const MAX_COLUMNS: usize = 1600;

/// What a Flight message after the first holds.
#[derive(Debug)]
pub enum Message {
    /// Rows.
    Batch(RecordBatch),
    /// A dictionary; kept for the batches that follow.
    Dictionary,
    /// Only `app_metadata`.
    Metadata,
}

/// Decoder of one stream.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Decoder {
    /// Reads the schema out of a stream's first message.
    ///
    /// # Errors
    /// Why the message holds no usable schema.
    pub fn new(first: &FlightData) -> Result<Self, String> {
        if first.data_header.is_empty() {
            return Err("the first message carries no Arrow schema".to_owned());
        }
        let schema = guarded(|| {
            let message = root_as_message(&first.data_header).map_err(|error| error.to_string())?;
            let schema = message.header_as_schema().ok_or_else(|| {
                format!(
                    "the first message is a {}, not an Arrow schema",
                    header_name(message.header_type())
                )
            })?;
            try_fb_to_schema(schema).map_err(|error| error.to_string())
        })?;
        if schema.fields().len() > MAX_COLUMNS {
            return Err(format!(
                "the schema has {} columns; Postgres takes at most {MAX_COLUMNS}",
                schema.fields().len()
            ));
        }
        Ok(Self {
            schema: Arc::new(schema),
            dictionaries: HashMap::new(),
        })
    }

    /// The stream's schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads one message after the first.
    ///
    /// # Errors
    /// Why the message cannot be read.
    pub fn read(&mut self, data: FlightData) -> Result<Message, String> {
        if data.data_header.is_empty() {
            return match data.data_body.is_empty() {
                true => Ok(Message::Metadata),
                false => Err("the message has a body but no header".to_owned()),
            };
        }
        let schema = Arc::clone(&self.schema);
        let dictionaries = &mut self.dictionaries;
        guarded(|| read_message(&data, schema, dictionaries))
    }
}

fn read_message(
    data: &FlightData,
    schema: SchemaRef,
    dictionaries: &mut HashMap<i64, ArrayRef>,
) -> Result<Message, String> {
    let message = root_as_message(&data.data_header).map_err(|error| error.to_string())?;
    let body = Buffer::from(data.data_body.clone());
    if let Some(batch) = message.header_as_record_batch() {
        check_body(&batch, &body)?;
        let batch = read_record_batch(
            &body,
            batch,
            Arc::clone(&schema),
            dictionaries,
            None,
            &message.version(),
        )
        .map_err(|error| mismatch(&schema, &error.to_string()))?;
        return Ok(Message::Batch(batch));
    }
    if let Some(dictionary) = message.header_as_dictionary_batch() {
        if let Some(values) = dictionary.data() {
            check_body(&values, &body)?;
        }
        read_dictionary(&body, dictionary, &schema, dictionaries, &message.version())
            .map_err(|error| error.to_string())?;
        return Ok(Message::Dictionary);
    }
    Err(match message.header_type() {
        MessageHeader::NONE => "the message has no content".to_owned(),
        MessageHeader::Schema => "a second schema came; one stream has one schema".to_owned(),
        other => format!("a {} may not stand in a stream of record batches", header_name(other)),
    })
}

/// The reader's words say which buffer it missed, not which schema it read by.
fn mismatch(schema: &Schema, reason: &str) -> String {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .take(8)
        .collect();
    format!(
        "the batch does not match the stream's schema ({} columns: {}): {reason}",
        schema.fields().len(),
        names.join(", ")
    )
}

fn check_body(batch: &arrow::ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), String> {
    if !(0..=MAX_BATCH_ROWS).contains(&batch.length()) {
        return Err(format!(
            "the batch announces {} rows; at most {MAX_BATCH_ROWS} are taken, send smaller batches",
            batch.length()
        ));
    }
    for node in batch.nodes().into_iter().flatten() {
        if node.length() < 0 || node.null_count() < 0 || node.null_count() > node.length() {
            return Err(format!(
                "a column announces {} values and {} nulls",
                node.length(),
                node.null_count()
            ));
        }
    }
    let size = body.len() as i64;
    let mut unpacked = 0_i64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = (buffer.offset(), buffer.length());
        if offset < 0 || length < 0 || offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(format!(
                "a buffer at {offset} of {length} bytes lies outside the body of {size} bytes"
            ));
        }
        if batch.compression().is_some() && length > 0 {
            unpacked = unpacked.saturating_add(unpacked_bytes(body, offset, length)?);
        }
    }
    match unpacked > MAX_UNPACKED_BYTES {
        true => Err(format!(
            "the batch unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES} are taken, send smaller batches"
        )),
        false => Ok(()),
    }
}

/// A compressed buffer starts with its unpacked length, or -1 when it is not compressed after all.
fn unpacked_bytes(body: &Buffer, offset: i64, length: i64) -> Result<i64, String> {
    let at = usize::try_from(offset).map_err(|error| error.to_string())?;
    let prefix: Option<[u8; 8]> = body.as_slice().get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    match prefix.filter(|_| length >= 8).map(i64::from_le_bytes) {
        Some(-1) => Ok(length),
        Some(bytes) if bytes >= 0 => Ok(bytes),
        Some(bytes) => Err(format!("a compressed buffer announces {bytes} bytes")),
        None => Err(format!(
            "a compressed buffer has {length} bytes, too few for its length prefix"
        )),
    }
}

fn header_name(header: MessageHeader) -> &'static str {
    header.variant_name().unwrap_or("message of unknown kind")
}

/// Runs the reader; a panic becomes an error, because its asserts are reachable with malformed input.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("the message is malformed in a way that the Arrow reader cannot name".to_owned()))
        // The reader's own words may span lines.
        .map_err(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
    use futures::{StreamExt, TryStreamExt};

    /// Schema, dictionary, batch: as a client sends them.
    fn messages(batch: &RecordBatch) -> Vec<FlightData> {
        let batches = futures::stream::iter([Ok(batch.clone())]);
        let encoder = FlightDataEncoderBuilder::new().with_dictionary_handling(DictionaryHandling::Resend);
        let messages = encoder.build(batches).boxed().try_collect();
        futures::executor::block_on(messages).unwrap()
    }

    fn sample() -> RecordBatch {
        let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]))),
            ("t", Arc::new(StringArray::from(vec!["x", "", "zz"]))),
            ("d", Arc::new(words)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn batches_and_dictionaries_come_out_as_they_went_in() {
        let batch = sample();
        let mut messages = messages(&batch).into_iter();
        let mut decoder = Decoder::new(&messages.next().unwrap()).unwrap();
        assert_eq!(decoder.schema().fields(), batch.schema().fields());
        assert!(matches!(
            decoder.read(messages.next().unwrap()).unwrap(),
            Message::Dictionary
        ));
        let Message::Batch(read) = decoder.read(messages.next().unwrap()).unwrap() else {
            panic!("batch")
        };
        assert_eq!(read.columns(), batch.columns());
    }

    #[test]
    fn a_message_without_header_is_metadata() {
        let mut decoder = Decoder::new(&messages(&sample())[0]).unwrap();
        let commit = FlightData {
            app_metadata: "{}".into(),
            ..FlightData::default()
        };
        assert!(matches!(decoder.read(commit).unwrap(), Message::Metadata));
    }

    #[test]
    fn a_second_schema_is_refused() {
        let messages = messages(&sample());
        let mut decoder = Decoder::new(&messages[0]).unwrap();
        assert!(decoder.read(messages[0].clone()).unwrap_err().contains("second schema"));
        assert!(Decoder::new(&messages[1]).unwrap_err().contains("not an Arrow schema"));
        assert!(
            Decoder::new(&FlightData::default())
                .unwrap_err()
                .contains("no Arrow schema")
        );
    }

    #[test]
    fn a_body_cut_short_is_an_error_and_never_a_panic() {
        let messages = messages(&sample());
        let body = &messages[2].data_body;
        for keep in 0..body.len() {
            let mut decoder = Decoder::new(&messages[0]).unwrap();
            decoder.read(messages[1].clone()).unwrap();
            let cut = FlightData {
                data_body: body.slice(0..keep),
                ..messages[2].clone()
            };
            if let Ok(Message::Batch(read)) = decoder.read(cut) {
                assert_eq!(read.columns(), sample().columns(), "only padding may be missing");
            }
        }
    }

    #[test]
    fn garbage_headers_never_panic() {
        let good = messages(&sample());
        fastrand::seed(7);
        for _ in 0..2000 {
            let mut header = good[2].data_header.to_vec();
            for _ in 0..fastrand::usize(1..4) {
                let at = fastrand::usize(..header.len());
                header[at] = fastrand::u8(..);
            }
            let mut decoder = Decoder::new(&good[0]).unwrap();
            decoder.read(good[1].clone()).unwrap();
            // Any answer is fine as long as there is one.
            drop(decoder.read(FlightData {
                data_header: header.into(),
                ..good[2].clone()
            }));
        }
    }
}
