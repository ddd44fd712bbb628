//! What a failure of the driver is: the server's word, a connection that is gone, or a fault of ours. Class, remedy and words of
//! it are decided here and nowhere else, so that none of them can be told without the others.

use tokio_postgres::error::{DbError, SqlState};

use super::CopyPlace;
use super::words::said;
use crate::model::class::Class;
use crate::sql::state::{Remedy, verdict};

/// The driver's own faults, by the words of its `Display`: it does not show its error kinds.
const OURS: [&str; 6] = [
    "error serializing parameter",
    "error deserializing column",
    "error encoding message",
    "invalid column",
    "query returned an unexpected number",
    "expected ",
];

/// Who failed.
enum Fault<'a> {
    /// The server said so.
    Server(&'a DbError),
    /// The connection is gone, or what came over it was no answer.
    Lost,
    /// A pooler in between has lost the server's session, and ends ours.
    Between(&'a DbError),
    /// A statement that the driver could not send, or an answer that we asked for in the wrong way.
    Ours,
}

fn fault(error: &tokio_postgres::Error) -> Fault<'_> {
    if let Some(db) = error.as_db_error() {
        return match is_poolers(db) && db.severity() == "FATAL" {
            true => Fault::Between(db),
            false => Fault::Server(db),
        };
    }
    let told = error.to_string();
    match OURS.iter().any(|ours| told.starts_with(ours)) {
        true => Fault::Ours,
        false => Fault::Lost,
    }
}

/// Whether a pooler says it: PgBouncer has one code for all that happens to its connections, which to Postgres is another thing, and
/// names no place in Postgres' source.
pub(in crate::postgres) fn is_poolers(db: &DbError) -> bool {
    *db.code() == SqlState::PROTOCOL_VIOLATION && db.routine().is_none()
}

/// The kind of failure.
pub(in crate::postgres) fn class(error: &tokio_postgres::Error) -> Class {
    match fault(error) {
        Fault::Server(db) => verdict(db.code().code()).0,
        Fault::Lost | Fault::Between(_) => Class::Unavailable,
        Fault::Ours => Class::Internal,
    }
}

/// The kind of failure of a statement that changes a table: there is no row to blame for its values.
pub(in crate::postgres) fn class_of_change(error: &tokio_postgres::Error) -> Class {
    let of = |class: &str| code(error).is_some_and(|code| code.starts_with(class));
    match class(error) {
        // A limit of the server, such as that of columns.
        Class::BadData if of("54") => Class::Exhausted,
        // What depends on it.
        Class::Internal if of("2B") => Class::Refused,
        Class::BadData | Class::AlreadyExists | Class::Unsupported => Class::Refused,
        class => class,
    }
}

/// What may heal it.
pub(in crate::postgres) fn remedy(error: &tokio_postgres::Error) -> Remedy {
    match fault(error) {
        Fault::Server(db) => match verdict(db.code().code()).1 {
            // The one case of "feature not supported" that is about us: a plan of before the table changed.
            Remedy::None if db.code().code() == "0A000" && db.routine() == Some("RevalidateCachedQuery") => {
                Remedy::Replan
            }
            remedy => remedy,
        },
        Fault::Lost | Fault::Between(_) => Remedy::Reconnect,
        Fault::Ours => Remedy::None,
    }
}

/// SQLSTATE as Postgres gave it.
pub(in crate::postgres) fn code(error: &tokio_postgres::Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// What happened, in words: Postgres' without row values, the driver's where the server said nothing.
pub(in crate::postgres) fn words(error: &tokio_postgres::Error, place: Option<&CopyPlace>) -> String {
    match fault(error) {
        Fault::Server(db) => said(db, place),
        Fault::Between(db) => format!(
            "{}; so says what lies between this server and Postgres",
            said(db, place)
        ),
        Fault::Lost => format!("{error}; the connection to Postgres was lost or never worked"),
        Fault::Ours => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// [`words`], and a hint where a privilege is what is missing and nothing else.
pub(in crate::postgres) fn words_or_grant(error: &tokio_postgres::Error, grant: &str) -> String {
    let words = words(error, None);
    match class(error) {
        Class::Denied => format!("{words}; {grant}"),
        _ => words,
    }
}
