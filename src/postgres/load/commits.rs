//! The table of last commits: a row that commits with a transaction, so that it tells later whether it did.
//!
//! The server's own bookkeeping (`pg_xact_status`) cannot tell that after a crash: a number whose transaction never reached the
//! disk is given to another one. A row comes and goes with the rows beside it, whatever the server went through. Nothing is asked
//! here; [`super::outcome`] does that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::named::Named;
use crate::model::ident::Ident;
use crate::postgres::error::Error;
use crate::postgres::pool::{Connection, Connections};
use crate::postgres::serial::Serial;
use crate::postgres::{queries, state};

/// After this long it is looked again whether the table may be written where it could not.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often old rows are removed, and how many go at once.
const TIDIED_AFTER: Duration = Duration::from_secs(3_600);
const SLICE: usize = 1_000;
/// Longest wait for a transaction that is committing; a longer one is asked about again.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The name by which sessions know the statement that notes a commit.
pub(super) const NAME: &str = "pgflight_note";

/// What it means that commits are not noted.
const WITHOUT: &str = "after a lost connection it may not be known whether rows are stored";

/// What this process knows of the table.
#[derive(Clone, Debug)]
pub(super) struct Commits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    schema: Ident,
    note: String,
    retire: String,
    ask: String,
    known: Mutex<Known>,
}

/// Whether the table is there.
#[derive(Clone, Debug)]
enum Known {
    NotYet,
    /// Its oid, and when old rows were removed.
    There {
        relation: String,
        tidied: Instant,
    },
    /// It cannot be written, as of then.
    Closed(Instant),
}

impl Commits {
    pub(super) fn new(schema: &Ident) -> Self {
        let text = |statement| queries::without_comments(&queries::in_schema(statement, schema));
        Self(Arc::new(Inner {
            schema: schema.clone(),
            note: text(queries::COMMIT_NOTE),
            retire: text(queries::COMMIT_RETIRE),
            ask: text(queries::COMMIT_ASK),
            known: Mutex::new(Known::NotYet),
        }))
    }

    /// The table's oid, where this role may write it: created when it is first asked for, and remembered. `connection` must be
    /// outside a transaction.
    pub(super) async fn table(&self, connection: &mut Connection) -> Result<Option<String>, Error> {
        match self.known() {
            Known::There { relation, tidied } => {
                if tidied.elapsed() > TIDIED_AFTER {
                    self.found(connection, &relation);
                }
                return Ok(Some(relation));
            }
            Known::Closed(since) if since.elapsed() < LOOK_AGAIN => return Ok(None),
            Known::Closed(_) | Known::NotYet => {}
        }
        match self.look(connection).await {
            Ok(Some(relation)) => {
                self.found(connection, &relation);
                return Ok(Some(relation));
            }
            Ok(None) => tracing::warn!(
                schema = %self.0.schema,
                "the role may not write table last_commit: {WITHOUT}"
            ),
            Err(error) if error.lost_connection() || matches!(error, Error::NewerState { .. }) => return Err(error),
            Err(error) => tracing::warn!(schema = %self.0.schema, error = %error, "commits cannot be noted: {WITHOUT}"),
        }
        self.know(Known::Closed(Instant::now()));
        Ok(None)
    }

    async fn look(&self, connection: &mut Connection) -> Result<Option<String>, Error> {
        let scope = connection.scope().await?;
        state::ensure(&scope, &self.0.schema).await?;
        let asked = scope
            .query_typed(queries::COMMIT_TABLE, &[(&self.0.schema.as_str(), Type::TEXT)])
            .await;
        let rows = asked.map_err(|error| Error::statement("looking for the table of last commits", error))?;
        scope.done().await?;
        Ok(rows.first().map(|row| row.get("relation")))
    }

    fn found(&self, connection: &Connection, relation: &str) {
        self.know(Known::There {
            relation: relation.to_owned(),
            tidied: Instant::now(),
        });
        let tidying = tidy(
            connection.siblings(),
            queries::in_schema(queries::COMMIT_TIDY, &self.0.schema),
        );
        tokio::spawn(async move {
            if let Err(error) = tidying.await {
                tracing::debug!(error = %error, "old rows of last commits stay");
            }
        });
    }

    /// The table is not what it was: the next transaction looks for it.
    pub(super) fn forget(&self) {
        self.know(Known::NotYet);
    }

    /// The statement that notes a commit, as a session learns it.
    pub(super) fn named(&self) -> Named<'_> {
        Named {
            name: NAME,
            parameters: "uuid, bigint",
            text: &self.0.note,
        }
    }

    /// Statements that a transaction runs last before its COMMIT.
    pub(super) fn note(&self, serial: Serial, is_known: bool) -> String {
        let note = match is_known {
            true => format!("execute {NAME}('{}', {})", serial.session(), serial.number()),
            false => filled(&self.0.note, serial),
        };
        match serial.retired() {
            None => note,
            Some(retired) => format!("{note}; {}", self.0.retire.replace("$1", &format!("'{retired}'"))),
        }
    }

    /// The transaction that asks how another ended; it has these settings.
    pub(super) fn ask(&self, serial: Serial, settings: &str) -> String {
        format!(
            "begin; {settings}set transaction isolation level read committed; set local lock_timeout = {}; {}; commit",
            LOCK_WAIT.as_millis(),
            filled(&self.0.ask, serial)
        )
    }

    /// Whether Postgres refused the note, and not the rows: somebody dropped or closed the table.
    pub(super) fn refused(&self, error: &tokio_postgres::Error) -> bool {
        let Some(db) = error.as_db_error() else { return false };
        match db.code().code() {
            "42P01" | "42703" | "42P10" | "42804" => db.message().contains("last_commit"),
            "3F000" | "42501" => db.message().contains("last_commit") || db.message().contains(self.0.schema.as_str()),
            _ => false,
        }
    }

    fn known(&self) -> Known {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know(&self, known: Known) {
        *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// A statement with the values in it, for the protocol that takes several statements in one message.
fn filled(statement: &str, serial: Serial) -> String {
    statement
        .replace("$1", &format!("'{}'", serial.session()))
        .replace("$2", &serial.number().to_string())
}

/// Removes old rows slice by slice.
async fn tidy(connections: Connections, sql: String) -> Result<(), Error> {
    loop {
        let mut connection = connections.get().await?;
        let scope = connection.scope().await?;
        let removed = scope.query_typed(&sql, &[]).await;
        let removed = removed.map_err(|error| Error::statement("removing old rows of last commits", error))?;
        scope.done().await?;
        if removed.len() < SLICE {
            return Ok(());
        }
    }
}
