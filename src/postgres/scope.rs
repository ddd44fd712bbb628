//! Whose a server session is, and statements that belong to no load's transaction.
//!
//! Where a pooler lends us server sessions for a transaction each, every statement runs in a transaction that begins with our
//! settings. A [`Scope`] is that transaction there and nothing at all elsewhere, so that one text serves both.

use std::ops::Deref;
use std::sync::Arc;

use futures::FutureExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::connect::greeted_by;
use super::error::Error;
use super::pool::Session;
use super::queries;
use super::session::{Lent, SessionSettings, TransactionSettings};
use crate::config::Pooler;

/// Whose the server session behind a connection is.
#[derive(Clone, Debug)]
pub(crate) enum Tenure {
    /// Ours, until the connection ends.
    Ours,
    /// A pooler's, which may give it to others after each transaction.
    Lent {
        /// What each transaction begins with.
        settings: Arc<TransactionSettings>,
        /// Whether it stays the same one until the connection ends, so that statements may be kept in it under names.
        is_kept: bool,
    },
}

impl Tenure {
    /// Finds out whose the session is and, where it is ours, gives it the settings. `options` are those of the connection.
    ///
    /// A pooler has to greet its clients with keys of its own to cancel with, since its server sessions change under them. So where the
    /// process that greeted us is the one that answers, nothing lies between that could change it. Every other session counts as
    /// lent, also where the configuration says that it stays the same one: that cannot be seen, and so nothing hangs on it but
    /// which statements are prepared.
    pub(crate) async fn establish(
        client: &Client,
        pooler: Pooler,
        settings: &SessionSettings,
        options: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        if pooler != Pooler::Transaction && is_direct(client).await? {
            client.batch_execute(&settings.of_session()).await?;
            return Ok(Self::Ours);
        }
        let row = client.query_typed_one(queries::SESSION_LENT, &[]).await?;
        let lent = Lent {
            superuser: row.try_get("superuser")?,
            version: row.try_get("version")?,
            in_recovery: row.try_get("in_recovery")?,
            read_only: row.try_get("read_only")?,
            isolation: row.try_get("isolation")?,
        };
        Ok(Self::Lent {
            settings: Arc::new(settings.of_transaction(&lent, options)),
            is_kept: pooler == Pooler::Session,
        })
    }

    /// Whether the session may be another's after each transaction.
    pub(crate) fn is_lent(&self) -> bool {
        matches!(self, Self::Lent { .. })
    }

    /// Whether statements that were prepared are found again.
    pub(crate) fn keeps_statements(&self) -> bool {
        matches!(self, Self::Ours | Self::Lent { is_kept: true, .. })
    }

    /// What a transaction must begin with, each statement with a semicolon; empty in a session of our own.
    pub(crate) fn settings(&self) -> &str {
        match self {
            Self::Ours => "",
            Self::Lent { settings, .. } => &settings.all,
        }
    }

    /// The same for a transaction that says itself how it is isolated.
    pub(crate) fn values(&self) -> &str {
        match self {
            Self::Ours => "",
            Self::Lent { settings, .. } => &settings.values,
        }
    }

    /// The failure of a transaction's beginning. A server that was writable and is a standby now refuses to let us write.
    pub(crate) fn refused(&self, error: tokio_postgres::Error) -> Error {
        match self.is_lent() && error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            true => Error::Standby,
            false => Error::statement("opening a transaction", error),
        }
    }

    /// Opens a transaction with our settings.
    pub(crate) async fn begin<'a>(&self, client: &'a mut Client) -> Result<Transaction<'a>, tokio_postgres::Error> {
        let tx = client.transaction().await?;
        if self.is_lent() {
            tx.batch_execute(self.settings()).await?;
        }
        Ok(tx)
    }
}

/// A place for statements with our settings. Dropped, it takes back what was done in a lent session, which for reads is nothing.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    session: &'a Session,
    open: bool,
}

impl Deref for Scope<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl<'a> Scope<'a> {
    pub(super) async fn open(session: &'a Session) -> Result<Self, Error> {
        let tenure = session.tenure();
        // Before the first await: whoever is dropped in the middle has begun.
        let scope = Self {
            session,
            open: tenure.is_lent(),
        };
        if scope.open {
            let begin = format!("begin; {}", tenure.settings());
            let begun = session.batch_execute(&begin).await;
            begun.map_err(|error| tenure.refused(error))?;
        }
        Ok(scope)
    }

    /// Whether a transaction is open.
    pub(crate) fn is_transaction(&self) -> bool {
        self.open
    }

    /// Makes what was done last.
    pub(crate) async fn done(mut self) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        let committed = self.session.batch_execute("commit").await;
        committed.map_err(|error| Error::statement("committing a statement", error))?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if self.open {
            // The first look at the future sends it; what is asked after it waits for its end.
            drop(self.session.batch_execute("rollback").now_or_never());
        }
    }
}

/// Whether the process that answers is the one that greeted us.
pub(super) async fn is_direct(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let rows = client.query_typed("select pg_catalog.pg_backend_pid()", &[]).await?;
    let answering: Option<i32> = rows.first().map(|row| row.get(0));
    Ok(answering.is_some() && answering == greeted_by(client).await)
}
