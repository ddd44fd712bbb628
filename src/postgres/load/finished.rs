//! The load that has nothing to do: its stream was finished before.

use async_trait::async_trait;

use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::{Chunk, Finished, Load, StreamState, Written};

/// A load into a stream that was finished before: nothing is written, the stored result is given again.
#[derive(Debug)]
pub(super) struct FinishedLoad(pub(super) StreamState);

#[async_trait]
impl Load for FinishedLoad {
    async fn write(&self, _: Chunk) -> Result<Written, IngestError> {
        Ok(Written::default())
    }

    async fn finish(&self, _: bool) -> Result<Finished, IngestError> {
        Ok(self.0.finished.clone().unwrap_or_default())
    }

    fn lanes(&self) -> usize {
        1
    }

    fn table(&self) -> String {
        let finished = self.0.finished.as_ref();
        finished.map(|finished| finished.table.clone()).unwrap_or_default()
    }

    fn stream(&self) -> Option<StreamState> {
        Some(self.0.clone())
    }
}
