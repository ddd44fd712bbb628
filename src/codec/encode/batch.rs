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

use super::column::{Encoder, Faults, MAX_FIELD, Scratch};
use super::error::{CellError, CellReason};
use super::plan::{CopyPlan, PlannedColumn};
use super::rendered::Meter;

/// Output bytes worked on at once; half of a usual L2 cache.
const CHUNK_BYTES: usize = 128 * 1024;
/// Rows worked on at once at most: their cursors take 32 KiB.
const CHUNK_ROWS: usize = 4096;
/// Row size assumed before the first row was measured.
const FIRST_GUESS: usize = 512;
/// Most bytes that are made in one turn. A row that takes more has a turn of its own, for which its caller makes room.
const TURN_BYTES: usize = 8 << 20;

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
    /// What the columns may make together in a turn, where that is bounded.
    turn: Option<usize>,
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
        self.encode_with(from, target_bytes, ordinal_base, &mut self.work(None), out)
    }

    /// As [`Self::encode`], up to the first row that takes more than is made in one turn: `from` comes back where that is the first.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_small(
        &self,
        from: usize,
        target_bytes: usize,
        ordinal_base: i64,
        out: &mut BytesMut,
    ) -> Result<usize, CellError> {
        self.encode_with(from, target_bytes, ordinal_base, &mut self.work(Some(TURN_BYTES)), out)
    }

    fn encode_with(
        &self,
        from: usize,
        target_bytes: usize,
        ordinal_base: i64,
        work: &mut Work,
        out: &mut BytesMut,
    ) -> Result<usize, CellError> {
        let start = out.len();
        let mut row = from;
        while row < self.rows && (row == from || out.len() - start < target_bytes) {
            let wanted = target_bytes.saturating_sub(out.len() - start);
            match self.encode_chunk(row, wanted, ordinal_base, work, out) {
                Ok(next) if next == row => break,
                Ok(next) => row = next,
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
        }
        Ok(row)
    }

    /// Checks all cells of one row and keeps nothing of it.
    ///
    /// # Errors
    /// The first cell that cannot be stored.
    pub fn check_row(&self, row: usize) -> Result<(), CellError> {
        let mut size = 0;
        for column in &self.columns {
            size += self.measure_field(column, row, &mut Scratch::default())?;
            if size > MAX_FIELD {
                return Err(column.planned.error(row, CellReason::RowTooLarge(size)));
            }
        }
        Ok(())
    }

    /// Number of fields of a row, the ordinal's among them.
    pub fn fields(&self) -> usize {
        self.columns.len() + usize::from(self.plan.ordinal)
    }

    /// One field of a row that was checked, in two parts; the ordinal is `ordinal_base` and the row.
    ///
    /// # Errors
    /// As [`Self::check_row`].
    pub fn field(&self, row: usize, field: usize, ordinal_base: i64) -> Result<(Vec<u8>, Vec<u8>), CellError> {
        let Some(column) = self.columns.get(field) else {
            return Ok((ordinal(ordinal_base, row).to_vec(), Vec::new()));
        };
        let mut scratch = Scratch::default();
        let length = self.measure_field(column, row, &mut scratch)?;
        Ok(column.encoder.field(row, length, &mut scratch))
    }

    fn measure_field(&self, column: &BoundColumn<'_>, row: usize, scratch: &mut Scratch) -> Result<usize, CellError> {
        let (mut length, mut faults) = ([0], Faults::new(1));
        column.encoder.measure(row..row + 1, &mut length, scratch, &mut faults);
        let null = column.forbidden.as_ref().filter(|nulls| nulls.is_null(row));
        let fault = faults.found().first().map(|(_, reason)| reason.clone());
        match fault.or(null.map(|_| CellReason::Null)) {
            Some(reason) => Err(column.planned.error(row, reason)),
            None => Ok(length[0]),
        }
    }

    /// The first cell at fault of each row that cannot be stored, in row order, for `limit` rows at most.
    pub fn bad_rows(&self, limit: usize) -> Vec<CellError> {
        let mut work = self.work(Some(TURN_BYTES));
        let mut errors = Vec::new();
        let mut row = 0;
        while row < self.rows && errors.len() < limit {
            let rows = row..self.rows.min(row + CHUNK_ROWS);
            let found = self.measure(rows.clone(), &mut work, limit - errors.len());
            let seen = found.iter().take_while(|error| error.reason != CellReason::NotNow);
            errors.extend(seen.cloned());
            row = match found.iter().find(|error| error.reason == CellReason::NotNow) {
                None => rows.end,
                // Not the first: the rows before it used the turn up.
                Some(large) if large.row > row => large.row,
                Some(large) => {
                    errors.extend(self.check_row(large.row).err());
                    large.row + 1
                }
            };
        }
        errors
    }

    fn work(&self, turn: Option<usize>) -> Work {
        Work {
            cursors: Vec::new(),
            scratch: self.columns.iter().map(|_| Scratch::default()).collect(),
            turn,
        }
    }

    /// Encodes rows from `from` on for about `wanted` bytes and returns the next row; `from` where that is too much for a turn.
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
        match self.measure(from..from + count, work, 1).into_iter().next() {
            None => {}
            Some(error) if error.reason != CellReason::NotNow => return Err(error),
            Some(_) if count == 1 => return Ok(from),
            Some(_) => {
                // One after the other, by the guess.
                self.bytes_per_row.store(CHUNK_BYTES, Ordering::Relaxed);
                return self.encode_chunk(from, wanted, ordinal_base, work, out);
            }
        }
        let start = out.len();
        let mut end = start;
        let mut taken = 0;
        for length in &mut work.cursors {
            let is_large = work.turn.is_some_and(|turn| *length > turn);
            if is_large || taken > 0 && end - start >= wanted {
                break;
            }
            let next = end + *length;
            *length = end;
            end = next;
            taken += 1;
        }
        if taken == 0 {
            return Ok(from);
        }
        self.bytes_per_row
            .store((end - start).div_ceil(taken), Ordering::Relaxed);
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
        let meter = work.turn.map_or_else(Meter::default, Meter::of);
        for scratch in &mut work.scratch {
            scratch.meter = meter.clone();
        }
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
                out[*cursor..*cursor + 12].copy_from_slice(&ordinal(ordinal_base, row));
            }
        }
    }
}

fn ordinal(base: i64, row: usize) -> [u8; 12] {
    let mut field = [0; 12];
    field[..4].copy_from_slice(&8i32.to_be_bytes());
    field[4..].copy_from_slice(&(base + row as i64).to_be_bytes());
    field
}
