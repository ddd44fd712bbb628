//! Counts of a running stream, as its acknowledgements tell them. Pure.

use serde::Serialize;

use super::ports::{StreamState, Written};

/// Counts of a running stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows written, committed or not.
    pub rows: u64,
    /// Rows committed.
    pub committed: u64,
    /// Rows in the reject table.
    pub rejected: u64,
    /// Rows that a trigger of the table left out.
    pub suppressed: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Where a resumable stream stands.
    pub stream: Option<StreamProgress>,
}

/// Where a resumable stream stands, as an acknowledgement tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamProgress {
    /// Its name.
    pub stream_id: String,
    /// Which opening of it this load belongs to.
    pub epoch: u64,
    /// Highest sequence number that is committed; absent before the first.
    pub committed_through_seq: Option<u64>,
    /// The number that comes next.
    pub next_seq: u64,
    /// Token of the last committed batch.
    pub token: Option<String>,
    /// Whether what is committed also survives a crash of the Postgres server.
    pub durable: bool,
    /// Whether the answer is about a batch that was committed before.
    pub duplicate: bool,
    /// Rows of such batches in this call.
    pub duplicate_rows: u64,
}

impl Progress {
    pub(super) fn add(&mut self, written: Written) {
        self.rows += written.rows;
        self.rejected += written.rejected;
        self.suppressed += written.suppressed;
        self.chunks += 1;
        if !written.committed {
            return;
        }
        self.committed += written.rows;
        if let (Some(stream), Some(next_seq)) = (&mut self.stream, written.next_seq) {
            stream.next_seq = next_seq;
            stream.committed_through_seq = next_seq.checked_sub(1);
            stream.token = written.token;
            stream.durable = written.durable;
            stream.duplicate = false;
        }
    }

    pub(super) fn add_duplicate(&mut self, rows: u64) {
        if let Some(stream) = &mut self.stream {
            stream.duplicate = true;
            stream.duplicate_rows += rows;
        }
    }
}

impl StreamProgress {
    pub(super) fn at(state: &StreamState) -> Self {
        Self {
            stream_id: state.stream_id.clone(),
            epoch: state.epoch,
            committed_through_seq: state.next_seq.checked_sub(1),
            next_seq: state.next_seq,
            token: state.token.clone(),
            durable: state.durable,
            duplicate: state.finished.is_some(),
            duplicate_rows: 0,
        }
    }

    pub(super) fn after(before: Option<Self>, state: &StreamState) -> Self {
        let now = Self::at(state);
        match before {
            None => now,
            Some(before) => Self {
                durable: before.durable,
                duplicate: before.duplicate,
                duplicate_rows: before.duplicate_rows,
                ..now
            },
        }
    }
}
