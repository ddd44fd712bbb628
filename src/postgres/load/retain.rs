//! Chunks of an open transaction that are kept to run it again. Bounded for one load and for all together; a load that
//! does not fit keeps nothing, and a failure then ends it.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ingest::ports::{BytePermit, Chunk};

/// Bytes that one load may keep.
const PER_LOAD: u64 = 32 << 20;
/// Permits are counted in KiB, as the budget of incoming bytes is.
const UNIT: u64 = 1024;

/// Memory for the kept chunks of all loads.
#[derive(Clone, Debug)]
pub(super) struct RetainBudget(Arc<Semaphore>);

impl RetainBudget {
    pub(super) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }
}

/// What one load kept.
#[derive(Debug)]
pub(super) struct Retained {
    budget: RetainBudget,
    chunks: Vec<Chunk>,
    permits: Vec<OwnedSemaphorePermit>,
    bytes: u64,
    /// The last batch's memory: its rows may go on in the next chunk.
    last: Weak<BytePermit>,
    complete: bool,
}

impl Retained {
    pub(super) fn new(budget: RetainBudget) -> Self {
        Self {
            budget,
            chunks: Vec::new(),
            permits: Vec::new(),
            bytes: 0,
            last: Weak::new(),
            complete: true,
        }
    }

    /// Keeps a chunk that was written. It no longer counts as incoming.
    pub(super) fn keep(&mut self, mut chunk: Chunk) {
        if !self.complete {
            return;
        }
        let bytes = self.memory(&chunk);
        chunk.permits = Vec::new();
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = self.budget.0.clone().try_acquire_many_owned(units).ok();
        match permit.filter(|_| self.bytes + bytes <= PER_LOAD) {
            Some(permit) => {
                self.bytes += bytes;
                self.permits.push(permit);
                self.chunks.push(chunk);
            }
            None => {
                self.complete = false;
                self.chunks.clear();
                self.permits.clear();
            }
        }
    }

    /// Memory of a chunk beside those before it: what its batches took when they were read, which is more than came on the wire
    /// where they were compressed or use dictionaries.
    fn memory(&mut self, chunk: &Chunk) -> u64 {
        if chunk.permits.is_empty() {
            return chunk.bytes;
        }
        let mut bytes = 0;
        for permit in &chunk.permits {
            let permit = Arc::downgrade(permit);
            if !Weak::ptr_eq(&self.last, &permit) {
                bytes += permit.upgrade().map_or(0, |permit| permit.bytes() as u64);
            }
            self.last = permit;
        }
        bytes
    }

    /// Everything that was written, where all of it was kept.
    pub(super) fn all(&self) -> Option<&[Chunk]> {
        self.complete.then_some(self.chunks.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ports::ByteBudget;

    fn chunk(bytes: u64) -> Chunk {
        Chunk {
            batches: Vec::new(),
            rows: 1,
            bytes,
            first_row: 0,
            permits: Vec::new(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_load_over_its_bound_keeps_nothing_and_gives_its_memory_back() {
        let budget = RetainBudget::new(1 << 30);
        let mut retained = Retained::new(budget.clone());
        for _ in 0..4 {
            retained.keep(chunk(8 << 20));
        }
        assert_eq!(retained.all().map(<[Chunk]>::len), Some(4));
        retained.keep(chunk(1));
        assert!(retained.all().is_none());
        assert_eq!(budget.0.available_permits(), 1 << 20);
    }

    #[test]
    fn what_was_read_counts_and_not_what_came_on_the_wire() {
        let memory = ByteBudget::new(64 << 20);
        let budget = RetainBudget::new(1 << 30);
        let mut retained = Retained::new(budget.clone());
        let unpacked = |bytes| vec![Arc::new(memory.try_acquire(bytes).unwrap())];
        let with = |permits| Chunk { permits, ..chunk(1000) };
        let both = unpacked(20 << 20);
        // Two chunks of one batch, and another one.
        retained.keep(with(both.clone()));
        retained.keep(with(both));
        assert_eq!(retained.all().map(<[Chunk]>::len), Some(2));
        assert_eq!(budget.0.available_permits(), (1 << 20) - (20 << 10));
        assert_eq!(memory.in_flight(), 0);
        retained.keep(with(unpacked(20 << 20)));
        assert!(retained.all().is_none());
    }

    #[test]
    fn loads_share_one_bound() {
        let budget = RetainBudget::new(10 << 20);
        let (mut one, mut two) = (Retained::new(budget.clone()), Retained::new(budget));
        one.keep(chunk(8 << 20));
        two.keep(chunk(8 << 20));
        assert!(one.all().is_some() && two.all().is_none());
    }
}
