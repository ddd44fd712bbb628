//! What comes next in a resumable stream: tells replays, gaps and new batches apart before anything is written. Pure.
//!
//! This only spares work: the locked row of the stream decides.

use super::error::StreamError;
use super::ports::{Label, StreamState};

/// What comes next in a resumable stream.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) stream_id: String,
    expected: u64,
    last_hash: Option<Vec<u8>>,
    /// Rows that were committed by calls before.
    pub(super) rows_before: u64,
}

impl Cursor {
    pub(super) fn at(state: StreamState) -> Self {
        Self {
            stream_id: state.stream_id,
            expected: state.next_seq,
            last_hash: state.last_hash,
            rows_before: state.rows,
        }
    }

    /// Whether the batch is one that came before; otherwise it must be the next one.
    pub(super) fn admit(&mut self, label: &Label) -> Result<bool, StreamError> {
        if label.seq > self.expected {
            return Err(StreamError::Gap {
                stream_id: self.stream_id.clone(),
                expected: self.expected,
                found: label.seq,
            });
        }
        if label.seq < self.expected {
            // Only the last batch's hash is kept: it is the one that a client sends again when an answer was lost.
            let is_last = label.seq + 1 == self.expected;
            if is_last && self.last_hash.as_deref().is_some_and(|hash| hash != label.hash) {
                return Err(StreamError::ReplayMismatch {
                    stream_id: self.stream_id.clone(),
                    seq: label.seq,
                    expected: self.expected,
                });
            }
            return Ok(true);
        }
        self.expected += 1;
        self.last_hash = Some(label.hash.to_vec());
        Ok(false)
    }
}
