//! How a transaction ended whose COMMIT was not answered: asked on a new connection, never guessed.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::postgres::error::{Error, Mark};
use crate::postgres::pool::Connections;
use crate::postgres::queries;
use crate::postgres::sqlstate::Remedy;
use crate::telemetry::names;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    Aborted,
    /// It is still running, or the server forgot.
    Unknown,
}

/// Longest time that the old server process may take for its COMMIT, e.g. while a synchronous standby is away.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the answer itself.
const ANSWER: Duration = Duration::from_secs(10);

/// Asks until the transaction has ended.
pub(super) async fn outcome(connections: &Connections, mark: &Mark) -> Outcome {
    metrics::counter!(names::COMMIT_UNKNOWN).increment(1);
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let Ok(answer) = tokio::time::timeout(ANSWER, ask(connections, mark)).await else {
            continue;
        };
        match answer {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            // A number that was never handed out (22023): the server lost the transaction, as after a failover.
            Err(error) if error.sqlstate() == Some("22023") => return Outcome::Aborted,
            Err(error) if error.remedy() == Remedy::None => return Outcome::Unknown,
            Err(error) => tracing::debug!(error = %error, "asking how a transaction ended"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Outcome::Unknown
}

/// `None` while it runs.
async fn ask(connections: &Connections, mark: &Mark) -> Result<Option<Outcome>, Error> {
    let connection = connections.get().await?;
    let rows = connection
        .client()
        .query_typed(
            queries::TRANSACTION_OUTCOME,
            &[(&mark.xid, Type::TEXT), (&mark.server_started, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::statement("asking how a transaction ended", error))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let status: Option<&str> = row.get("status");
    Ok(match status {
        Some("aborted") => Some(Outcome::Aborted),
        // After a crash a number that never reached the disk is handed out again, so that this may be another's fate.
        Some("committed") if row.get("same_server") => Some(Outcome::Committed),
        Some("in progress") if row.get("same_server") => None,
        _ => Some(Outcome::Unknown),
    })
}
