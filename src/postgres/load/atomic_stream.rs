//! An atomic load that is a stream with a name: its one step, and what the stream's row says about a COMMIT that was not answered.

use std::time::Instant;

use super::atomic::AtomicLoad;
use super::retry::Next;
use super::stream::Writer;
use super::transaction::Transaction;
use crate::ingest::ports::{Finished, StreamState};
use crate::postgres::error::Error;
use crate::telemetry::names;

impl AtomicLoad {
    /// Waits for the end of the transaction whose answer was lost, and reads whether it ended the stream.
    pub(super) async fn was_committed(&self, stream: &Writer) -> Result<bool, Error> {
        metrics::counter!(names::COMMIT_UNKNOWN).increment(1);
        let mut tries = self.shared.tries();
        loop {
            let started = Instant::now();
            let asked = async {
                let connection = self.shared.destination.connections.get().await?;
                let tx = Transaction::open(connection, self.shared.plan()).await?;
                let locked = tx.answered(stream.lock(tx.client(), None)).await?;
                if locked.done {
                    // What is visible to us has reached the disk and the standbys once a later transaction has.
                    tx.commit().await?;
                }
                Ok(locked.done)
            };
            let error = match asked.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match self.shared.after(&mut tries, &error, started) {
                Next::Retry(pause) => tokio::time::sleep(pause).await,
                // Of our own table, whose kept statements are forgotten by now.
                Next::Replan => {}
                _ => return Err(error),
            }
        }
    }

    /// Notes the one step of an atomic stream and its result.
    pub(super) async fn end_stream(
        tx: &Transaction,
        stream: &Writer,
        finished: &Finished,
    ) -> Result<StreamState, Error> {
        if stream.lock(tx.client(), None).await?.done {
            return Err(Error::Internal("the stream was finished by another load".to_owned()));
        }
        let next = stream.advance_once(tx.client(), finished.rows).await?;
        stream.finalize(tx.client(), finished).await?;
        Ok(StreamState {
            finished: Some(finished.clone()),
            ..next
        })
    }
}
