//! Ends the server's side of a transaction whose connection was lost before its COMMIT was sent.
//!
//! As a rule Postgres notices the loss itself. A proxy or a pooler in between may keep its side open, though, and then the session
//! goes on to hold the stream's row, keys and tables: in a transaction until `idle_in_transaction_session_timeout`, and in a COPY
//! without limit, because a session that reads COPY data obeys neither `statement_timeout` nor a cancel request.
//! A transaction whose COMMIT was sent must not come here before it is certain that it fails: its session may be waiting for a
//! standby.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::proof::Mark;
use crate::postgres::error::Error;
use crate::postgres::pool::Connections;
use crate::postgres::queries;

/// First and longest pause between two looks; within the first one most sessions end by themselves.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Longest wait for an answer: what swallowed one connection may swallow this one, too.
const ANSWER: Duration = Duration::from_secs(10);
/// After this long only an operator can help.
const PATIENCE: Duration = Duration::from_secs(600);

/// Looks after the transaction in the background, until it is gone.
pub(super) fn end_lost(connections: Connections, mark: Mark) {
    tokio::spawn(async move {
        let (since, mut pause) = (Instant::now(), PAUSES.0);
        while since.elapsed() < PATIENCE {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            let Ok(looked) = tokio::time::timeout(ANSWER, end(&connections, &mark)).await else {
                continue;
            };
            match looked {
                Ok(Session::Gone) => return,
                Ok(Session::Ended) => {
                    tracing::warn!(
                        pid = mark.pid,
                        "ended a Postgres session that was open although its connection was lost"
                    );
                }
                Ok(Session::Busy) => {}
                Err(error) => tracing::debug!(error = %error, "looking for the session of a lost connection"),
            }
        }
    });
}

/// What was found of the session.
enum Session {
    /// Its transaction has ended.
    Gone,
    /// It waited for us and was told to end.
    Ended,
    /// It works, and will notice when it is done, or wait for us.
    Busy,
}

async fn end(connections: &Connections, mark: &Mark) -> Result<Session, Error> {
    let mut connection = connections.get().await?;
    connection.mark_dirty();
    let scope = connection.scope().await?;
    let rows = scope
        .query_typed(
            queries::COMMIT_END_LOST,
            &[
                (&mark.pid, Type::INT4),
                (&mark.began, Type::TEXT),
                (&mark.xid, Type::TEXT),
            ],
        )
        .await
        .map_err(|error| Error::statement("ending the session of a lost connection", error))?;
    scope.done().await?;
    connection.mark_clean();
    Ok(match rows.first().map(|row| row.get("ended")) {
        None => Session::Gone,
        Some(true) => Session::Ended,
        Some(false) => Session::Busy,
    })
}
