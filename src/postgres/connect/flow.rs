//! How much of large rows may be in memory: a room that all connections of a pool share, and who has which part of it. Decides nothing
//! about what a row is.
//!
//! Only while somebody reads rows a connection asks for room; what is read for ourselves is small. A read has one large row at a time, and
//! the room of it is given back when the client has taken it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::ingest::ports::Taken;

/// Rows up to this are not counted: of these a connection has a handful in memory.
pub(super) const LARGE: usize = 4 << 20;
const UNIT: usize = 1 << 10;

/// Room for large rows.
#[derive(Clone, Debug)]
pub struct RowRoom {
    permits: Arc<Semaphore>,
    most: usize,
    idle: Duration,
}

impl RowRoom {
    /// Room for so many bytes, which is also the most that one row may have. A client may take so long to take one.
    pub fn new(bytes: u64, idle: Duration) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 30);
        Self {
            permits: Arc::new(Semaphore::new((most / UNIT).max(1))),
            most,
            idle,
        }
    }

    async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from((bytes.min(self.most) / UNIT).max(1)).unwrap_or(u32::MAX);
        // It is never closed.
        Arc::clone(&self.permits).acquire_many_owned(units).await.ok()
    }
}

/// A large row that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct LargeRow {
    pub(super) bytes: usize,
    /// Where it ends, in bytes of rows since the read began.
    pub(super) end: u64,
    /// Whether the driver keeps as much memory as it took until the connection ends.
    pub(super) stays: bool,
}

/// The room of one row.
#[derive(Debug)]
pub(super) struct RowPermit {
    permit: Option<OwnedSemaphorePermit>,
    row: LargeRow,
}

/// What comes over one connection.
#[derive(Clone, Debug)]
pub struct Flow(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: Option<RowRoom>,
    rows: Mutex<Option<Arc<Rows>>>,
    reads: AtomicU64,
}

impl Flow {
    pub(super) fn new(room: Option<RowRoom>) -> Self {
        Self(Arc::new(Inner {
            room,
            rows: Mutex::default(),
            reads: AtomicU64::new(0),
        }))
    }

    /// From now on rows are counted, until [`Flow::done`].
    pub(crate) fn rows(&self) -> Arc<Rows> {
        let rows = Arc::new(Rows {
            most: self.0.room.as_ref().map_or(usize::MAX, |room| room.most),
            state: Mutex::default(),
            has_one: AtomicBool::new(false),
            freed: Notify::new(),
        });
        *self.lock() = Some(Arc::clone(&rows));
        self.0.reads.fetch_add(1, Ordering::Release);
        rows
    }

    /// Rows are counted no more; who has the last one goes on holding its room.
    pub(crate) fn done(&self) {
        *self.lock() = None;
    }

    /// How many reads began.
    pub(super) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Rows>>> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message is larger than may be, or not; only where somebody reads.
    pub(super) fn refuses(&self, bytes: usize) -> bool {
        let (Some(room), Some(rows)) = (&self.0.room, self.lock().clone()) else {
            return false;
        };
        let refused = bytes > room.most;
        if refused {
            rows.lock().refused = Some(bytes);
        }
        refused
    }

    /// A large row begins; no more of it is read until the answer is there. None is given where the client does not take the row before.
    pub(super) fn begins(&self, row: LargeRow) -> Option<BoxFuture<'static, Option<RowPermit>>> {
        let (room, rows) = (self.0.room.clone()?, self.lock().clone()?);
        Some(Box::pin(async move {
            // The one before it first, so that a read never holds room while it waits for more.
            while rows.has_one.load(Ordering::Acquire) {
                let freed = tokio::time::timeout(room.idle, rows.freed.notified()).await;
                if freed.is_err() && rows.has_one.load(Ordering::Acquire) {
                    rows.lock().stuck = Some(room.idle);
                    rows.taken(u64::MAX);
                    return None;
                }
            }
            let held = rows.lock().staying.take();
            let permit = match held {
                Some((bytes, permit)) if bytes >= row.bytes => permit,
                smaller => {
                    drop(smaller);
                    room.acquire(row.bytes).await
                }
            };
            Some(RowPermit { permit, row })
        }))
    }

    /// A large row is let in.
    pub(super) fn keep(&self, permit: RowPermit) {
        let Some(rows) = self.lock().clone() else { return };
        let RowPermit { permit, row } = permit;
        let mut state = rows.lock();
        let held = match row.stays {
            true => {
                state.staying = Some((row.bytes, permit));
                None
            }
            false => permit,
        };
        state.kept = Some(Kept {
            _permit: held,
            end: row.end,
            batch: None,
        });
        rows.has_one.store(true, Ordering::Release);
    }
}

/// The large rows of one read, one at a time.
#[derive(Debug)]
pub(crate) struct Rows {
    most: usize,
    state: Mutex<State>,
    has_one: AtomicBool,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// Room that is kept to the end of the read.
    staying: Option<(usize, Option<OwnedSemaphorePermit>)>,
    refused: Option<usize>,
    stuck: Option<Duration>,
}

#[derive(Debug)]
struct Kept {
    _permit: Option<OwnedSemaphorePermit>,
    end: u64,
    /// The number of the batch that has it, from 1.
    batch: Option<u64>,
}

impl Rows {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes of rows were handed on, and whole rows in them are in the first so many batches.
    pub(crate) fn cut(&self, handed_on: u64, batches: u64) {
        if !self.has_one.load(Ordering::Acquire) {
            return;
        }
        if let Some(kept) = &mut self.lock().kept
            && kept.end <= handed_on
        {
            kept.batch.get_or_insert(batches);
        }
    }

    /// The size of the row that was refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.lock().refused
    }

    /// How long its client took nothing, where that ended it.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        self.lock().stuck
    }

    /// The most that a row may have.
    pub(crate) fn most(&self) -> usize {
        self.most
    }
}

impl Taken for Rows {
    fn taken(&self, batches: u64) {
        if !self.has_one.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.lock();
        let all = batches == u64::MAX;
        if all
            || state
                .kept
                .as_ref()
                .is_some_and(|kept| kept.batch.is_some_and(|batch| batch <= batches))
        {
            state.kept = None;
            self.has_one.store(false, Ordering::Release);
            self.freed.notify_one();
        }
        if all {
            state.staying = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn row(end: u64, stays: bool) -> LargeRow {
        LargeRow {
            bytes: 6 << 20,
            end,
            stays,
        }
    }

    #[tokio::test]
    async fn the_room_of_a_row_is_given_back_when_its_batch_was_taken() {
        let room = RowRoom::new(10 << 20, Duration::from_secs(60));
        let (flow, other) = (Flow::new(Some(room.clone())), Flow::new(Some(room)));
        let (rows, others) = (flow.rows(), other.rows());
        flow.keep(flow.begins(row(100, false)).unwrap().now_or_never().flatten().unwrap());
        let mut second = flow.begins(row(200, false)).unwrap();
        let mut beside = other.begins(row(50, true)).unwrap();
        assert!((&mut second).now_or_never().is_none() && (&mut beside).now_or_never().is_none());
        rows.cut(99, 1);
        rows.taken(1);
        assert!((&mut second).now_or_never().is_none(), "it was not handed on");
        rows.cut(100, 2);
        rows.taken(1);
        assert!((&mut second).now_or_never().is_none(), "its batch was not taken");
        rows.taken(2);
        other.keep(beside.now_or_never().flatten().unwrap());
        assert!((&mut second).now_or_never().is_none(), "there is no room for two");
        others.cut(50, 1);
        others.taken(1);
        assert!((&mut second).now_or_never().is_none(), "the driver keeps that memory");
        other.keep(other.begins(row(100, true)).unwrap().now_or_never().flatten().unwrap());
        drop((other, others));
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_a_row_gets_no_other_and_loses_its_room() {
        let flow = Flow::new(Some(RowRoom::new(10 << 20, Duration::from_millis(50))));
        let rows = flow.rows();
        flow.keep(flow.begins(row(100, false)).unwrap().await.unwrap());
        assert!(flow.begins(row(200, false)).unwrap().await.is_none());
        assert_eq!(rows.stuck(), Some(Duration::from_millis(50)));
        assert!(flow.begins(row(200, false)).unwrap().await.is_some());
    }

    #[test]
    fn nothing_is_asked_where_nobody_reads() {
        let flow = Flow::new(Some(RowRoom::new(10 << 20, Duration::from_secs(60))));
        assert!(!flow.refuses(20 << 20) && flow.begins(row(1, false)).is_none());
        let rows = flow.rows();
        assert!(flow.refuses(20 << 20) && !flow.refuses(10 << 20));
        assert_eq!((rows.refused(), rows.most()), (Some(20 << 20), 10 << 20));
        flow.done();
        assert!(!flow.refuses(20 << 20) && flow.begins(row(1, false)).is_none());
    }
}
