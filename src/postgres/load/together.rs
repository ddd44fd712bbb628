//! Small puts of several clients, written in one transaction (`group_commit`): while one commits, those that come wait, and go
//! together in the next. Each is acknowledged after that COMMIT. When anything fails, nothing of it is stored, and each put is
//! written by itself, as if it had never waited: so a bad row, a conflict or a lost connection is only its own put's.

use std::sync::Arc;

use super::destination::PgDestination;
use super::outcome::Outcome;
use super::plan::Plan;
use super::transaction::Transaction;
use super::waiting::{Member, Told};
use crate::ingest::ports::{Chunk, Finished};
use crate::postgres::error::Error;

/// What is left to do for a put.
#[derive(Debug)]
pub(super) enum Joined {
    /// Nothing: its rows are committed.
    Committed,
    /// All; whoever comes meanwhile may wait for the end of the turn.
    Alone(Option<Turn>),
}

/// What became of a load of a few rows at its end.
#[derive(Debug)]
pub(super) enum Whole {
    /// It is committed.
    Committed(Finished),
    /// Its rows are written, if there were some, and it is to be ended as any other load.
    Open(Option<Turn>),
}

/// Somebody commits, until this is dropped; then those go who wait.
#[derive(Debug)]
pub(super) struct Turn {
    plan: Arc<Plan>,
    destination: PgDestination,
}

/// Waits for others who commit, and is written with those who wait as well; a put that meets nobody is to go at once.
///
/// # Errors
/// [`Error::CommitUnknown`].
pub(super) async fn join(plan: &Arc<Plan>, destination: &PgDestination, chunk: &Chunk) -> Result<Joined, Error> {
    let limits = destination.group;
    let Some(waiting) = plan.waiting.as_ref().filter(|_| limits.take(chunk)) else {
        return Ok(Joined::Alone(None));
    };
    let Some(mut place) = waiting.enter(chunk) else {
        return Ok(Joined::Alone(Some(Turn::new(plan, destination))));
    };
    let told = match tokio::time::timeout(limits.max_wait, &mut place.heard).await {
        Ok(told) => told,
        Err(_) if place.leave() => return Ok(Joined::Alone(None)),
        Err(_) => (&mut place.heard).await,
    };
    match told {
        Ok(Told::Committed) => Ok(Joined::Committed),
        Ok(Told::Alone) => Ok(Joined::Alone(None)),
        // Nobody tells only where the task that wrote it was ended.
        Ok(Told::Unknown) | Err(_) => Err(Error::CommitUnknown {
            table: plan.table.to_string(),
            mark: None,
        }),
    }
}

impl Turn {
    fn new(plan: &Arc<Plan>, destination: &PgDestination) -> Self {
        Self {
            plan: Arc::clone(plan),
            destination: destination.clone(),
        }
    }

    /// Writes them in a task of its own, because each of their clients may go away. The turn ends with it.
    fn write(self, members: Vec<Member>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let told = write_all(&self.plan, &self.destination, &members).await;
            for member in members {
                if member.told.send(told).is_err() {
                    tracing::debug!(?told, "a client has gone that a put was written for");
                }
            }
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = self.plan.waiting.as_ref();
        let members = waiting.map(|waiting| waiting.next(self.destination.group));
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            Self::new(&self.plan, &self.destination).write(members);
        }
    }
}

/// One transaction for all of them.
async fn write_all(plan: &Arc<Plan>, destination: &PgDestination, members: &[Member]) -> Told {
    let error = match try_all(plan, destination, &all_rows(members)).await {
        Ok(()) => return Told::Committed,
        Err(error) => error,
    };
    tracing::debug!(error = %error, table = %plan.table, puts = members.len(), "puts that went together go one by one");
    match error {
        Error::CommitUnknown { mark: Some(mark), .. } => match destination.outcome(&mark).await {
            Outcome::Committed => Told::Committed,
            Outcome::Aborted => Told::Alone,
            Outcome::Unknown => Told::Unknown,
        },
        Error::CommitUnknown { .. } => Told::Unknown,
        _ => Told::Alone,
    }
}

async fn try_all(plan: &Arc<Plan>, destination: &PgDestination, chunk: &Chunk) -> Result<(), Error> {
    let connection = destination.connections.get().await?;
    if !plan
        .stamp
        .as_ref()
        .is_some_and(|stamp| connection.vouches_for(stamp.read))
    {
        return Err(Error::Changed {
            table: plan.table.to_string(),
        });
    }
    let (tx, _) = Transaction::open_copying(connection, Arc::clone(plan), chunk).await?;
    tx.on_trust(true).commit().await
}

fn all_rows(members: &[Member]) -> Chunk {
    let chunks = || members.iter().map(|member| &member.chunk);
    Chunk {
        batches: chunks().flat_map(|chunk| chunk.batches.iter().cloned()).collect(),
        rows: chunks().map(|chunk| chunk.rows).sum(),
        bytes: chunks().map(|chunk| chunk.bytes).sum(),
        first_row: 0,
        permits: Vec::new(),
        labels: Vec::new(),
    }
}
