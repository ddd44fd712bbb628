//! Who waits for a commit under way, to be written in the next one. Places in a queue only; nothing is written here.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::ingest::ports::Chunk;

/// Bytes of rows that make a put too large to wait for others, and that are written together at most.
const SMALL: usize = 256 << 10;
const TOGETHER: u64 = 4 << 20;

/// What may be written together (`group_commit`).
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLimits {
    /// Longest wait for the commit of others.
    pub(super) max_wait: Duration,
    /// Most rows.
    pub(super) max_rows: u64,
}

/// What became of a put that was written with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Committed,
    /// Nothing of it is stored; it is to be written by itself.
    Alone,
    /// It is not known.
    Unknown,
}

/// The puts into one table by one plan.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// Whether somebody commits.
    busy: bool,
    number: u64,
    members: VecDeque<Member>,
}

/// A put that waits.
#[derive(Debug)]
pub(super) struct Member {
    number: u64,
    pub(super) chunk: Chunk,
    pub(super) told: oneshot::Sender<Told>,
}

/// A place in the queue, left when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    waiting: &'a Waiting,
    number: u64,
    pub(super) heard: oneshot::Receiver<Told>,
}

impl GroupLimits {
    /// Whether a put of this chunk may be written with others.
    pub(super) fn take(self, chunk: &Chunk) -> bool {
        let memory = || {
            let batches = chunk
                .batches
                .iter()
                .map(arrow::array::RecordBatch::get_array_memory_size);
            batches.fold(0, usize::saturating_add)
        };
        !self.max_wait.is_zero()
            && (1..=self.max_rows).contains(&chunk.rows)
            && chunk.bytes <= SMALL as u64
            && chunk.labels.is_empty()
            && memory() <= SMALL
    }
}

impl Waiting {
    /// A place behind whoever commits; `None` where nobody does, and whoever asked does from now on.
    pub(super) fn enter(&self, chunk: &Chunk) -> Option<Place<'_>> {
        let mut queue = self.queue();
        if !std::mem::replace(&mut queue.busy, true) {
            return None;
        }
        let (told, heard) = oneshot::channel();
        queue.number += 1;
        let number = queue.number;
        queue.members.push_back(Member {
            number,
            chunk: chunk.clone(),
            told,
        });
        Some(Place {
            waiting: self,
            number,
            heard,
        })
    }

    /// Those who are written next, now that whoever committed is done; none where nobody waits, and nobody commits then.
    pub(super) fn next(&self, limits: GroupLimits) -> Vec<Member> {
        let mut queue = self.queue();
        let (mut rows, mut bytes, mut taken) = (0, 0, 0);
        for member in &queue.members {
            rows += member.chunk.rows;
            bytes += member.chunk.bytes;
            if taken > 0 && (rows > limits.max_rows || bytes > TOGETHER) {
                break;
            }
            taken += 1;
        }
        queue.busy = taken > 0;
        queue.members.drain(..taken).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Leaves the queue; false where the put is being written already.
    pub(super) fn leave(&self) -> bool {
        let mut queue = self.waiting.queue();
        let before = queue.members.len();
        queue.members.retain(|member| member.number != self.number);
        queue.members.len() < before
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    const LIMITS: GroupLimits = GroupLimits {
        max_wait: Duration::from_millis(10),
        max_rows: 5,
    };

    fn chunk(rows: i64) -> Chunk {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        Chunk {
            batches: vec![RecordBatch::try_from_iter([("a", values)]).unwrap()],
            rows: rows as u64,
            bytes: 8 * rows as u64,
            first_row: 0,
            permits: Vec::new(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn the_first_never_waits_and_whoever_comes_meanwhile_goes_next_in_order_and_within_the_limit() {
        let waiting = Waiting::default();
        assert!(waiting.enter(&chunk(1)).is_none(), "nobody commits");
        let places: Vec<_> = [2, 2, 2, 9].map(|rows| waiting.enter(&chunk(rows)).unwrap()).into();
        let rows = |members: &[Member]| members.iter().map(|member| member.chunk.rows).collect::<Vec<_>>();
        assert_eq!(rows(&waiting.next(LIMITS)), [2, 2]);
        assert!(!places[0].leave(), "it is being written");
        assert!(places[2].leave());
        assert_eq!(rows(&waiting.next(LIMITS)), [9], "one alone is never too large");
        assert_eq!(rows(&waiting.next(LIMITS)), Vec::<u64>::new());
        assert!(waiting.enter(&chunk(1)).is_none(), "nobody commits any more");
    }

    #[test]
    fn whoever_goes_away_is_not_written() {
        let waiting = Waiting::default();
        assert!(waiting.enter(&chunk(1)).is_none());
        drop(waiting.enter(&chunk(1)));
        assert!(waiting.next(LIMITS).is_empty());
    }

    #[test]
    fn only_small_puts_without_a_number_wait() {
        assert!(LIMITS.take(&chunk(5)) && !LIMITS.take(&chunk(6)) && !LIMITS.take(&chunk(0)));
        let never = GroupLimits {
            max_wait: Duration::ZERO,
            ..LIMITS
        };
        assert!(!never.take(&chunk(1)));
        let large = Chunk {
            bytes: 1 << 20,
            ..chunk(1)
        };
        assert!(!LIMITS.take(&large));
    }
}
