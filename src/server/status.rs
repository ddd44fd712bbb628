//! The only place that makes a `tonic::Status`: one exhaustive mapping from failure class to gRPC code, with the facts
//! of a Postgres error as trailers.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::ingest::error::{Error, Facts};
use crate::model::class::Class;

/// Longest message in its encoded form. Clients refuse headers of more than 8 KiB (gRPC's default limit, which is 16 KiB
/// in some), and then show their own error in place of ours.
const MESSAGE_BYTES: usize = 4096;

/// The gRPC code of a failure class. Column "use for" of the Flight error table decides: clients map codes to their
/// own exceptions (`ArrowInvalid`, `FlightUnavailableError`, ...).
pub fn code(class: Class) -> Code {
    match class {
        Class::BadRequest | Class::BadData | Class::TooLarge => Code::InvalidArgument,
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
    let mut status = Status::new(code(error.class()), shortened(error.to_string()));
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

/// The status of what is refused before there is an error of the core.
pub(crate) fn refusal(code: Code, message: String) -> Status {
    Status::new(code, shortened(message))
}

/// The message as far as clients take it, with both of its ends.
pub(crate) fn shortened(message: String) -> String {
    let cost = |c: char| {
        if matches!(c, ' '..='~') && c != '%' {
            1
        } else {
            3 * c.len_utf8()
        }
    };
    // gRPC percent-encodes what is not printable ASCII: three bytes for one.
    if message.chars().map(cost).sum::<usize>() <= MESSAGE_BYTES {
        return message;
    }
    let fitting = |limit: usize| {
        let mut taken = 0;
        move |c: &char| {
            taken += cost(*c);
            taken <= limit
        }
    };
    let start = message.chars().take_while(fitting(MESSAGE_BYTES * 2 / 3));
    let end: Vec<char> = message.chars().rev().take_while(fitting(MESSAGE_BYTES / 3)).collect();
    start.chain(" ... ".chars()).chain(end.into_iter().rev()).collect()
}

/// Names the table, with its schema, that a call was about, where the failure names none.
pub(crate) fn about(mut status: Status, table: &str) -> Status {
    if status.metadata().get(TABLE).is_none() {
        add(status.metadata_mut(), TABLE, table);
    }
    status
}

const TABLE: &str = "x-pg-table";

fn add_facts(metadata: &mut MetadataMap, facts: &Facts) {
    let row = facts.row.map(|row| row.to_string());
    let trailers = [
        ("x-pg-sqlstate", &facts.sqlstate),
        (TABLE, &facts.table),
        ("x-pg-column", &facts.column),
        ("x-pg-constraint", &facts.constraint),
        ("x-pgflight-row", &row),
    ];
    for (key, value) in trailers {
        if let Some(value) = value {
            add(metadata, key, value);
        }
    }
}

/// Header values are printable ASCII without blanks at their ends; names may hold anything, and are encoded as gRPC does it with
/// messages: bytes in `%XX`.
fn add(metadata: &mut MetadataMap, key: &'static str, value: &str) {
    let last = value.len().saturating_sub(1);
    let plain = |at: usize, byte: u8| match byte {
        b' ' => at > 0 && at < last,
        byte => byte.is_ascii_graphic() && byte != b'%',
    };
    let encoded: String = value
        .bytes()
        .enumerate()
        .map(|(at, byte)| match plain(at, byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    if let Ok(value) = MetadataValue::try_from(encoded) {
        metadata.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::error::DestinationError;

    #[test]
    fn a_message_that_clients_would_refuse_is_shortened_in_the_middle() {
        assert_eq!(shortened("short é".to_owned()), "short é");
        for filling in ["x", "é", "%"] {
            let long = format!("table {} cannot be used", filling.repeat(5000));
            let short = shortened(long);
            assert!(
                short.starts_with("table ") && short.ends_with(" cannot be used"),
                "{short}"
            );
            let encoded: usize = short
                .chars()
                .map(|c| if c.is_ascii() && c != '%' { 1 } else { 3 * c.len_utf8() })
                .sum();
            assert!(encoded <= MESSAGE_BYTES + 5, "{filling}: {encoded}");
        }
    }

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
        assert_eq!(trailer("x-pg-table").as_deref(), Some("public.na%C3%AFve"));
    }

    #[test]
    fn any_name_is_told_in_a_trailer_and_read_back() {
        for (name, told) in [
            ("public.t", "public.t"),
            (" a b ", "%20a b%20"),
            ("100%", "100%25"),
            ("line\nbreak\u{7f}", "line%0Abreak%7F"),
            ("\u{1f418}", "%F0%9F%90%98"),
        ] {
            let mut metadata = MetadataMap::new();
            add(&mut metadata, "x-pg-column", name);
            assert_eq!(metadata.get("x-pg-column").unwrap().to_str().unwrap(), told);
        }
        // What Postgres allows in names fits beside the longest message into the 8 KiB that clients take.
        let longest = format!("{0}.{0}", "é".repeat(31));
        let status = about(Status::internal(""), &longest);
        assert!(status.metadata().get(TABLE).unwrap().len() < 512);
    }
}
