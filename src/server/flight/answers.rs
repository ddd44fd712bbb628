//! The answers of a put as a stream: progress, which is never queued, and the one final result.

use arrow_flight::PutResult;
use arrow_flight::sql::DoPutUpdateResult;
use futures::StreamExt;
use futures::stream::BoxStream;
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::result::PutAnswer;
use crate::ingest::session::{Progress, Summary};
use crate::model::options::CommitMode;

/// The stream of answers that a client gets.
pub type PutAnswers = BoxStream<'static, Result<PutResult, Status>>;

/// What a client of Flight SQL is told: the rows that are stored.
pub(super) fn update_result(summary: &Summary) -> PutResult {
    rows_changed(summary.progress.rows)
}

/// The answer to an update of that many rows.
pub(super) fn rows_changed(rows: u64) -> PutResult {
    let record_count = i64::try_from(rows).unwrap_or(i64::MAX);
    PutResult {
        app_metadata: DoPutUpdateResult { record_count }.encode_to_vec().into(),
    }
}

/// Progress answers until the final one comes; each tells the latest counts, none is queued.
pub(super) fn with_progress(
    progress: watch::Receiver<Progress>,
    table: String,
    commit: CommitMode,
    last: PutAnswers,
) -> PutAnswers {
    let state = (Some(progress), table, Some(last));
    futures::stream::unfold(state, move |(progress, table, last)| async move {
        let mut last = last?;
        let Some(mut watch) = progress else {
            return last.next().await.map(|answer| (answer, (None, table, None)));
        };
        tokio::select! {
            biased;
            changed = watch.changed() => match changed {
                Ok(()) => {
                    let counts = watch.borrow_and_update().clone();
                    let answer = PutAnswer::progress(&table, commit, counts).put_result();
                    Some((Ok(answer), (Some(watch), table, Some(last))))
                }
                Err(_) => last.next().await.map(|answer| (answer, (None, table, None))),
            },
            answer = last.next() => answer.map(|answer| (answer, (None, table, None))),
        }
    })
    .boxed()
}
