//! The dictionaries of one stream: what they take, and the work of extending them. They live as long as the stream's reader, so
//! whoever reads a stream holds memory for them that long.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::read_dictionary;
use arrow::ipc::{DictionaryBatch, MetadataVersion};

/// Bytes that may be copied to extend the dictionaries of a stream: each delta makes a new array of all that is there.
const MOST_COPIED: u64 = 2 << 30;
/// Or so many times what the stream sent, for long streams that extend a little now and then.
const COPIED_PER_BYTE: u64 = 64;

/// Dictionaries of a stream by their id.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries {
    arrays: HashMap<i64, ArrayRef>,
    bytes: HashMap<i64, usize>,
    received: u64,
    copied: u64,
}

impl Dictionaries {
    pub(super) fn arrays(&self) -> &HashMap<i64, ArrayRef> {
        &self.arrays
    }

    /// Memory of all together.
    pub(crate) fn total_bytes(&self) -> usize {
        self.bytes.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Memory of one; 0 where it is not there.
    pub(crate) fn bytes_of(&self, id: i64) -> usize {
        self.bytes.get(&id).copied().unwrap_or(0)
    }

    /// Lets go of a dictionary, before another one comes in its place.
    pub(crate) fn forget(&mut self, id: i64) {
        self.arrays.remove(&id);
        self.bytes.remove(&id);
    }

    /// Counts what came besides dictionaries.
    pub(super) fn count(&mut self, received: usize) {
        self.received = self.received.saturating_add(received as u64);
    }

    /// Reads a dictionary that takes so many bytes.
    pub(super) fn read(
        &mut self,
        body: &Buffer,
        batch: DictionaryBatch<'_>,
        schema: &SchemaRef,
        version: MetadataVersion,
        bytes: usize,
    ) -> Result<(), String> {
        let id = batch.id();
        self.count(body.len());
        let before = match batch.isDelta() {
            true => self.bytes_of(id),
            false => {
                self.forget(id);
                0
            }
        };
        if before > 0 {
            self.copied = self.copied.saturating_add((before + bytes) as u64);
            if self.copied > MOST_COPIED.max(self.received.saturating_mul(COPIED_PER_BYTE)) {
                return Err(format!(
                    "dictionaries were extended so often that {} bytes had to be copied; send fewer and larger deltas, whole \
                     dictionaries, or plain values",
                    self.copied
                ));
            }
        }
        read_dictionary(body, batch, schema, &mut self.arrays, &version).map_err(|error| error.to_string())?;
        self.bytes.insert(id, before.saturating_add(bytes));
        Ok(())
    }
}
