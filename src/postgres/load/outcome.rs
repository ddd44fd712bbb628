//! How a transaction ended whose COMMIT was not answered: asked on a new connection, never guessed.
//!
//! Where the answer is that it is not committed, it never will be, however late its COMMIT comes: it is run again then.

use std::time::{Duration, Instant};

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use super::destination::PgDestination;
use super::lost::end_lost;
use super::proof::{Mark, Proof, Witness};
use crate::postgres::error::Error;
use crate::postgres::queries;
use crate::postgres::serial::Serial;
use crate::sql::state::Remedy;
use crate::telemetry::names;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// It is not committed and cannot be any more.
    Aborted,
    /// It is still running, or nothing is left that tells.
    Unknown,
}

/// Shortest time that the old server process gets for its COMMIT, e.g. while a synchronous standby is away.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the answer itself.
const ANSWER: Duration = Duration::from_secs(20);

impl PgDestination {
    /// Asks until the transaction has ended.
    pub(super) async fn outcome(&self, mark: &Mark) -> Outcome {
        metrics::counter!(names::COMMIT_UNKNOWN).increment(1);
        let (since, patience) = (Instant::now(), self.retry_timeout.max(PATIENCE));
        while since.elapsed() < patience {
            let Ok(answer) = tokio::time::timeout(ANSWER, self.ask(mark)).await else {
                continue;
            };
            match answer {
                Ok(None) => {}
                Ok(Some(outcome)) => {
                    if outcome == Outcome::Aborted {
                        // What lies between may keep its session open, with all its locks.
                        end_lost(self.connections.clone(), mark.clone());
                    }
                    return outcome;
                }
                Err(error) => {
                    tracing::debug!(error = %error, "asking how a transaction ended");
                    if error.poisons_pool() {
                        self.connections.condemn();
                    }
                    if matches!(error.remedy(), Remedy::None | Remedy::Replan) {
                        return Outcome::Unknown;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Outcome::Unknown
    }

    /// `None` while it runs.
    async fn ask(&self, mark: &Mark) -> Result<Option<Outcome>, Error> {
        match &mark.proof {
            Proof::Row { relation, serial } => self.ask_row(relation, *serial).await,
            Proof::Bookkeeping(witness) => self.ask_bookkeeping(&mark.xid, witness.as_ref()).await,
            Proof::Stream => Ok(Some(Outcome::Unknown)),
        }
    }

    /// Writes the row, which waits for the transaction that holds it, and keeps one from committing that comes to it later. The
    /// answer is believed when it is committed itself: with that, a COMMIT before it has reached the disk and the standbys.
    async fn ask_row(&self, relation: &str, serial: Serial) -> Result<Option<Outcome>, Error> {
        let mut connection = self.connections.get().await?;
        connection.mark_dirty();
        let asking = self.commits.ask(serial, connection.tenure().settings());
        let answer = connection.client().simple_query(&asking).await;
        let answer = match answer.map_err(|error| Error::statement("asking how a transaction ended", error)) {
            Err(error) if error.sqlstate() == Some("55P03") => return Ok(None),
            answer => answer?,
        };
        connection.mark_clean();
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get("relation")?, row.get("number")?, row.get("void")?)),
            _ => None,
        });
        let number = serial.number().to_string();
        Ok(Some(match row {
            Some((found, taken, void)) if found == relation && taken == number => match void {
                "f" => Outcome::Committed,
                _ => Outcome::Aborted,
            },
            // Another table has taken the place of the one that was written.
            _ => Outcome::Unknown,
        }))
    }

    async fn ask_bookkeeping(&self, xid: &str, witness: Option<&Witness>) -> Result<Option<Outcome>, Error> {
        let mut connection = self.connections.get().await?;
        let scope = connection.scope().await?;
        let (pid, started) = (witness.map(|it| it.pid), witness.map(|it| it.started.as_str()));
        let asked = scope
            .query_typed(
                queries::COMMIT_STATUS,
                &[(&xid, Type::TEXT), (&pid, Type::INT4), (&started, Type::TEXT)],
            )
            .await;
        let rows = match asked.map_err(|error| Error::statement("asking how a transaction ended", error)) {
            // A number that was never handed out: the server lost the transaction, as after a failover.
            Err(error) if error.sqlstate() == Some("22023") => return Ok(Some(Outcome::Aborted)),
            rows => rows?,
        };
        let Some(row) = rows.first() else { return Ok(None) };
        let status: Option<&str> = row.get("status");
        Ok(match status {
            // Also where the number is another's by now: then ours is gone.
            Some("aborted") => Some(Outcome::Aborted),
            Some("committed") if row.get("same_run") => Some(Outcome::Committed),
            Some("in progress") => None,
            _ => Some(Outcome::Unknown),
        })
    }
}
