//! What kind of failure something is, independent of where it happened.
//!
//! Every error enum answers `class()`; the doors map a class to their protocol's status, the retry loop asks it
//! nothing (whether to retry is decided from SQLSTATE, in `sql::state`).

/// The kinds of failure that a caller can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request itself is wrong: unknown option, bad JSON, an unusable schema.
    BadRequest,
    /// One message, row or file is larger than is taken.
    TooLarge,
    /// A value in the data cannot be stored as asked.
    BadData,
    /// The request is fine, the state of the database does not allow it (migration refused, constraint).
    Refused,
    /// The table, schema or database does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The caller is unknown.
    Unauthenticated,
    /// The caller may not do this, or our database role may not.
    Denied,
    /// A configured limit or a resource of the server is used up.
    Exhausted,
    /// The sequence or size is outside what is expected next.
    OutOfRange,
    /// Another transaction or writer won; trying again may succeed.
    Conflict,
    /// Postgres or we are not reachable right now; trying again later may succeed.
    Unavailable,
    /// A deadline or timeout passed.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// Data that was acknowledged is no longer there.
    DataLoss,
    /// Not offered by this server.
    Unsupported,
    /// A fault of ours or of our configuration.
    Internal,
}
