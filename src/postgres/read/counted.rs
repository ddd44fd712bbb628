//! What one read says of its large rows: which batch has which, and when their room may go to others.

use std::sync::Arc;

use crate::ingest::error::StreamError;
use crate::ingest::ports::Taken;
use crate::postgres::connect::{Flow, Rows};
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;

/// The rows of one read, counted while it lasts.
#[derive(Debug)]
pub(in crate::postgres) struct Counted {
    flow: Option<Flow>,
    rows: Option<Arc<Rows>>,
    handed_on: u64,
    batches: u64,
}

impl Counted {
    /// From here on what comes over this connection is counted.
    pub(in crate::postgres) fn begin(connection: &Connection) -> Self {
        let flow = connection.client().flow().cloned();
        Self {
            rows: flow.as_ref().map(Flow::rows),
            flow,
            handed_on: 0,
            batches: 0,
        }
    }

    /// Who is to be told what the client has.
    pub(in crate::postgres) fn taken(&self) -> Option<Arc<dyn Taken>> {
        let rows = self.rows.clone()?;
        Some(rows)
    }

    /// So many bytes of rows went to the decoder.
    pub(in crate::postgres) fn fed(&mut self, bytes: usize) {
        self.handed_on += bytes as u64;
    }

    /// The decoder gave a batch.
    pub(in crate::postgres) fn batch(&mut self) {
        self.batches += 1;
    }

    /// The decoder has no whole row any more.
    pub(in crate::postgres) fn cut(&self) {
        if let Some(rows) = &self.rows {
            rows.cut(self.handed_on, self.batches);
        }
    }

    /// Why the connection was ended, where it was for a row.
    pub(in crate::postgres) fn refusal(&self) -> Option<Error> {
        let rows = self.rows.as_ref()?;
        if let Some(idle) = rows.stuck() {
            let kept = Default::default();
            return Some(StreamError::Idle { idle, kept }.into());
        }
        let bytes = rows.refused()?;
        Some(Error::LargeRow {
            bytes,
            most: rows.most(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(flow) = &self.flow {
            flow.done();
        }
    }
}
