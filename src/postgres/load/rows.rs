//! The rows of a chunk that are to be stored, as slices of its batches that know their places in the stream. Sends nothing; no row
//! is copied.

use std::ops::Range;

use arrow::array::RecordBatch;

use crate::codec::encode::CopyPlan;
use crate::ingest::aside::aside_if_large;
use crate::ingest::ports::Chunk;

/// Bad rows that are counted for a message.
const MOST_COUNTED: usize = 1000;

/// Rows in stream order, some of the stream's left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pieces: Vec<Piece>,
    count: u64,
}

/// Rows that follow one another in the stream.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) batch: RecordBatch,
    /// Place of the first one in the stream.
    pub(super) place: u64,
}

impl Piece {
    fn rows(&self) -> u64 {
        self.batch.num_rows() as u64
    }
}

impl Rows {
    /// All rows of a chunk.
    pub(super) fn of(chunk: &Chunk) -> Self {
        let mut rows = Self::default();
        let mut place = chunk.first_row;
        for batch in &chunk.batches {
            rows.push(batch.clone(), place);
            place += batch.num_rows() as u64;
        }
        rows
    }

    fn push(&mut self, batch: RecordBatch, place: u64) {
        if batch.num_rows() > 0 {
            self.count += batch.num_rows() as u64;
            self.pieces.push(Piece { batch, place });
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Room to begin with for their bytes: `most`, or less where they are few.
    pub(super) fn room(&self, most: usize) -> usize {
        let memory = self.pieces.iter().map(|piece| piece.batch.get_array_memory_size());
        memory.fold(0_usize, usize::saturating_add).min(most)
    }

    /// Place in the stream of row `index`.
    pub(super) fn place(&self, index: u64) -> u64 {
        let mut before = 0;
        for piece in &self.pieces {
            if index < before + piece.rows() {
                return piece.place + index - before;
            }
            before += piece.rows();
        }
        self.pieces.last().map_or(index, |last| last.place + last.rows())
    }

    /// The row at a place in the stream, as a batch of its own.
    pub(super) fn at(&self, place: u64) -> Option<RecordBatch> {
        let piece = self
            .pieces
            .iter()
            .find(|piece| (piece.place..piece.place + piece.rows()).contains(&place))?;
        Some(piece.batch.slice((place - piece.place) as usize, 1))
    }

    /// Rows `range`, counted without those that are left out.
    pub(super) fn slice(&self, range: Range<u64>) -> Self {
        let mut rows = Self::default();
        let mut before = 0;
        for piece in &self.pieces {
            let from = range.start.saturating_sub(before).min(piece.rows());
            let to = range.end.saturating_sub(before).min(piece.rows());
            if from < to {
                let batch = piece.batch.slice(from as usize, (to - from) as usize);
                rows.push(batch, piece.place + from);
            }
            before += piece.rows();
        }
        rows
    }

    /// All but the rows at these places, which are in ascending order.
    pub(super) fn without(&self, places: &[u64]) -> Self {
        let mut rows = Self::default();
        let mut places = places.iter().copied().peekable();
        for piece in &self.pieces {
            let end = piece.place + piece.rows();
            let mut from = piece.place;
            while let Some(place) = places.next_if(|place| *place < end) {
                if place >= from {
                    rows.push(part(piece, from..place), from);
                    from = place + 1;
                }
            }
            rows.push(part(piece, from..end), from);
        }
        rows
    }

    /// How many rows behind the one at `place` have a cell that cannot be stored either; counts up to [`MOST_COUNTED`].
    pub(super) async fn bad_behind(&self, place: u64, plan: &CopyPlan) -> u64 {
        let mut found = 0;
        for piece in &self.pieces {
            if found < MOST_COUNTED
                && let bytes = piece.batch.get_array_memory_size()
                && let Ok(bad) = aside_if_large(bytes, || {
                    plan.bind(&piece.batch)
                        .map(|bound| bound.bad_rows(MOST_COUNTED - found))
                })
                .await
            {
                found += bad.iter().filter(|cell| piece.place + cell.row as u64 > place).count();
            }
        }
        found as u64
    }

    /// The same rows as a chunk, for those who need no places.
    pub(super) fn chunk(&self) -> Chunk {
        Chunk {
            batches: self.pieces.iter().map(|piece| piece.batch.clone()).collect(),
            rows: self.count,
            bytes: 0,
            first_row: self.place(0),
            permits: Vec::new(),
            labels: Vec::new(),
        }
    }
}

fn part(piece: &Piece, places: Range<u64>) -> RecordBatch {
    let from = (places.start - piece.place) as usize;
    piece.batch.slice(from, (places.end - places.start) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    /// Batches whose values are their places.
    fn rows(sizes: &[i64]) -> Rows {
        let mut next = 100;
        let batches = sizes.iter().map(|size| {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(next..next + size));
            next += size;
            RecordBatch::try_from_iter([("place", values)]).unwrap()
        });
        let batches: Vec<RecordBatch> = batches.collect();
        Rows::of(&Chunk {
            rows: sizes.iter().sum::<i64>() as u64,
            bytes: 0,
            first_row: 100,
            permits: Vec::new(),
            labels: Vec::new(),
            batches,
        })
    }

    /// Places by value; each piece's own place must say the same.
    fn places(rows: &Rows) -> Vec<u64> {
        let mut all = Vec::new();
        for piece in rows.pieces() {
            let values = piece.batch.column(0).as_primitive::<Int64Type>();
            assert_eq!(values.value(0) as u64, piece.place);
            all.extend(values.values().iter().map(|value| *value as u64));
        }
        assert_eq!(all.len() as u64, rows.count());
        for (index, place) in (0..).zip(&all) {
            assert_eq!(rows.place(index), *place);
            let row = rows.at(*place).unwrap();
            assert_eq!(row.column(0).as_primitive::<Int64Type>().values(), &[*place as i64]);
        }
        all
    }

    #[test]
    fn places_survive_taking_rows_out_and_cutting_what_is_left() {
        let all = rows(&[3, 0, 5, 2]);
        assert_eq!(places(&all), (100..110).collect::<Vec<_>>());
        for gone in [
            &[][..],
            &[100],
            &[109],
            &[102, 103],
            &[100, 102, 104, 106, 108],
            &[103, 104, 105, 106, 107],
        ] {
            let left = all.without(gone);
            let expected: Vec<u64> = (100..110).filter(|place| !gone.contains(place)).collect();
            assert_eq!(places(&left), expected, "without {gone:?}");
            for from in 0..=left.count() {
                for to in from..=left.count() {
                    let cut = &expected[from as usize..to as usize];
                    assert_eq!(places(&left.slice(from..to)), cut, "{from}..{to} without {gone:?}");
                }
            }
        }
        assert!(all.without(&(100..110).collect::<Vec<_>>()).pieces().is_empty());
        assert!(all.without(&[104]).at(104).is_none() && all.at(110).is_none());
    }
}
