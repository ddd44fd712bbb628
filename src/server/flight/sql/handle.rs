//! Handles of prepared statements. A handle holds its statement and the parameters bound to it, so the server keeps nothing for
//! it: any number costs no memory, none expires, and one that somebody else made gives nobody more than its text does. Pure.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::FlightData;
use bytes::Bytes;
use prost::Message;

use crate::ingest::error::RequestError;
use crate::ingest::ports::query::Statement;
use crate::server::flight::decode::{Decoder, Message as Decoded};

/// Bytes of a statement with its parameters; they travel with each use of the handle.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// What a handle holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Handle {
    #[prost(string, tag = "1")]
    pub(super) sql: String,
    /// The schema of the parameters, and their rows.
    #[prost(message, repeated, tag = "2")]
    bound: Vec<Piece>,
}

/// A message of Arrow IPC.
#[derive(Clone, PartialEq, prost::Message)]
struct Piece {
    #[prost(bytes = "bytes", tag = "1")]
    header: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    body: Bytes,
}

impl Handle {
    /// The handle of a statement.
    ///
    /// # Errors
    /// One that is too long, or empty.
    pub(super) fn of(sql: String) -> Result<Self, RequestError> {
        let handle = Self { sql, bound: Vec::new() };
        handle.checked()
    }

    /// Reads one that a client sent back.
    ///
    /// # Errors
    /// Bytes that are none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RequestError> {
        let handle = Self::decode(bytes).ok().filter(|handle| !handle.sql.is_empty());
        let none = || RequestError::NotFound("this is no handle of a prepared statement of this server".to_owned());
        handle.ok_or_else(none)?.checked()
    }

    /// The same statement with these values: a message with their schema and those with their rows.
    ///
    /// # Errors
    /// Messages that are too large, or cannot be read.
    pub(super) fn bind(self, messages: Vec<FlightData>) -> Result<Self, RequestError> {
        let bound = messages.into_iter().filter(|message| !message.data_header.is_empty());
        let bound = bound.map(|message| Piece {
            header: message.data_header,
            body: message.data_body,
        });
        let bound: Vec<Piece> = bound.collect();
        // Some drivers bind values first, and send nothing with the update.
        if bound.is_empty() {
            return Ok(self);
        }
        let handle = Self { bound, ..self };
        let handle = handle.checked()?;
        handle.parameters()?;
        Ok(handle)
    }

    /// Whether no values are bound to it.
    pub(super) fn is_unbound(&self) -> bool {
        self.bound.is_empty()
    }

    /// As it is sent to clients.
    pub(super) fn encoded(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// What it stands for.
    ///
    /// # Errors
    /// Values that cannot be read.
    pub(super) fn statement(&self) -> Result<Statement, RequestError> {
        Ok(Statement {
            sql: self.sql.clone(),
            parameters: self.parameters()?,
        })
    }

    fn checked(self) -> Result<Self, RequestError> {
        if self.sql.trim().is_empty() {
            return Err(RequestError::Malformed("the statement is empty".to_owned()));
        }
        let bytes = self.encoded_len();
        if bytes > MOST_BYTES {
            return Err(RequestError::Malformed(format!(
                "the statement with its parameters takes {bytes} bytes, and {MOST_BYTES} is the most; load rows by an ingest"
            )));
        }
        Ok(self)
    }

    fn parameters(&self) -> Result<Option<RecordBatch>, RequestError> {
        let unreadable = |reason: String| RequestError::Malformed(format!("the parameters cannot be read: {reason}"));
        let mut pieces = self.bound.iter().map(|piece| FlightData {
            data_header: piece.header.clone(),
            data_body: piece.body.clone(),
            ..FlightData::default()
        });
        let Some(first) = pieces.next() else {
            return Ok(None);
        };
        let mut decoder = Decoder::new(&first).map_err(unreadable)?;
        let mut batches = Vec::new();
        let mut unpacked = 0;
        for piece in pieces {
            unpacked += decoder.bytes(&piece).map_err(unreadable)?;
            if unpacked > MOST_BYTES {
                return Err(unreadable(format!("they unpack to more than {MOST_BYTES} bytes")));
            }
            if let Decoded::Batch(batch) = decoder.read(piece).map_err(unreadable)? {
                batches.push(batch);
            }
        }
        let all = concat_batches(decoder.schema(), &batches);
        all.map(Some).map_err(|error| unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_comes_back_as_it_went_and_others_are_none() {
        let handle = Handle::of("select 1".to_owned()).unwrap();
        assert_eq!(Handle::read(&handle.encoded()).unwrap(), handle);
        assert_eq!(handle.statement().unwrap().parameters, None);
        for other in [b"".as_slice(), b"somebody's", b"\xff\xff\xff"] {
            assert!(matches!(Handle::read(other), Err(RequestError::NotFound(_))));
        }
    }

    #[test]
    fn a_statement_has_a_size() {
        assert!(Handle::of("  ".to_owned()).is_err());
        let long = Handle::of(" ".repeat(MOST_BYTES) + "select 1").unwrap_err().to_string();
        assert!(long.contains("1048576 is the most"), "{long}");
    }
}
