//! What a refusal of Postgres means to a transaction of a load. Decisions only.

use tokio_postgres::error::Severity;

use super::unchanged::is_mark;
use crate::postgres::error::Error;
use crate::sql::state::{Remedy, verdict};

/// Whether a COPY met a row that an upsert would have changed, committed (23505, 23P01 where an exclusion constraint is looked
/// at before the key, or 40001 where transactions are serializable) or of a transaction that still runs (55P03, 40P01).
pub(super) fn meets_key(error: &Error) -> bool {
    matches!(error.sqlstate(), Some("23505" | "23P01" | "40001" | "55P03" | "40P01"))
}

/// Whether an error is that of a plan's check that the table is still the one it was made for.
pub(super) fn is_changed(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| is_mark(db.message()))
}

/// Whether the server's own words say that it did not commit. The end of a session (57P01 and the like, and whatever a pooler
/// says when it lost one) may follow a COMMIT that was carried out already, so it says nothing.
pub(super) fn refuses_commit(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        let goes_on = match db.parsed_severity() {
            Some(severity) => severity == Severity::Error,
            None => db.severity() == "ERROR",
        };
        goes_on && !matches!(verdict(db.code().code()).1, Remedy::Reconnect | Remedy::Unknown)
    })
}
