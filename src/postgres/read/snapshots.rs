//! Sessions that keep an exported snapshot while the parts of a read are read. Bounded in number and in time: a snapshot ends when all
//! its parts were read to their ends, or when none was being read for a while. Its session is one of the pool's.
//!
//! Other servers of ours may read parts, too: Postgres itself knows the snapshot. They are not seen here, so for them it lasts that while.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::postgres::pool::Connection;

/// One session in so many may keep a snapshot.
const SHARE: usize = 4;

/// The snapshots that this process keeps.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<HashMap<String, Kept>>,
    places: Arc<Semaphore>,
    idle: Duration,
}

#[derive(Debug)]
struct Kept {
    unread: HashSet<u32>,
    reading: usize,
    /// When a part was read last.
    since: Instant,
    changed: Arc<Notify>,
}

/// The right to keep one snapshot.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held, and given back when dropped")] OwnedSemaphorePermit);

impl Snapshots {
    /// None yet, of a pool of so many sessions. One that nobody reads lasts so long.
    pub(crate) fn new(sessions: usize, idle: Duration) -> Self {
        Self(Arc::new(Inner {
            kept: Mutex::default(),
            places: Arc::new(Semaphore::new((sessions / SHARE).max(1))),
            idle,
        }))
    }

    /// How long one lasts that nobody reads.
    pub(super) fn idle(&self) -> Duration {
        self.0.idle
    }

    /// A place for one more, where there is one.
    pub(super) fn place(&self) -> Option<Place> {
        Arc::clone(&self.0.places).try_acquire_owned().ok().map(Place)
    }

    /// Keeps the session whose open transaction exported a snapshot of that name, until its parts are read.
    pub(super) fn keep(&self, connection: Connection, place: Place, snapshot: String, parts: usize) {
        let changed = Arc::new(Notify::new());
        let kept = Kept {
            unread: (0..).take(parts).collect(),
            reading: 0,
            since: Instant::now(),
            changed: Arc::clone(&changed),
        };
        self.0.lock().insert(snapshot.clone(), kept);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.until_read(connection, place, &snapshot, &changed).await });
    }

    /// A read of one part has begun; nothing where another server keeps the snapshot.
    pub(super) fn reading(&self, snapshot: &str, number: u32) -> Turn {
        if let Some(kept) = self.0.lock().get_mut(snapshot) {
            kept.reading += 1;
        }
        Turn {
            inner: Arc::clone(&self.0),
            snapshot: snapshot.to_owned(),
            number,
            ended: false,
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until_read(&self, mut connection: Connection, place: Place, snapshot: &str, changed: &Notify) {
        while let Some(left) = self.left(snapshot) {
            // Told by a permit, so nothing is missed between the look and the wait.
            tokio::select! {
                () = changed.notified() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
        if connection.client().batch_execute("rollback").await.is_ok() {
            connection.mark_clean();
        }
        drop(connection);
        drop(place);
    }

    /// For how long it is kept at least; forgotten where that is over.
    fn left(&self, snapshot: &str) -> Option<Duration> {
        let mut all = self.lock();
        let kept = all.get(snapshot)?;
        let left = match (kept.unread.is_empty(), kept.reading) {
            (true, _) => None,
            (false, 0) => self
                .idle
                .checked_sub(kept.since.elapsed())
                .filter(|left| !left.is_zero()),
            (false, _) => Some(self.idle),
        };
        if left.is_none() {
            all.remove(snapshot);
        }
        left
    }
}

/// A part that is being read.
#[derive(Debug)]
pub(super) struct Turn {
    inner: Arc<Inner>,
    snapshot: String,
    number: u32,
    ended: bool,
}

impl Turn {
    /// The part was read to its end.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(kept) = self.inner.lock().get_mut(&self.snapshot) {
            kept.reading = kept.reading.saturating_sub(1);
            kept.since = Instant::now();
            if self.ended {
                kept.unread.remove(&self.number);
            }
            kept.changed.notify_one();
        }
    }
}
