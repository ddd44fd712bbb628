//! Cuts a chunk in two, for a transaction that was too large for a limit of the server. Pure.

use crate::ingest::ports::Chunk;

/// Two chunks with the same rows in the same order; `None` where it cannot be cut. A batch with a sequence number stays whole.
pub(super) fn halves(chunk: &Chunk) -> Option<(Chunk, Chunk)> {
    if chunk.rows < 2 {
        return None;
    }
    let (mut first, mut second) = match chunk.labels.is_empty() {
        true => by_rows(chunk),
        false => by_batches(chunk)?,
    };
    let rows = |half: &Chunk| half.batches.iter().map(|batch| batch.num_rows() as u64).sum();
    (first.rows, second.rows) = (rows(&first), rows(&second));
    first.bytes = chunk.bytes * first.rows / chunk.rows;
    second.bytes = chunk.bytes - first.bytes;
    second.first_row += first.rows;
    Some((first, second))
}

fn by_rows(chunk: &Chunk) -> (Chunk, Chunk) {
    let (mut first, mut second) = (empty(chunk), empty(chunk));
    let mut room = (chunk.rows / 2) as usize;
    for batch in &chunk.batches {
        let rows = batch.num_rows();
        let cut = rows.min(room);
        room -= cut;
        if cut > 0 {
            first.batches.push(batch.slice(0, cut));
        }
        if cut < rows {
            second.batches.push(batch.slice(cut, rows - cut));
        }
    }
    (first, second)
}

fn by_batches(chunk: &Chunk) -> Option<(Chunk, Chunk)> {
    let last = chunk.batches.len().checked_sub(1).filter(|last| *last > 0)?;
    let mut before = 0;
    let fits = chunk.batches.iter().take_while(|batch| {
        before += batch.num_rows() as u64;
        before <= chunk.rows / 2
    });
    let at = fits.count().clamp(1, last);
    let (mut first, mut second) = (empty(chunk), empty(chunk));
    first.batches = chunk.batches.iter().take(at).cloned().collect();
    first.labels = chunk.labels.iter().take(at).cloned().collect();
    second.batches = chunk.batches.iter().skip(at).cloned().collect();
    second.labels = chunk.labels.iter().skip(at).cloned().collect();
    Some((first, second))
}

fn empty(like: &Chunk) -> Chunk {
    Chunk {
        batches: Vec::new(),
        rows: 0,
        bytes: 0,
        first_row: like.first_row,
        permits: like.permits.clone(),
        labels: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ports::Label;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    fn chunk(sizes: &[i64], labelled: bool) -> Chunk {
        let mut next = 0;
        let batches: Vec<RecordBatch> = sizes
            .iter()
            .map(|size| {
                let values: ArrayRef = Arc::new(Int64Array::from_iter_values(next..next + size));
                next += size;
                RecordBatch::try_from_iter([("a", values)]).unwrap()
            })
            .collect();
        let label = |seq| Label {
            seq,
            token: None,
            hash: [0; 32],
        };
        Chunk {
            rows: next as u64,
            bytes: 8 * next as u64,
            first_row: 100,
            permits: Vec::new(),
            labels: if labelled {
                (0..sizes.len() as u64).map(label).collect()
            } else {
                Vec::new()
            },
            batches,
        }
    }

    fn sizes(chunk: &Chunk) -> Vec<usize> {
        chunk.batches.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn rows_without_numbers_are_cut_in_the_middle() {
        let (first, second) = halves(&chunk(&[3, 5, 2], false)).unwrap();
        assert_eq!((sizes(&first), sizes(&second)), (vec![3, 2], vec![3, 2]));
        assert_eq!(
            (first.first_row, second.first_row, first.bytes + second.bytes),
            (100, 105, 80)
        );
        assert!(halves(&chunk(&[1], false)).is_none());
    }

    #[test]
    fn batches_with_numbers_stay_whole_and_in_order() {
        let numbers = |chunk: &Chunk| chunk.labels.iter().map(|label| label.seq).collect::<Vec<_>>();
        for sizes in [&[3, 5, 2][..], &[9, 1], &[1, 1, 9], &[0, 2, 0], &[2, 0]] {
            let (first, second) = halves(&chunk(sizes, true)).unwrap();
            let all: Vec<u64> = numbers(&first).into_iter().chain(numbers(&second)).collect();
            assert_eq!(all, (0..sizes.len() as u64).collect::<Vec<_>>(), "{sizes:?}");
            assert_eq!(first.batches.len(), first.labels.len(), "{sizes:?}");
            assert_eq!(second.batches.len(), second.labels.len(), "{sizes:?}");
            assert_eq!(first.rows + second.rows, sizes.iter().sum::<i64>() as u64, "{sizes:?}");
        }
        assert!(halves(&chunk(&[9], true)).is_none());
    }
}
