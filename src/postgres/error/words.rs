//! What Postgres said, in one sentence without values.

use super::place;
use crate::postgres::sqlstate::betrays_pooler;

/// Postgres' message with code, table, column and constraint; the driver's own words when the server said nothing.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return format!("{error}; the connection to Postgres was lost or never worked");
    };
    let mut text = format!("{} (SQLSTATE {}", db.message(), db.code().code());
    let place = place(db);
    let column = db
        .column()
        .map(str::to_owned)
        .or_else(|| place.as_ref().and_then(|place| place.column.clone()));
    for (label, value) in [
        ("table", db.table()),
        ("column", column.as_deref()),
        ("constraint", db.constraint()),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {label} {value:?}"));
        }
    }
    text.push(')');
    if betrays_pooler(db.code().code()) {
        text.push_str("; a connection pooler seems to stand between that changes the server session between transactions without tracking prepared statements: for PgBouncer set max_prepared_statements above 0 (1.21 or newer) and pool.pooler: transaction, or pool_mode = session");
    }
    if let Some(hint) = db.hint() {
        text.push_str(&format!("; {hint}"));
    }
    text
}
