//! From Flight messages to Arrow: schema, dictionaries, record batches, metadata-only messages.
//!
//! The checks that make hostile bytes harmless are in [`crate::server::arrow_ipc`].

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;

use crate::server::arrow_ipc::{self, Dictionaries, Weight};

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
    dictionaries: Dictionaries,
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
        let schema = arrow_ipc::read_schema(&first.data_header)?;
        Ok(Self {
            schema: Arc::new(schema),
            dictionaries: Dictionaries::default(),
        })
    }

    /// The stream's schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Memory that a message takes once it is read: its body, or its buffers where they take more.
    ///
    /// # Errors
    /// Why the message cannot be read.
    pub fn bytes(&self, data: &FlightData) -> Result<usize, String> {
        self.weigh(data).map(|weight| weight.bytes)
    }

    /// What a message is, as far as memory goes.
    ///
    /// # Errors
    /// Why the message cannot be read.
    pub(super) fn weigh(&self, data: &FlightData) -> Result<Weight, String> {
        match data.data_header.is_empty() {
            true => Ok(Weight {
                bytes: data.data_body.len(),
                dictionary: None,
            }),
            false => arrow_ipc::weigh(&data.data_header, &data.data_body),
        }
    }

    /// The dictionaries that are kept.
    pub(super) fn dictionaries(&mut self) -> &mut Dictionaries {
        &mut self.dictionaries
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
        let body = Buffer::from(data.data_body);
        let read = arrow_ipc::read_message(&data.data_header, body, &self.schema, &mut self.dictionaries)?;
        Ok(read.map_or(Message::Dictionary, Message::Batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray, UnionArray};
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{DataType, Field, Int32Type, UnionFields};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
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

    /// gRPC puts a body wherever it ends up in its buffer.
    #[test]
    fn unions_are_read_wherever_their_bytes_lie() {
        let ids = ScalarBuffer::from(vec![0_i8, 1, 0]);
        let offsets = ScalarBuffer::from(vec![0_i32, 0, 1]);
        let children: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec!["x"])),
        ];
        let fields = [(0_i8, DataType::Int32), (1, DataType::Utf8)];
        let fields: UnionFields = fields
            .into_iter()
            .map(|(id, kind)| (id, Arc::new(Field::new(format!("f{id}"), kind, true))))
            .collect();
        let union = UnionArray::try_new(fields, ids, Some(offsets), children).unwrap();
        let batch = RecordBatch::try_from_iter([("u", Arc::new(union) as ArrayRef)]).unwrap();
        let sent = messages(&batch);
        for shift in 0..8 {
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(&sent[1].data_body);
            let moved = FlightData {
                data_body: bytes::Bytes::from(shifted).slice(shift..),
                ..sent[1].clone()
            };
            let Message::Batch(read) = Decoder::new(&sent[0]).unwrap().read(moved).unwrap() else {
                panic!("batch")
            };
            assert_eq!(read.columns(), batch.columns(), "shifted by {shift}");
        }
    }

    #[test]
    fn a_compressed_message_counts_what_it_unpacks_to() {
        let zeros: ArrayRef = Arc::new(Int32Array::from(vec![0; 100_000]));
        let batch = RecordBatch::try_from_iter([("n", zeros)]).unwrap();
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::ZSTD))
            .unwrap();
        let encoder = FlightDataEncoderBuilder::new().with_options(options);
        let sent = encoder
            .build(futures::stream::iter([Ok(batch.clone())]))
            .boxed()
            .try_collect();
        let sent: Vec<FlightData> = futures::executor::block_on(sent).unwrap();
        let decoder = Decoder::new(&sent[0]).unwrap();
        assert!(sent[1].data_body.len() < 10_000);
        assert!(decoder.bytes(&sent[1]).unwrap() >= 400_000);
        let plain = messages(&batch);
        assert_eq!(decoder.bytes(&plain[1]).unwrap(), plain[1].data_body.len());
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
