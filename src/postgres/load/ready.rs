//! Whether Postgres would take loads: asked over a connection of the pool, or beside it where all are lent, so that loads that
//! hold every connection make nobody believe that Postgres is away.

use std::time::{Duration, Instant};

use super::destination::PgDestination;
use crate::postgres::error::Error;
use crate::postgres::pool::Begin;
use crate::postgres::writable;

/// How long a connection of the pool is waited for.
const LENT_SOON: Duration = Duration::from_millis(300);

impl PgDestination {
    pub(super) async fn takes_loads(&self) -> Result<(), Error> {
        match tokio::time::timeout(LENT_SOON, self.connections.get_now()).await {
            // Without a name for the statement, which poolers would have to know.
            Ok(connection) => writable::check(connection?.client().driver()).await?,
            Err(_) => {
                let connected = Box::pin(self.connector.connect()).await?;
                let driver = tokio::spawn(connected.connection);
                let answer = writable::check(&connected.client).await;
                driver.abort();
                answer?;
            }
        }
        match self.room.is_wanting(Instant::now()) {
            true => Err(Error::NoRoom),
            false => Ok(()),
        }
    }
}
