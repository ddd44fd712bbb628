//! An extension that is not there and could not be created: whose fault that is, and who has to create it.

use super::driver;
use crate::model::class::Class;

/// Who has to create it, where that is what is missing.
pub(super) fn words(database: &str, source: &tokio_postgres::Error) -> String {
    let why = driver::words(source, None);
    match class(source) {
        Class::Refused => format!(
            "pgvector is not installed in database {database} and could not be created ({why}); a superuser, or the \
             role that your provider gives that right, must run in {database}: CREATE EXTENSION vector; (the server \
             needs the package pgvector for it), or set embeddings.required: false to load rows without vectors"
        ),
        _ => format!("creating the extension pgvector in database {database} failed: {why}"),
    }
}

/// An extension that the server does not have or the role may not create is the state of the database.
pub(super) fn class(error: &tokio_postgres::Error) -> Class {
    match driver::class(error) {
        Class::Denied | Class::Unsupported | Class::NotFound | Class::AlreadyExists => Class::Refused,
        // Files of the extension that are missing (58P01).
        Class::Internal if driver::code(error).is_some_and(|code| code.starts_with("58")) => Class::Refused,
        class => class,
    }
}
