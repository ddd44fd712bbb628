//! Memory bounds by bytes: every batch in flight holds a permit of its size, so that a slow Postgres stops the reading
//! of clients instead of filling memory. Does not measure the process: it counts what the doors announce.
//!
//! What has to go beyond the budget so that nobody waits for good is bounded for all streams together, too: see [`Beyond`].

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::counted;
use super::shares::Shares;
use crate::model::caller::Caller;

/// Permits are counted in KiB because a semaphore of bytes would not hold large budgets on 32-bit targets.
const UNIT: usize = 1024;

/// The part of a budget, as its divisor, that each kind of [`Beyond`] adds for small messages.
const BEYOND_SHARE: u32 = 8;

/// What a message takes at most that does not wait behind large ones: so many bytes, or this part of the budget.
const SMALL: (usize, u32) = (64 * UNIT, 256);

/// The bytes that all streams together may hold in memory.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    total_units: u32,
    /// By [`Beyond`]: small messages share it, a larger one has it alone.
    beyond: [Arc<Semaphore>; 3],
    /// How many wait for bytes.
    waiting: watch::Sender<usize>,
    shares: Arc<Shares>,
    /// What one caller may have of it; `None` where nobody is counted.
    share: Option<Arc<Semaphore>>,
}

/// Why a message goes beyond the budget. Of each kind there is one large message at a time for all streams, or small ones that
/// have an eighth of the budget together.
///
/// The first two are kept apart because who has the first may wait for a connection, and who has a connection may need the second to
/// give it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It was received, and unpacks to more than was asked for.
    Unpacked,
    /// Its load holds a connection that others wait for with memory in their hands.
    Starved,
    /// It is so small that it need not wait behind those that take much of the budget, or all of it one after the other.
    Small,
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
    beyond: Vec<OwnedSemaphorePermit>,
    share: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BytePermit {
    /// How many bytes were asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is one that went beyond the budget.
    pub fn is_beyond(&self) -> bool {
        !self.beyond.is_empty()
    }

    /// One permit for what two were held for, as when small batches become one. Both must be of one budget and
    /// one caller.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
        self.beyond.extend(other.beyond);
        match (&mut self.share, other.share) {
            (Some(share), Some(other)) => share.merge(other),
            (share, other) => *share = share.take().or(other),
        }
        self.bytes += other.bytes;
    }
}

impl ByteBudget {
    /// A budget of `bytes`, at least one unit.
    pub fn new(bytes: usize) -> Self {
        let total_units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self {
            permits: Arc::new(Semaphore::new(total_units as usize)),
            beyond: std::array::from_fn(|_| Arc::new(Semaphore::new(beyond_units(total_units) as usize))),
            total_units,
            waiting: watch::Sender::new(0),
            shares: Arc::new(Shares::of(total_units as usize)),
            share: None,
        }
    }

    /// The same budget for this caller, whose streams never have all of it.
    #[must_use]
    pub fn lent_to(&self, caller: &Caller) -> Self {
        Self {
            share: Some(self.shares.share(caller)),
            ..self.clone()
        }
    }

    /// A permit where the bytes fit at once.
    pub fn try_acquire(&self, bytes: usize) -> Option<BytePermit> {
        self.try_within(bytes).or_else(|| self.try_small(bytes))
    }

    fn try_small(&self, bytes: usize) -> Option<BytePermit> {
        let units = self.small_units(bytes)?;
        let beyond = &self.beyond[Beyond::Small as usize];
        let beyond = Arc::clone(beyond).try_acquire_many_owned(units).ok()?;
        Some(self.permit_beyond(beyond, bytes))
    }

    fn try_within(&self, bytes: usize) -> Option<BytePermit> {
        let share = match &self.share {
            Some(share) => Some(share.clone().try_acquire_many_owned(self.share_units(bytes)).ok()?),
            None => None,
        };
        let permit = self.permits.clone().try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(BytePermit {
            permit,
            share,
            beyond: Vec::new(),
            bytes,
        })
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

    /// What a small message takes; `None` for others.
    fn small_units(&self, bytes: usize) -> Option<u32> {
        let (most, share) = SMALL;
        let units = self.units(bytes);
        (bytes <= most && units <= self.total_units / share).then_some(units)
    }

    fn share_units(&self, bytes: usize) -> u32 {
        let each = u32::try_from(self.shares.each()).unwrap_or(u32::MAX);
        self.units(bytes).min(each)
    }

    /// Waits until `bytes` fit. A message larger than the whole budget gets all of it, and so runs alone.
    pub async fn acquire(&self, bytes: usize) -> BytePermit {
        if let Some(permit) = self.try_acquire(bytes) {
            return permit;
        }
        match self.small_units(bytes) {
            None => self.acquire_within(bytes).await,
            Some(_) => tokio::select! {
                permit = self.acquire_within(bytes) => permit,
                permit = self.acquire_beyond(Beyond::Small, bytes) => permit,
            },
        }
    }

    async fn acquire_within(&self, bytes: usize) -> BytePermit {
        // First, so that those of one caller do not stand in the way of others.
        let share = match &self.share {
            Some(share) => Some(self.wait(share, self.share_units(bytes)).await),
            None => None,
        };
        let permit = self.wait(&self.permits, self.units(bytes)).await;
        BytePermit {
            permit,
            share,
            beyond: Vec::new(),
            bytes,
        }
    }

    /// Makes `permit` one for so many bytes where nothing has to be waited for: they fit, or there is nothing more to get.
    pub fn extend_now(&self, permit: &mut BytePermit, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(permit.bytes).filter(|more| *more > 0) else {
            return true;
        };
        let all = match permit.is_beyond() {
            true => beyond_units(self.total_units),
            false => self.total_units,
        };
        if permit.bytes.div_ceil(UNIT) >= all as usize {
            permit.bytes = bytes;
            return true;
        }
        match self.try_within(more) {
            Some(extra) => permit.merge(extra),
            None => return false,
        }
        true
    }

    /// A permit beyond the budget, as [`Beyond`] bounds it.
    pub async fn acquire_beyond(&self, why: Beyond, bytes: usize) -> BytePermit {
        let units = self.units(bytes).min(beyond_units(self.total_units));
        let beyond = self.wait(&self.beyond[why as usize], units).await;
        self.permit_beyond(beyond, bytes)
    }

    fn permit_beyond(&self, beyond: OwnedSemaphorePermit, bytes: usize) -> BytePermit {
        let nothing = self.permits.clone().try_acquire_many_owned(0);
        BytePermit {
            permit: nothing.unwrap_or_else(|_| never_closed()),
            share: None,
            beyond: vec![beyond],
            bytes,
        }
    }

    async fn wait(&self, permits: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let (_waiting, since) = (Waiting(&self.waiting), Instant::now());
        let permit = Arc::clone(permits).acquire_many_owned(units).await;
        counted::waited_for_memory(since);
        permit.unwrap_or_else(|_| never_closed())
    }

    /// Bytes of the whole budget.
    pub fn total(&self) -> usize {
        self.total_units as usize * UNIT
    }

    /// Bytes handed out at the moment.
    pub fn in_flight(&self) -> usize {
        (self.total_units as usize).saturating_sub(self.permits.available_permits()) * UNIT
    }
}

fn beyond_units(total: u32) -> u32 {
    (total / BEYOND_SHARE).max(1)
}

fn never_closed() -> ! {
    unreachable!("the byte budget's semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caller::Principal;

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
    async fn a_small_message_does_not_wait_behind_large_ones_and_small_ones_are_bounded() {
        let budget = ByteBudget::new(512 * UNIT).lent_to(&Caller::anonymous());
        let all = budget.acquire(512 * UNIT).await;
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire(400 * UNIT).await.bytes() }
        });
        budget.pressed().await;
        let mut small = Vec::new();
        for _ in 0..64 {
            small.push(budget.acquire(UNIT).await);
        }
        let short = std::time::Duration::from_millis(20);
        let more = tokio::time::timeout(short, budget.acquire(UNIT)).await;
        assert!(more.is_err(), "an eighth of the budget is theirs");
        assert!(budget.try_acquire(3 * UNIT).is_none(), "that is not small");
        drop(small.pop());
        assert_eq!(budget.acquire(UNIT).await.bytes(), UNIT);
        drop(all);
        assert_eq!(waiter.await.unwrap(), 400 * UNIT);
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
    async fn one_caller_leaves_an_eighth_to_others_and_does_not_stand_before_them() {
        let budget = ByteBudget::new(16 * UNIT);
        let caller = |name: &str| Caller {
            principal: Principal::Named(name.into()),
            ..Caller::anonymous()
        };
        let greedy = budget.lent_to(&caller("greedy"));
        let held = greedy.acquire(14 * UNIT).await;
        let waiter = tokio::spawn({
            let greedy = budget.lent_to(&caller("greedy"));
            async move { greedy.acquire(UNIT).await.bytes() }
        });
        budget.pressed().await;
        let modest = budget.lent_to(&caller("modest")).try_acquire(2 * UNIT);
        assert_eq!(modest.map(|permit| permit.bytes()), Some(2 * UNIT));
        drop(held);
        assert_eq!(waiter.await.unwrap(), UNIT);
        let mut all = greedy.acquire(1 << 30).await;
        assert_eq!(
            budget.in_flight(),
            16 * UNIT,
            "a message larger than its share gets all"
        );
        all.merge(greedy.acquire_beyond(Beyond::Starved, UNIT).await);
        drop(all);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test]
    async fn what_goes_beyond_the_budget_takes_nothing_from_others_and_can_be_merged() {
        let budget = ByteBudget::new(16 * UNIT);
        let mut all = budget.acquire(16 * UNIT).await;
        all.merge(budget.acquire_beyond(Beyond::Starved, 4 * UNIT).await);
        all.merge(budget.acquire_beyond(Beyond::Unpacked, 4 * UNIT).await);
        assert_eq!((all.bytes(), budget.in_flight()), (24 * UNIT, 16 * UNIT));
        drop(all);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test]
    async fn beyond_the_budget_goes_one_large_message_for_all_and_others_hear_of_who_waits() {
        let budget = ByteBudget::new(16 * UNIT);
        let short = std::time::Duration::from_millis(20);
        for (why, other) in [(Beyond::Starved, Beyond::Unpacked), (Beyond::Unpacked, Beyond::Starved)] {
            let small = [
                budget.acquire_beyond(why, UNIT).await,
                budget.acquire_beyond(why, UNIT).await,
            ];
            let waiting = tokio::time::timeout(short, budget.acquire_beyond(why, 1 << 30)).await;
            assert!(waiting.is_err(), "{why:?}: small ones have their share");
            drop(small);
            let large = budget.acquire_beyond(why, 1 << 30).await;
            drop(budget.acquire_beyond(other, 1 << 30).await);
            let waiter = tokio::spawn({
                let budget = budget.clone();
                async move { budget.acquire_beyond(why, UNIT).await.bytes() }
            });
            budget.pressed().await;
            drop(large);
            assert_eq!(waiter.await.unwrap(), UNIT);
        }
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
