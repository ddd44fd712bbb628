//! Whether Postgres would take loads: asked over a connection of the pool, or beside it where all are lent, so that loads that
//! hold every connection make nobody believe that Postgres is away.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::destination::PgDestination;
use crate::postgres::error::Error;
use crate::postgres::pool::Begin;

/// How long a connection of the pool is waited for.
const LENT_SOON: Duration = Duration::from_millis(300);

impl PgDestination {
    pub(super) async fn takes_loads(&self) -> Result<(), Error> {
        let is_standby = match tokio::time::timeout(LENT_SOON, self.connections.get()).await {
            Ok(connection) => is_standby(connection?.client().driver()).await,
            Err(_) => {
                let connected = Box::pin(self.connector.connect()).await?;
                let driver = tokio::spawn(connected.connection);
                let answer = is_standby(&connected.client).await;
                driver.abort();
                answer
            }
        };
        match is_standby? {
            false if self.room.is_wanting(Instant::now()) => Err(Error::NoRoom),
            false => Ok(()),
            true => Err(Error::Standby),
        }
    }
}

/// Without a name for the statement, which poolers would have to know.
async fn is_standby(client: &Client) -> Result<bool, Error> {
    let asked = client.query_typed("select pg_catalog.pg_is_in_recovery()", &[]).await;
    let rows = asked.map_err(|error| Error::statement("asking whether Postgres takes writes", error))?;
    Ok(rows.first().is_none_or(|row| row.get(0)))
}
