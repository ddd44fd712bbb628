//! A batch bound to its plan: rows go out in ranges, each measured, then written column by column.
//!
//! Rows are taken a chunk at a time so that the row cursors and the piece of output under work stay in cache; the chunk
//! follows the observed row size.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::buffer::NullBuffer;
use arrow::record_batch::RecordBatch;
use bytes::BytesMut;

use super::column::{Encoder, Faults, Scratch};
use super::error::{CellError, CellReason};
use super::plan::{CopyPlan, PlannedColumn};

/// Output bytes worked on at once; half of a usual L2 cache.
const CHUNK_BYTES: usize = 128 * 1024;
/// Rows worked on at once at most: their cursors take 32 KiB.
const CHUNK_ROWS: usize = 4096;
/// Row size assumed before the first row was measured.
const FIRST_GUESS: usize = 512;

/// A batch whose columns were checked against the plan.
pub struct BoundBatch<'a> {
    plan: &'a CopyPlan,
    columns: Vec<BoundColumn<'a>>,
    rows: usize,
    bytes_per_row: AtomicUsize,
    batch: PhantomData<&'a RecordBatch>,
}

struct BoundColumn<'a> {
    planned: &'a PlannedColumn,
    encoder: Encoder,
    /// The column's nulls where it refuses them and has some.
    forbidden: Option<NullBuffer>,
}

/// Working memory of one `encode` call.
struct Work {
    cursors: Vec<usize>,
    scratch: Vec<Scratch>,
}

impl std::fmt::Debug for BoundBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundBatch")
            .field("rows", &self.rows)
            .field("columns", &self.columns.len())
            .finish()
    }
}

impl<'a> BoundBatch<'a> {
    pub(super) fn new(plan: &'a CopyPlan, batch: &'a RecordBatch) -> Result<Self, CellError> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for planned in &plan.columns {
            let array = batch.column(planned.at);
            let encoder = (planned.bind)(array).map_err(|wrong| planned.error(0, wrong.into()))?;
            let forbidden = planned.null.as_ref().and_then(|_| array.logical_nulls());
            columns.push(BoundColumn {
                planned,
                encoder,
                forbidden: forbidden.filter(|n| n.null_count() > 0),
            });
        }
        Ok(Self {
            plan,
            columns,
            rows: batch.num_rows(),
            bytes_per_row: AtomicUsize::new(FIRST_GUESS),
            batch: PhantomData,
        })
    }

    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends encoded rows from `from` on until `out` has grown by about `target_bytes` (always at least one row) and
    /// returns the next row to encode. With ordinals in the plan, row `i` of the batch gets `ordinal_base + i`.
    ///
    /// # Errors
    /// The first cell, by row and then by column, that cannot be stored; nothing is appended then.
    pub fn encode(
        &self,
        from: usize,
        target_bytes: usize,
        ordinal_base: i64,
        out: &mut BytesMut,
    ) -> Result<usize, CellError> {
        let start = out.len();
        let mut work = self.work();
        let mut row = from;
        while row < self.rows && (row == from || out.len() - start < target_bytes) {
            let wanted = target_bytes.saturating_sub(out.len() - start);
            match self.encode_chunk(row, wanted, ordinal_base, &mut work, out) {
                Ok(next) => row = next,
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
        }
        Ok(row)
    }

    /// The first cell at fault of each row that cannot be stored, in row order, for `limit` rows at most.
    pub fn bad_rows(&self, limit: usize) -> Vec<CellError> {
        let mut work = self.work();
        let mut errors = Vec::new();
        let mut row = 0;
        while row < self.rows && errors.len() < limit {
            let rows = row..self.rows.min(row + CHUNK_ROWS);
            errors.extend(self.measure(rows.clone(), &mut work, limit - errors.len()));
            row = rows.end;
        }
        errors
    }

    fn work(&self) -> Work {
        Work {
            cursors: Vec::new(),
            scratch: self.columns.iter().map(|_| Scratch::default()).collect(),
        }
    }

    /// Encodes rows from `from` on for about `wanted` bytes and returns the next row.
    fn encode_chunk(
        &self,
        from: usize,
        wanted: usize,
        ordinal_base: i64,
        work: &mut Work,
        out: &mut BytesMut,
    ) -> Result<usize, CellError> {
        let guess = self.bytes_per_row.load(Ordering::Relaxed).max(1);
        let count = (wanted.min(CHUNK_BYTES) / guess)
            .clamp(1, CHUNK_ROWS)
            .min(self.rows - from);
        if let Some(error) = self.measure(from..from + count, work, 1).into_iter().next() {
            return Err(error);
        }
        let start = out.len();
        let mut end = start;
        let mut taken = 0;
        for length in &mut work.cursors {
            if taken > 0 && end - start >= wanted {
                break;
            }
            let next = end + *length;
            *length = end;
            end = next;
            taken += 1;
        }
        self.bytes_per_row
            .store((end - start).div_ceil(taken.max(1)), Ordering::Relaxed);
        out.resize(end, 0);
        self.write(from..from + taken, ordinal_base, work, out);
        Ok(from + taken)
    }

    /// Pass 1 over all columns: row sizes in `work.cursors`, and the first fault of each of the first `limit` bad rows.
    fn measure(&self, rows: Range<usize>, work: &mut Work, limit: usize) -> Vec<CellError> {
        work.cursors.clear();
        work.cursors
            .resize(rows.len(), if self.plan.ordinal { 2 + 12 } else { 2 });
        let mut errors: Vec<CellError> = Vec::new();
        for (column, scratch) in self.columns.iter().zip(&mut work.scratch) {
            let mut faults = Faults::new(limit);
            column
                .encoder
                .measure(rows.clone(), &mut work.cursors, scratch, &mut faults);
            let nulls = column.forbidden.iter().flat_map(|nulls| {
                rows.clone()
                    .filter(|row| nulls.is_null(*row))
                    .take(limit)
                    .map(|row| (row, column.planned.null.clone().unwrap_or(CellReason::Null)))
            });
            let found = faults.found().iter().cloned().chain(nulls);
            errors.extend(found.map(|(row, reason)| column.planned.error(row, reason)));
        }
        // Stable: of one row's faults, the leftmost column's stays first.
        errors.sort_by_key(|error| error.row);
        errors.dedup_by_key(|error| error.row);
        errors.truncate(limit);
        errors
    }

    /// Pass 2 over all columns.
    fn write(&self, rows: Range<usize>, ordinal_base: i64, work: &mut Work, out: &mut [u8]) {
        let cursors = &mut work.cursors[..rows.len()];
        let fields = (self.columns.len() + usize::from(self.plan.ordinal)) as u16;
        for cursor in cursors.iter_mut() {
            out[*cursor..*cursor + 2].copy_from_slice(&fields.to_be_bytes());
            *cursor += 2;
        }
        for (column, scratch) in self.columns.iter().zip(&mut work.scratch) {
            column.encoder.write(rows.clone(), cursors, scratch, out);
        }
        if self.plan.ordinal {
            for (cursor, row) in cursors.iter_mut().zip(rows) {
                let field = &mut out[*cursor..*cursor + 12];
                field[..4].copy_from_slice(&8i32.to_be_bytes());
                field[4..].copy_from_slice(&(ordinal_base + row as i64).to_be_bytes());
            }
        }
    }
}
