//! What becomes one of our errors by itself, and what ours are to the core.

use super::Error;
use crate::ingest::error::{DestinationError, Error as IngestError};
use crate::postgres::catalog::CatalogError;
use crate::postgres::connect::ConnectError;
use crate::postgres::migrate::MigrateError;
use crate::postgres::read::error::ReadError;

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(Box::new(error))
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(Box::new(error))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Read(Box::new(error))
    }
}

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        if let Error::Stream(error) = error {
            return IngestError::Stream(error);
        }
        let (class, message, facts) = (error.class(), error.to_string(), error.facts());
        IngestError::Destination(DestinationError {
            class,
            message,
            facts,
            source: Some(Box::new(error)),
        })
    }
}
