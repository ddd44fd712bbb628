//! The JSON that DoPut speaks in `app_metadata`: batch labels and the commit message in, progress and the final result out.

use arrow_flight::PutResult;
use serde::{Deserialize, Serialize};

use super::json_words::words;
use crate::ingest::error::RequestError;
use crate::ingest::session::{Progress, StreamProgress, Summary};
use crate::model::options::CommitMode;

/// `app_metadata` of an incoming message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageMetadata {
    /// Sequence number of the batch in its stream.
    pub seq: Option<u64>,
    /// What the client wants back when it resumes.
    pub token: Option<String>,
    /// The stream is complete.
    pub commit: Option<CommitMessage>,
}

/// `{"commit": {"rows": n}}`: the client says that it sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitMessage {
    /// Rows of the whole stream.
    pub rows: u64,
}

/// One answer of DoPut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutAnswer {
    /// Whether this is the last answer.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Table, with its schema.
    pub table: String,
    /// Rows taken so far.
    pub rows: u64,
    /// Rows committed so far.
    pub committed: u64,
    /// Rows in the reject table.
    pub rejected: u64,
    /// Rows that a trigger of the table left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// `atomic` or `batch`.
    pub commit: CommitMode,
    /// Where a resumable stream stands.
    #[serde(flatten)]
    pub stream: Option<StreamProgress>,
    /// The rest, in the final answer.
    #[serde(flatten)]
    pub end: Option<PutEnd>,
}

/// What only the final answer knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutEnd {
    /// Rows inserted or changed.
    pub affected: u64,
    /// The load's name in the reject table, where rows went there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_id: Option<String>,
    /// Stale rows that were deleted.
    #[serde(skip_serializing_if = "is_zero")]
    pub deleted: u64,
    /// DDL that was needed.
    pub migration: Vec<String>,
    /// Time from the first message to the commit.
    pub duration_ms: u64,
}

impl PutAnswer {
    /// An answer in the middle of a stream.
    pub fn progress(table: &str, commit: CommitMode, progress: Progress) -> Self {
        Self {
            is_final: false,
            table: table.to_owned(),
            rows: progress.rows,
            committed: progress.committed,
            rejected: progress.rejected,
            suppressed: progress.suppressed,
            commit,
            stream: progress.stream,
            end: None,
        }
    }

    /// The final answer.
    pub fn finished(summary: Summary, commit: CommitMode, duration_ms: u64) -> Self {
        let end = PutEnd {
            affected: summary.finished.affected,
            load_id: summary.finished.load_id,
            deleted: summary.finished.deleted,
            migration: summary.finished.migration,
            duration_ms,
        };
        let mut answer = Self::progress(&summary.finished.table, commit, summary.progress);
        answer.is_final = true;
        answer.end = Some(end);
        answer
    }

    /// As Flight sends it.
    pub fn put_result(&self) -> PutResult {
        // Strings, numbers and lists of strings always serialise.
        PutResult {
            app_metadata: serde_json::to_vec(self).unwrap_or_default().into(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads the `app_metadata` of a message; empty means none.
///
/// # Errors
/// A sentence that says what is allowed there.
pub fn read_metadata(bytes: &[u8]) -> Result<MessageMetadata, RequestError> {
    if bytes.is_empty() {
        return Ok(MessageMetadata::default());
    }
    crate::model::json::read(bytes).map_err(|error| {
        RequestError::Malformed(format!(
            "the app_metadata of a message is not understood: {}; leave it empty, or send {{\"seq\": n, \"token\": \"...\"}} with a batch or {{\"commit\": {{\"rows\": n}}}} at the end",
            words(&error)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ports::Finished;

    #[test]
    fn metadata_is_a_label_a_commit_or_nothing() {
        assert_eq!(read_metadata(b"").unwrap(), MessageMetadata::default());
        let commit = read_metadata(br#"{"commit": {"rows": 5}}"#).unwrap().commit;
        assert_eq!(commit, Some(CommitMessage { rows: 5 }));
        let label = read_metadata(br#"{"seq": 3, "token": "a"}"#).unwrap();
        assert_eq!((label.seq, label.token.as_deref()), (Some(3), Some("a")));
        let error = read_metadata(b"{\"sequence\": 1}").unwrap_err().to_string();
        assert!(error.contains("sequence") && error.contains("\"commit\""), "{error}");
    }

    #[test]
    fn the_final_answer_is_one_flat_json_object() {
        let summary = Summary {
            progress: Progress {
                rows: 3,
                committed: 3,
                rejected: 0,
                suppressed: 0,
                chunks: 1,
                stream: None,
            },
            finished: Finished {
                table: "public.t".into(),
                migration: vec!["create table".into()],
                affected: 3,
                ..Finished::default()
            },
        };
        let answer = PutAnswer::finished(summary, CommitMode::Atomic, 12);
        let json: serde_json::Value = serde_json::from_slice(&answer.put_result().app_metadata).unwrap();
        let expected = serde_json::json!({
            "final": true, "table": "public.t", "rows": 3, "committed": 3, "rejected": 0, "commit": "atomic",
            "affected": 3, "migration": ["create table"], "duration_ms": 12
        });
        assert_eq!(json, expected);
    }
}
