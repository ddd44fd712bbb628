//! Names of transactions that outlive their session: a random name per session, and a number that counts its transactions.
//!
//! What such a name is good for is `load::commits`' business.

/// Transactions under one name. Each leaves a dead version of the name's row, which stays while any older transaction runs, and
/// whoever writes the row passes all of them: with one name for good, a commit took 6 ms after 10,000 others.
const PER_SESSION: i64 = 256;

/// The name of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serial {
    session: u128,
    number: i64,
    retired: Option<u128>,
}

/// Names the transactions of one session.
#[derive(Debug)]
pub(super) struct Serials {
    session: u128,
    number: i64,
}

impl Serials {
    pub(super) fn new() -> Self {
        Self {
            session: fastrand::u128(..),
            number: 0,
        }
    }

    /// The next name, never given before.
    pub(super) fn next(&mut self) -> Serial {
        let mut retired = None;
        if self.number == PER_SESSION {
            retired = Some(self.session);
            *self = Self::new();
        }
        self.number += 1;
        Serial {
            session: self.session,
            number: self.number,
            retired,
        }
    }
}

impl Serial {
    /// The session, as Postgres reads a `uuid`.
    pub(crate) fn session(self) -> String {
        uuid(self.session)
    }

    /// The number, from 1.
    pub(crate) fn number(self) -> i64 {
        self.number
    }

    /// The session's name up to now, where this is the first transaction under a new one.
    pub(crate) fn retired(self) -> Option<String> {
        self.retired.map(uuid)
    }
}

fn uuid(name: u128) -> String {
    format!("{name:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_given_twice_and_a_new_one_retires_the_old() {
        let (mut one, mut other) = (Serials::new(), Serials::new());
        let named: Vec<Serial> = (0..1_000).flat_map(|_| [one.next(), other.next()]).collect();
        let names: BTreeSet<_> = named.iter().map(|it| (it.session(), it.number())).collect();
        assert_eq!(names.len(), 2_000);
        assert!(names.iter().all(|(session, number)| session.len() == 32 && *number > 0));
        let retired: BTreeSet<_> = named.iter().filter_map(|it| it.retired()).collect();
        let sessions: BTreeSet<_> = named.iter().map(|it| it.session()).collect();
        assert_eq!((retired.len(), sessions.len()), (6, 8), "256 transactions each");
        assert!(retired.is_subset(&sessions));
    }
}
