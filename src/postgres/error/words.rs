//! What Postgres said, in one sentence without values.

use std::borrow::Cow;

use tokio_postgres::error::DbError;

use super::CopyPlace;
use crate::sql::state::betrays_pooler;

/// Postgres' message without row values. Input functions quote the text that they refuse (class 22, and 42601 for `tsquery` and
/// `jsonpath`); a column, constraint or type in quotes goes with it, and is told beside the message where Postgres names it.
pub(super) fn message(db: &DbError) -> Cow<'_, str> {
    let code = db.code().code();
    match code.starts_with("22") || code == "42601" {
        true => unquoted(db.message()),
        false => Cow::Borrowed(db.message()),
    }
}

/// An encoding is no value.
const ENCODING: &str = "encoding \"UTF8\"";

/// Dots in the place of everything from the first to the last double quote: a value may itself hold quotes.
fn unquoted(message: &str) -> Cow<'_, str> {
    if let Some((before, after)) = message.split_once(ENCODING) {
        return Cow::Owned(format!("{before}{ENCODING}{}", unquoted(after)));
    }
    match (message.split_once('"'), message.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) if before.len() + 1 + after.len() < message.len() => {
            Cow::Owned(format!("{before}\"…\"{after}"))
        }
        _ => Cow::Borrowed(message),
    }
}

/// Postgres' message with code, table, column and constraint.
pub(super) fn said(db: &DbError, place: Option<&CopyPlace>) -> String {
    let mut text = format!("{} (SQLSTATE {}", message(db), db.code().code());
    let column = db.column().or_else(|| place?.column.as_deref());
    for (label, value) in [
        ("table", db.table()),
        ("column", column),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_quotes_is_not_repeated() {
        let cases = [
            (
                "invalid input syntax for type integer: \"secret-42\"",
                "invalid input syntax for type integer: \"…\"",
            ),
            (
                "value \"70000\" is out of range for type smallint",
                "value \"…\" is out of range for type smallint",
            ),
            ("syntax error in tsquery: \"a \" b\"", "syntax error in tsquery: \"…\""),
            ("numeric field overflow", "numeric field overflow"),
            ("an odd \" quote", "an odd \" quote"),
            (
                "invalid byte sequence for encoding \"UTF8\": 0xff",
                "invalid byte sequence for encoding \"UTF8\": 0xff",
            ),
        ];
        for (said, told) in cases {
            assert_eq!(unquoted(said), told);
        }
    }
}
