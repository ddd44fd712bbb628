//! Cuts a stream of record batches into chunks by rows, bytes and age. A state machine fed with the time, so that tests
//! need no clock; it never copies rows (slices share their buffers) and never reorders them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::budget::BytePermit;
use super::ports::{Chunk, Label};

/// A batch as a door hands it over.
#[derive(Debug)]
pub struct IncomingBatch {
    /// The rows.
    pub batch: RecordBatch,
    /// Size on the wire. Memory size would count shared buffers of slices many times.
    pub wire_bytes: usize,
    /// The memory it holds, given back when the last slice of it is written.
    pub permit: Option<Arc<BytePermit>>,
    /// Its name in a resumable stream. A batch with a name is never cut, because it is committed as a whole.
    pub label: Option<Label>,
}

/// When a chunk is full.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Rows.
    pub rows: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Longest time that a row waits for its chunk to fill; `None` where nothing commits before the end anyway.
    pub age: Option<Duration>,
}

/// Collects batches until a limit is reached.
#[derive(Debug)]
pub struct Batcher {
    limits: ChunkLimits,
    pending: Chunk,
    oldest: Option<Instant>,
}

impl Batcher {
    /// An empty batcher at the start of a stream.
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            limits,
            pending: empty_chunk(0),
            oldest: None,
        }
    }

    /// Takes a batch and returns the chunks that are full now, in order.
    pub fn push(&mut self, incoming: IncomingBatch, now: Instant) -> Vec<Chunk> {
        if let Some(label) = incoming.label.clone() {
            return self.push_whole(incoming, label, now);
        }
        let mut full = Vec::new();
        let total = incoming.batch.num_rows() as u64;
        let row_bytes = (incoming.wire_bytes as u64).checked_div(total).unwrap_or(0).max(1);
        let mut taken = 0;
        while taken < total {
            let rows = self.room(row_bytes).min(total - taken);
            let slice = match rows == total {
                true => incoming.batch.clone(),
                false => incoming.batch.slice(taken as usize, rows as usize),
            };
            self.add(slice, rows, rows * row_bytes, incoming.permit.clone(), now);
            taken += rows;
            if self.is_full() {
                full.extend(self.take());
            }
        }
        full
    }

    fn push_whole(&mut self, incoming: IncomingBatch, label: Label, now: Instant) -> Vec<Chunk> {
        let (rows, bytes) = (incoming.batch.num_rows() as u64, incoming.wire_bytes as u64);
        let mut full = Vec::new();
        let over = self.pending.rows + rows > self.limits.rows || self.pending.bytes + bytes > self.limits.bytes;
        if over {
            full.extend(self.take());
        }
        self.pending.labels.push(label);
        self.add(incoming.batch, rows, bytes, incoming.permit, now);
        if self.is_full() {
            full.extend(self.take());
        }
        full
    }

    /// Whether rows wait for their chunk to fill.
    pub fn holds_rows(&self) -> bool {
        !self.pending.batches.is_empty()
    }

    /// The pending rows, whatever their number; `None` when there are none.
    pub fn take(&mut self) -> Option<Chunk> {
        if self.pending.batches.is_empty() {
            return None;
        }
        let next = empty_chunk(self.pending.first_row + self.pending.rows);
        self.oldest = None;
        Some(std::mem::replace(&mut self.pending, next))
    }

    /// When the pending rows should be written even though no limit is reached.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.oldest? + self.limits.age?)
    }

    /// Rows seen so far.
    pub fn rows(&self) -> u64 {
        self.pending.first_row + self.pending.rows
    }

    /// Rows of the given size that still fit; at least one, so that a huge row forms a chunk of its own.
    fn room(&self, row_bytes: u64) -> u64 {
        let by_rows = self.limits.rows.saturating_sub(self.pending.rows);
        let by_bytes = self.limits.bytes.saturating_sub(self.pending.bytes) / row_bytes;
        by_rows.min(by_bytes).max(1)
    }

    fn is_full(&self) -> bool {
        // A chunk that the next average row would push over the limit counts as full: it would only be cut there again.
        let average = self.pending.bytes.checked_div(self.pending.rows).unwrap_or(0);
        self.pending.rows >= self.limits.rows || self.pending.bytes + average > self.limits.bytes
    }

    fn add(&mut self, batch: RecordBatch, rows: u64, bytes: u64, permit: Option<Arc<BytePermit>>, now: Instant) {
        self.oldest.get_or_insert(now);
        self.pending.batches.push(batch);
        self.pending.rows += rows;
        self.pending.bytes += bytes;
        self.pending.permits.extend(permit);
    }
}

fn empty_chunk(first_row: u64) -> Chunk {
    Chunk {
        batches: Vec::new(),
        rows: 0,
        bytes: 0,
        first_row,
        permits: Vec::new(),
        labels: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array};

    fn batch(first: i32, rows: i32) -> IncomingBatch {
        let values: ArrayRef = Arc::new(Int32Array::from_iter_values(first..first + rows));
        let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
        IncomingBatch {
            batch,
            wire_bytes: 10 * rows as usize,
            permit: None,
            label: None,
        }
    }

    fn labelled(seq: u64, first: i32, rows: i32) -> IncomingBatch {
        IncomingBatch {
            label: Some(Label {
                seq,
                token: None,
                hash: [0; 32],
            }),
            ..batch(first, rows)
        }
    }

    fn values(chunk: &Chunk) -> Vec<i32> {
        let columns = chunk
            .batches
            .iter()
            .map(|batch| batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap());
        columns.flat_map(|array| array.values().to_vec()).collect()
    }

    fn limits(rows: u64, bytes: u64) -> ChunkLimits {
        ChunkLimits {
            rows,
            bytes,
            age: Some(Duration::from_secs(1)),
        }
    }

    #[test]
    fn rows_come_out_once_and_in_order_whatever_the_batch_sizes() {
        for limit in [1, 2, 3, 7, 100] {
            let mut batcher = Batcher::new(limits(limit, u64::MAX));
            let now = Instant::now();
            let mut chunks = Vec::new();
            let mut next = 0;
            for rows in [1, 0, 5, 13, 2, 7, 1] {
                chunks.extend(batcher.push(batch(next, rows), now));
                next += rows;
            }
            chunks.extend(batcher.take());
            let seen: Vec<i32> = chunks.iter().flat_map(values).collect();
            assert_eq!(seen, (0..next).collect::<Vec<_>>(), "limit {limit}");
            let mut first_row = 0;
            for chunk in &chunks {
                assert_eq!(chunk.first_row, first_row);
                assert!(chunk.rows <= limit);
                first_row += chunk.rows;
            }
        }
    }

    #[test]
    fn a_batch_with_a_sequence_number_is_never_cut() {
        let mut batcher = Batcher::new(limits(10, u64::MAX));
        let mut chunks = Vec::new();
        for (seq, rows) in [(5, 4), (6, 4), (7, 4), (8, 25), (9, 0), (10, 1)] {
            chunks.extend(batcher.push(labelled(seq, 0, rows), Instant::now()));
        }
        chunks.extend(batcher.take());
        let seqs = |chunk: &Chunk| chunk.labels.iter().map(|label| label.seq).collect::<Vec<_>>();
        assert_eq!(
            chunks.iter().map(seqs).collect::<Vec<_>>(),
            [vec![5, 6], vec![7], vec![8], vec![9, 10]]
        );
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>(), [8, 4, 25, 1]);
        assert!(chunks.iter().all(|chunk| chunk.batches.len() == chunk.labels.len()));
    }

    #[test]
    fn a_chunk_stays_within_its_bytes_unless_one_row_is_larger() {
        let mut batcher = Batcher::new(limits(u64::MAX, 35));
        let chunks = batcher.push(batch(0, 10), Instant::now());
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>(), [3, 3, 3]);
        let mut tiny = Batcher::new(limits(u64::MAX, 5));
        let chunks = tiny.push(batch(0, 3), Instant::now());
        assert_eq!(chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn the_age_of_a_chunk_counts_from_its_first_row() {
        let mut batcher = Batcher::new(limits(100, u64::MAX));
        assert_eq!(batcher.deadline(), None);
        let start = Instant::now();
        batcher.push(batch(0, 1), start);
        batcher.push(batch(1, 1), start + Duration::from_millis(900));
        assert_eq!(batcher.deadline(), Some(start + Duration::from_secs(1)));
        batcher.take();
        assert_eq!(batcher.deadline(), None);
    }
}
