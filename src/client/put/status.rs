//! A failed call as one sentence: the server's own message, its gRPC code, and the SQLSTATE if Postgres had a say.

use std::fmt;

use tonic::{Code, Status};

use crate::model::grpc_code::code_name;

/// Trailer in which the server tells Postgres' error code (five characters).
const SQLSTATE_TRAILER: &str = "x-pg-sqlstate";

/// Why the server refused, or why it could not be reached any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC code.
    pub code: Code,
    /// The server's sentence.
    pub message: String,
    /// Postgres' error code.
    pub sqlstate: Option<String>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let sqlstate = status
            .metadata()
            .get(SQLSTATE_TRAILER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut message = status.message().trim().to_owned();
        if message.is_empty() {
            message = status.code().description().to_owned();
        }
        // A transport failure's message is a chain of generic words; its innermost cause says what happened.
        let mut cause = std::error::Error::source(&status);
        while let Some(error) = cause {
            cause = error.source();
            if cause.is_none() && !message.contains(&error.to_string()) {
                message = format!("{message}: {error}");
            }
        }
        Self {
            code: status.code(),
            message,
            sqlstate,
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, code_name(self.code.into()))?;
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, ", SQLSTATE {sqlstate}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    #[test]
    fn every_code_has_the_name_of_its_number() {
        for number in 0..17 {
            let letters = code_name(number).replace('_', "").to_lowercase();
            assert_eq!(letters, format!("{:?}", Code::from_i32(number)).to_lowercase());
        }
        assert_eq!((code_name(17), code_name(-1)), ("UNKNOWN", "UNKNOWN"));
    }

    #[test]
    fn a_refusal_is_one_sentence_with_code_and_sqlstate() {
        let mut trailers = MetadataMap::new();
        trailers.insert(SQLSTATE_TRAILER, "42501".parse().unwrap());
        let status = Status::with_metadata(Code::PermissionDenied, "no right to create tables in \"s\"", trailers);
        let expected = "no right to create tables in \"s\" (PERMISSION_DENIED, SQLSTATE 42501)";
        assert_eq!(Refusal::from(status).to_string(), expected);
        assert_eq!(
            Refusal::from(Status::unavailable("gone")).to_string(),
            "gone (UNAVAILABLE)"
        );
    }
}
