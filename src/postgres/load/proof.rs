//! Which transaction of a load it was, and what will tell how it ended. Data only; `mark` notes it, `outcome` asks.

use crate::postgres::serial::Serial;

/// Which transaction it was, and what tells how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number (`xid8`), as text.
    pub(super) xid: String,
    /// The server process that ran it.
    pub(super) pid: i32,
    /// When it began, in seconds since 1970, as text.
    pub(super) began: String,
    pub(super) proof: Proof,
}

/// What tells how a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The row that commits with it.
    Row {
        /// The table that the row is in, by its oid: one of the same name made later knows nothing.
        relation: String,
        serial: Serial,
    },
    /// The server's own bookkeeping, which can be believed while a session of before the COMMIT is still there.
    Bookkeeping(Option<Witness>),
    /// The row of a resumable stream, which [`super::stream`] asks.
    Stream,
}

/// A session beside the transaction's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) pid: i32,
    pub(super) started: String,
}
