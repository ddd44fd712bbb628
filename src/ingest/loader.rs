//! The task that writes a stream's chunks and finishes its load. Told what to do by the session; decides nothing itself.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use super::error::Error;
use super::ports::{Chunk, Finished, Load, Written};
use super::progress::{Progress, StreamProgress};

/// What the loader task is told.
#[derive(Debug)]
pub(super) enum Step {
    Chunk(Chunk),
    /// The stream is complete, and whether the client said how many rows that makes. A channel that closes without this
    /// word means: abort.
    Finish(bool),
}

/// The loader task: writes chunks, up to `lanes` at once, then finishes the load when told so.
pub(super) async fn drive(
    load: Arc<dyn Load>,
    mut steps: mpsc::Receiver<Step>,
    report: watch::Sender<Progress>,
) -> Result<Finished, Error> {
    let lanes = load.lanes().max(1);
    let mut running: JoinSet<Result<Written, Error>> = JoinSet::new();
    let mut end = None;
    loop {
        tokio::select! {
            step = steps.recv(), if running.len() < lanes && end.is_none() => match step {
                Some(Step::Chunk(chunk)) => {
                    let load = Arc::clone(&load);
                    running.spawn(async move { load.write(chunk).await }.in_current_span());
                }
                Some(Step::Finish(complete)) => end = Some(complete),
                None => return Err(Error::Internal("the stream was given up".to_owned())),
            },
            Some(written) = running.join_next() => {
                let written = written.map_err(|error| Error::Internal(format!("a write ended unexpectedly: {error}")))??;
                report.send_modify(|progress| progress.add(written));
            },
            () = load.idle(), if running.is_empty() && end.is_none() => {}
            else => break,
        }
    }
    let finished = load.finish(end.unwrap_or_default()).await?;
    if let Some(stream) = load.stream() {
        report.send_modify(|progress| progress.stream = Some(StreamProgress::after(progress.stream.take(), &stream)));
    }
    Ok(finished)
}

pub(super) fn joined(outcome: Result<Result<Finished, Error>, JoinError>) -> Result<Finished, Error> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Err(Error::Internal("the load was cancelled".to_owned())),
        Err(error) => Err(Error::Internal(format!("the load's task ended unexpectedly: {error}"))),
    }
}

/// The reason why a loader ended while its stream goes on.
pub(super) fn ended_early(outcome: Result<Result<Finished, Error>, JoinError>) -> Error {
    let ended = || Error::Internal("the load ended before its stream".to_owned());
    joined(outcome).err().unwrap_or_else(ended)
}
