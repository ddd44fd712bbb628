//! The only place that makes a `tonic::Status`: one exhaustive mapping from failure class to gRPC code, with the facts
//! of a Postgres error as trailers.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::ingest::error::{Error, Facts};
use crate::model::class::Class;

/// The gRPC code of a failure class. Column "use for" of the Flight error table decides: clients map codes to their
/// own exceptions (`ArrowInvalid`, `FlightUnavailableError`, ...).
pub fn code(class: Class) -> Code {
    match class {
        Class::BadRequest | Class::BadData => Code::InvalidArgument,
        Class::Refused => Code::FailedPrecondition,
        Class::NotFound => Code::NotFound,
        Class::AlreadyExists => Code::AlreadyExists,
        Class::Unauthenticated => Code::Unauthenticated,
        Class::Denied => Code::PermissionDenied,
        Class::Exhausted => Code::ResourceExhausted,
        Class::OutOfRange => Code::OutOfRange,
        Class::Conflict => Code::Aborted,
        Class::Unavailable => Code::Unavailable,
        Class::Timeout => Code::DeadlineExceeded,
        Class::Cancelled => Code::Cancelled,
        Class::DataLoss => Code::DataLoss,
        Class::Unsupported => Code::Unimplemented,
        Class::Internal => Code::Internal,
    }
}

/// The status that a client gets for a failed call.
pub fn status(error: &Error) -> Status {
    let mut status = Status::new(code(error.class()), error.to_string());
    if let Some(facts) = error.facts() {
        add_facts(status.metadata_mut(), facts);
    }
    let metadata = status.metadata_mut();
    if let Some(reason) = error.reason() {
        metadata.insert("x-pgflight-reason", MetadataValue::from_static(reason));
    }
    if let Some(next) = error.next_seq() {
        metadata.insert("x-pgflight-next-seq", MetadataValue::from(next));
    }
    status
}

fn add_facts(metadata: &mut MetadataMap, facts: &Facts) {
    let row = facts.row.map(|row| row.to_string());
    let trailers = [
        ("x-pg-sqlstate", &facts.sqlstate),
        ("x-pg-table", &facts.table),
        ("x-pg-column", &facts.column),
        ("x-pg-constraint", &facts.constraint),
        ("x-pgflight-row", &row),
    ];
    for (key, value) in trailers {
        // Header values are ASCII; a name that is not stays in the message, which gRPC percent-encodes.
        if let Some(value) = value.as_deref().and_then(|value| MetadataValue::try_from(value).ok()) {
            metadata.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::error::DestinationError;

    #[test]
    fn a_postgres_failure_carries_its_facts_as_trailers() {
        let facts = Facts {
            sqlstate: Some("23505".into()),
            table: Some("public.naïve".into()),
            constraint: Some("t_pkey".into()),
            row: Some(7),
            ..Facts::default()
        };
        let error = DestinationError {
            class: Class::AlreadyExists,
            message: "row 7 exists".into(),
            facts,
            source: None,
        };
        let status = status(&Error::Destination(error));
        assert_eq!((status.code(), status.message()), (Code::AlreadyExists, "row 7 exists"));
        let trailer = |key: &str| {
            status
                .metadata()
                .get(key)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(trailer("x-pg-sqlstate").as_deref(), Some("23505"));
        assert_eq!(trailer("x-pg-constraint").as_deref(), Some("t_pkey"));
        assert_eq!(trailer("x-pgflight-row").as_deref(), Some("7"));
        assert_eq!(trailer("x-pg-column"), None);
    }
}
