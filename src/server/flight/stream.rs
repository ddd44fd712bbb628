//! Record batches on their way to a client: as messages, and no faster than it takes them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use futures::stream::{BoxStream, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::context::Life;
use crate::ingest::error::{Error, StreamError};
use crate::ingest::ports::{TableReader, Taken};
use crate::server::status::status;

/// Above what a batch of ours takes; the encoder shall not cut batches again.
const MESSAGE_BYTES: usize = 8 << 20;

/// A stream of answers.
pub type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// Batches as messages, the schema first.
pub(super) fn encoded(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Error>> + Send + 'static,
) -> Answers<FlightData> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_max_flight_data_size(MESSAGE_BYTES)
        .build(batches.map(|batch| batch.map_err(|error| FlightError::from(status(&error)))));
    encoder.map(|message| message.map_err(Status::from)).boxed()
}

/// Reads on a task of its own, so that decoding and sending overlap and a client that stands still is noticed.
pub(crate) fn pumped(
    mut reader: TableReader,
    idle: Duration,
    life: &Life,
) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let (sender, receiver) = mpsc::channel(1);
    let taken = reader.taken.take();
    let left = taken.as_ref().map(Arc::downgrade);
    let stopping = life.stopping.clone();
    let pump = tokio::spawn(async move {
        let send = async {
            while let Some(batch) = reader.batches.next().await {
                match tokio::time::timeout(idle, sender.send(batch?)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => {
                        let kept = Default::default();
                        return Err(Error::from(StreamError::Idle { idle, kept }));
                    }
                }
            }
            Ok(())
        };
        let sent = tokio::select! {
            sent = send => sent,
            () = sender.closed() => Ok(()),
            () = stopping.cancelled() => Err(Error::Draining),
        };
        forget_later(left, idle);
        sent
    });
    // The channel closes however the pump ends; only its answer says that nothing is missing.
    let outcome = futures::stream::once(pump).filter_map(|ended| async {
        match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(error) => Some(Err(Error::Internal(format!(
                "the read ended without an answer: {error}"
            )))),
        }
    });
    let batches = ReceiverStream::new(receiver).map(Ok).chain(outcome).boxed();
    match taken {
        Some(taken) => counted(batches, taken),
        None => batches,
    }
}

type Batches = BoxStream<'static, Result<RecordBatch, Error>>;

/// Tells how many batches the client has: who asks for another one has sent those before.
fn counted(batches: Batches, taken: Arc<dyn Taken>) -> Batches {
    let counted = futures::stream::unfold((batches, taken, 0), |(mut batches, taken, sent)| async move {
        taken.taken(sent);
        let batch = batches.next().await?;
        Some((batch, (batches, taken, sent + 1)))
    });
    counted.boxed()
}

/// A client that never takes the last batch holds nobody else up for longer.
fn forget_later(left: Option<Weak<dyn Taken>>, idle: Duration) {
    if let Some(left) = left {
        tokio::spawn(async move {
            tokio::time::sleep(idle).await;
            if let Some(left) = left.upgrade() {
                left.taken(u64::MAX);
            }
        });
    }
}
