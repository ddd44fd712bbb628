//! Whether Postgres would take loads: asked over a connection of the pool, or beside it where all are lent, so that loads that
//! hold every connection make nobody believe that Postgres is away.

use std::time::{Duration, Instant};

use super::destination::PgDestination;
use crate::model::class::Class;
use crate::model::ident::Ident;
use crate::postgres::error::Error;
use crate::postgres::pool::{Begin, Session};
use crate::postgres::scope::Scope;
use crate::postgres::{state, writable};

/// How long a connection of the pool is waited for.
const LENT_SOON: Duration = Duration::from_millis(300);

impl PgDestination {
    pub(super) async fn takes_loads(&self) -> Result<(), Error> {
        match tokio::time::timeout(LENT_SOON, self.connections.get_now()).await {
            Ok(connection) => takes_writes(connection?.client(), &self.state_schema).await?,
            Err(_) => {
                let session = Box::pin(self.connections.beside()).await?;
                takes_writes(&session, &self.state_schema).await?;
            }
        }
        match self.room.is_wanting(Instant::now()) {
            true => Err(Error::NoRoom),
            false => Ok(()),
        }
    }
}

/// Without a name for the statement: it is asked seldom.
async fn takes_writes(session: &Session, state_schema: &Ident) -> Result<(), Error> {
    let scope = Scope::open(session).await?;
    writable::check(scope.driver()).await?;
    match state::look(scope.driver(), state_schema).await {
        // Loads that need none of our tables work without them.
        Err(error) if error.class() == Class::Denied => Ok(()),
        looked => looked,
    }
}
