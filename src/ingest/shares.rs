//! What is scarce is not all one caller's: an eighth of it is kept from each. Counts only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use crate::model::caller::{Caller, Party};

/// The part that is kept from each caller, as its divisor; of fewer things than that nothing is.
const KEPT: usize = 8;

/// What each caller may have of a number of things.
#[derive(Debug)]
pub(super) struct Shares {
    each: usize,
    /// Of those who hold something.
    by_party: Mutex<HashMap<Party, Weak<Semaphore>>>,
}

impl Shares {
    pub(super) fn of(total: usize) -> Self {
        Self {
            each: total - total / KEPT,
            by_party: Mutex::default(),
        }
    }

    /// How many things one caller may have.
    pub(super) fn each(&self) -> usize {
        self.each
    }

    /// The share of this caller; it counts for as long as somebody holds it.
    pub(super) fn share(&self, caller: &Caller) -> Arc<Semaphore> {
        let mut by_party = self.by_party.lock().unwrap_or_else(PoisonError::into_inner);
        let party = Party::from(caller);
        if let Some(share) = by_party.get(&party).and_then(Weak::upgrade) {
            return share;
        }
        by_party.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.each));
        by_party.insert(party, Arc::downgrade(&share));
        share
    }
}

/// Places for streams, of all clients together.
#[derive(Clone, Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// One place, for as long as it lives.
#[derive(Debug)]
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_share: OwnedSemaphorePermit,
}

impl Places {
    /// So many places.
    pub fn new(places: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(places)),
            shares: Arc::new(Shares::of(places)),
        }
    }

    /// A place for a stream of this caller.
    ///
    /// # Errors
    /// All are taken, or all that one caller may have.
    pub fn take(&self, caller: &Caller) -> Result<Place, Error> {
        let share = self.shares.share(caller).try_acquire_owned();
        let share = share.map_err(|_| Error::Crowded {
            each: self.shares.each(),
        })?;
        let all = self.all.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        Ok(Place {
            _of_all: all,
            _of_share: share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caller::Principal;

    fn caller(name: &str) -> Caller {
        Caller {
            principal: Principal::Named(name.into()),
            ..Caller::anonymous()
        }
    }

    #[test]
    fn one_caller_never_has_all_places() {
        let places = Places::new(16);
        let taken: Vec<_> = std::iter::from_fn(|| places.take(&caller("greedy")).ok()).collect();
        assert_eq!(taken.len(), 14);
        assert!(matches!(
            places.take(&caller("greedy")),
            Err(Error::Crowded { each: 14 })
        ));
        let others: Vec<_> = std::iter::from_fn(|| places.take(&caller("modest")).ok()).collect();
        assert_eq!(others.len(), 2);
        assert!(matches!(places.take(&caller("modest")), Err(Error::Busy)));
        drop(taken);
        assert!(places.take(&caller("greedy")).is_ok());
    }

    #[test]
    fn of_few_places_one_caller_may_have_all() {
        let places = Places::new(7);
        let taken: Vec<_> = std::iter::from_fn(|| places.take(&caller("a")).ok()).collect();
        assert_eq!(taken.len(), 7);
    }
}
