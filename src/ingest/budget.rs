//! Memory bounds by bytes: every batch in flight holds a permit of its size, so that a slow Postgres stops the reading
//! of clients instead of filling memory. Does not measure the process: it counts what the doors announce.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Permits are counted in KiB because a semaphore of bytes would not hold large budgets on 32-bit targets.
const UNIT: usize = 1024;

/// The bytes that all streams together may hold in memory.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    total_units: u32,
    /// How many wait for bytes.
    waiting: watch::Sender<usize>,
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// A share of the budget; given back when the last clone of the batch that holds it is dropped.
#[derive(Debug)]
pub struct BytePermit {
    permit: OwnedSemaphorePermit,
    bytes: usize,
}

impl BytePermit {
    /// How many bytes were asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One permit for what two were held for, as when small batches become one. Both must be of one budget.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
        self.bytes += other.bytes;
    }
}

impl ByteBudget {
    /// A budget of `bytes`, at least one unit.
    pub fn new(bytes: usize) -> Self {
        let total_units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self {
            permits: Arc::new(Semaphore::new(total_units as usize)),
            total_units,
            waiting: watch::Sender::new(0),
        }
    }

    /// A permit where the bytes fit at once.
    pub fn try_acquire(&self, bytes: usize) -> Option<BytePermit> {
        let permit = self.permits.clone().try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(BytePermit { permit, bytes })
    }

    /// Ready while somebody waits for bytes: whoever holds some and does not need them yet should let them go on.
    pub async fn pressed(&self) {
        // The sender lives as long as this budget, so there is no other end of the wait.
        drop(self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await);
    }

    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .clamp(1, self.total_units)
    }

    /// Waits until `bytes` fit. A message larger than the whole budget gets all of it, and so runs alone.
    pub async fn acquire(&self, bytes: usize) -> BytePermit {
        if let Some(permit) = self.try_acquire(bytes) {
            return permit;
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _waiting = Waiting(&self.waiting);
        let permit = self.permits.clone().acquire_many_owned(self.units(bytes)).await;
        // The semaphore is never closed, so the only way to get here without a permit does not exist.
        let permit = permit.unwrap_or_else(|_| unreachable!("the byte budget's semaphore is never closed"));
        BytePermit { permit, bytes }
    }

    /// A permit beyond the budget, for the one message that a load needs to go on with what others wait for.
    pub fn overdraw(&self, bytes: usize) -> BytePermit {
        let permit = self.permits.clone().try_acquire_many_owned(0);
        let permit = permit.unwrap_or_else(|_| unreachable!("the byte budget's semaphore is never closed"));
        BytePermit { permit, bytes }
    }

    /// Bytes handed out at the moment.
    pub fn in_flight(&self) -> usize {
        (self.total_units as usize).saturating_sub(self.permits.available_permits()) * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_beyond_the_budget_wait_until_a_permit_is_dropped() {
        let budget = ByteBudget::new(10 * UNIT);
        let first = budget.acquire(8 * UNIT).await;
        assert_eq!(budget.in_flight(), 8 * UNIT);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), budget.acquire(4 * UNIT)).await;
        assert!(waiting.is_err(), "four units cannot fit beside eight of ten");
        drop(first);
        assert_eq!(budget.acquire(4 * UNIT).await.bytes(), 4 * UNIT);
    }

    #[tokio::test]
    async fn merged_permits_are_given_back_together() {
        let budget = ByteBudget::new(10 * UNIT);
        let mut first = budget.acquire(2 * UNIT).await;
        first.merge(budget.acquire(3 * UNIT).await);
        assert_eq!((first.bytes(), budget.in_flight()), (5 * UNIT, 5 * UNIT));
        drop(first);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test]
    async fn those_who_hold_bytes_hear_that_others_wait() {
        let budget = ByteBudget::new(10 * UNIT);
        let short = std::time::Duration::from_millis(20);
        let held = budget.acquire(8 * UNIT).await;
        assert!(tokio::time::timeout(short, budget.pressed()).await.is_err());
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire(4 * UNIT).await.bytes() }
        });
        budget.pressed().await;
        drop(held);
        assert_eq!(waiter.await.unwrap(), 4 * UNIT);
        assert!(tokio::time::timeout(short, budget.pressed()).await.is_err());
    }

    #[tokio::test]
    async fn an_overdraft_takes_nothing_from_others_and_can_be_merged() {
        let budget = ByteBudget::new(10 * UNIT);
        let mut all = budget.acquire(10 * UNIT).await;
        all.merge(budget.overdraw(4 * UNIT));
        assert_eq!((all.bytes(), budget.in_flight()), (14 * UNIT, 10 * UNIT));
        drop(all);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test]
    async fn a_message_larger_than_the_budget_runs_alone() {
        let budget = ByteBudget::new(10 * UNIT);
        let all = budget.acquire(1 << 30).await;
        assert_eq!(budget.in_flight(), 10 * UNIT);
        drop(all);
        assert_eq!(budget.in_flight(), 0);
    }
}
