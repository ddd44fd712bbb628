//! Looks whether a destination can be used, and tells a person what is wrong where it cannot.

use super::destination::PgDestination;
use crate::ingest::ports::{ConnectionFailure, ConnectionFault};
use crate::postgres::connect::ConnectError;
use crate::postgres::error::Error;

impl PgDestination {
    /// Connects, and asks for the schema that tables without one would go to.
    pub(super) async fn probe(&self) -> Result<(), ConnectionFailure> {
        let mut connection = self.connections.get_now().await.map_err(|error| failure(&error))?;
        let scope = connection.scope().await.map_err(|error| failure(&error))?;
        let row = scope
            .query_typed_one("select pg_catalog.current_schema()::text", &[])
            .await;
        let row = row.map_err(|error| failure(&Error::statement("asking for the schema", error)))?;
        let current: Option<String> = row.get(0);
        if current.is_none() && self.default_schema.is_none() {
            return Err(ConnectionFailure {
                fault: ConnectionFault::Schema,
                description: "search_path names no schema that exists and may be used; create one, or name one with the key schema"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// What an error of connecting means to the person who configured it.
pub(super) fn failure(error: &Error) -> ConnectionFailure {
    let fault = match error {
        Error::Connect(error) => fault(error),
        Error::PoolExhausted { .. } | Error::Statement { .. } | Error::Standby => ConnectionFault::Unreachable,
        _ => ConnectionFault::Other,
    };
    ConnectionFailure {
        fault,
        description: error.to_string(),
    }
}

fn fault(error: &ConnectError) -> ConnectionFault {
    match error.decisive() {
        ConnectError::BadString(_) => ConnectionFault::Settings,
        ConnectError::Dns { .. } => ConnectionFault::Dns,
        ConnectError::Auth { .. } => ConnectionFault::Login,
        ConnectError::UnknownDatabase { .. } => ConnectionFault::Database,
        _ => ConnectionFault::Unreachable,
    }
}
