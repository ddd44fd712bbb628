//! Sends one [`Source`] to a server through Flight `DoPut`, so that a broken source never looks like a complete one.
//!
//! The request is strict: the server commits only if the stream ends with the commit message and its row count. That
//! message is sent after the last batch was read without error; if reading fails, or the future of [`put`] is dropped,
//! the request stream is reset instead of ended, and the server rolls back.

mod call;
mod encode;
mod status;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_flight::{FlightDescriptor, PutResult};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connect::Connection;
use super::progress::Progress;
use crate::formats::{Source, SourceError};
use call::Outgoing;
use encode::Encoder;
pub use status::Refusal;

/// Messages of 1 to 4 MiB that wait between the reading thread and the network.
const MESSAGES_AHEAD: usize = 4;

/// What a load asks of the server. `None` leaves the choice to the server.
#[derive(Clone, Debug, Default)]
pub struct PutRequest {
    /// Table name, exactly as it shall be.
    pub table: String,
    /// Schema of the table.
    pub schema: Option<String>,
    /// `append`, `overwrite`, ...
    pub write_mode: Option<String>,
    /// `atomic` or `batch`.
    pub commit: Option<String>,
    /// `safe`, `forced` or `off`.
    pub migrate_mode: Option<String>,
    /// What to do with rows that Postgres cannot take.
    pub on_bad_row: Option<String>,
    /// What to do with rows that a trigger of the table leaves out.
    pub on_suppressed_row: Option<String>,
    /// How many such rows may be rejected.
    pub max_rejects: Option<u64>,
    /// Whether their values are kept.
    pub reject_values: bool,
    /// Key columns, in order; empty means not stated.
    pub primary_key: Vec<String>,
}

impl PutRequest {
    /// The descriptor of the public contract: a JSON object as command, with `strict` set.
    pub fn descriptor(&self) -> FlightDescriptor {
        let mut options = Map::new();
        options.insert("table".to_owned(), json!(self.table));
        let texts = [
            ("schema", &self.schema),
            ("write_mode", &self.write_mode),
            ("commit", &self.commit),
            ("migrate_mode", &self.migrate_mode),
            ("on_bad_row", &self.on_bad_row),
            ("on_suppressed_row", &self.on_suppressed_row),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                options.insert(name.to_owned(), json!(value));
            }
        }
        if let Some(most) = self.max_rejects {
            options.insert("max_rejects".to_owned(), json!(most));
        }
        if self.reject_values {
            options.insert("reject_values".to_owned(), json!(true));
        }
        if !self.primary_key.is_empty() {
            options.insert("primary_key".to_owned(), json!(self.primary_key));
        }
        options.insert("strict".to_owned(), json!(true));
        FlightDescriptor::new_cmd(Value::Object(options).to_string())
    }
}

/// What a finished load did.
#[derive(Clone, Debug)]
pub struct PutOutcome {
    /// Rows sent.
    pub rows: u64,
    /// Bytes of Arrow data sent.
    pub bytes: u64,
    /// The server's final result as it came (a JSON object with `table`, `rows`, ...).
    pub result: Value,
}

/// Why a load failed. Nothing was committed by an atomic load, except where [`PutError::Result`] or
/// [`PutError::RowCount`] say that it is open.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The input could not be read; the call was cancelled.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The server refused or failed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server said it was done before everything was sent.
    #[error("the server ended the call before all rows were sent, without saying why")]
    EndedEarly,
    /// The server's last word is missing or is no JSON object.
    #[error("the server accepted the rows but its final result {0}; check the table before loading again")]
    Result(&'static str),
    /// The server counted otherwise.
    #[error("the server reports {reported} rows for {sent} rows sent; check the table before loading again")]
    RowCount {
        /// Rows and rejected rows in the server's result.
        reported: u64,
        /// Rows sent.
        sent: u64,
    },
    /// The reading thread died.
    #[error("the thread that reads the input stopped unexpectedly")]
    ReaderDied,
}

/// Sends `source` and waits for the server's final result.
pub async fn put(
    connection: &Connection,
    request: &PutRequest,
    source: Source,
    progress: &Arc<Progress>,
) -> Result<PutOutcome, PutError> {
    let (outgoing, waiting) = mpsc::channel(MESSAGES_AHEAD);
    let mut reader = read_on_a_thread(source, request.descriptor(), outgoing, Arc::clone(progress))?;
    let abandoned = CancellationToken::new();
    // However this function ends, also by being dropped: an upload that has not ended by then is reset.
    let _guard = abandoned.clone().drop_guard();
    let mut call = Box::pin(call::do_put(connection, waiting, abandoned, Arc::clone(progress)));

    let result = tokio::select! {
        biased;
        read = &mut reader => match read {
            Ok(Read::Failed(error)) => return Err(error.into()),
            Ok(Read::AllQueued | Read::NobodyListens) => call.await?,
            Err(_) => return Err(PutError::ReaderDied),
        },
        result = &mut call => result?,
    };
    if !progress.all_sent.load(Ordering::Acquire) {
        return Err(PutError::EndedEarly);
    }
    let rows = progress.rows.load(Ordering::Relaxed);
    let result = final_result(result)?;
    check_row_count(request, &result, rows)?;
    Ok(PutOutcome {
        rows,
        bytes: progress.bytes.load(Ordering::Relaxed),
        result,
    })
}

fn final_result(last: Option<PutResult>) -> Result<Value, PutError> {
    let last = last.ok_or(PutError::Result("is missing"))?;
    let result: Value =
        serde_json::from_slice(&last.app_metadata).map_err(|_| PutError::Result("is not valid JSON"))?;
    if result.is_object() {
        Ok(result)
    } else {
        Err(PutError::Result("is not a JSON object"))
    }
}

/// An append must have stored every row, or counted it as rejected or suppressed; other modes may count merged rows in their own way.
fn check_row_count(request: &PutRequest, result: &Value, sent: u64) -> Result<(), PutError> {
    let count = |key: &str| result.get(key).and_then(Value::as_u64);
    let appends = request.write_mode.as_deref().is_none_or(|mode| mode == "append");
    match count("rows") {
        Some(rows) if appends => {
            let apart = ["rejected", "suppressed"].map(|key| count(key).unwrap_or(0));
            let reported = rows + apart.iter().sum::<u64>();
            if reported == sent {
                Ok(())
            } else {
                Err(PutError::RowCount { reported, sent })
            }
        }
        _ => Ok(()),
    }
}

/// How the reading thread ended.
enum Read {
    AllQueued,
    NobodyListens,
    Failed(SourceError),
}

/// Reads and encodes on a plain thread: reading may block for as long as standard input does, and the runtime would
/// wait for a thread of its own pool when it shuts down.
fn read_on_a_thread(
    source: Source,
    descriptor: FlightDescriptor,
    outgoing: mpsc::Sender<Outgoing>,
    progress: Arc<Progress>,
) -> Result<oneshot::Receiver<Read>, PutError> {
    let (done, ended) = oneshot::channel();
    let work = move || {
        let read = read(source, descriptor, &outgoing, &progress);
        // The failure is told before the queue closes, and nobody may be left to hear it.
        done.send(read).ok();
    };
    std::thread::Builder::new()
        .name("pgflight-read".to_owned())
        .spawn(work)
        .map_err(|_| PutError::ReaderDied)?;
    Ok(ended)
}

fn read(source: Source, descriptor: FlightDescriptor, outgoing: &mpsc::Sender<Outgoing>, progress: &Progress) -> Read {
    let mut encoder = Encoder::new();
    let first = encoder.schema(source.schema(), descriptor);
    if outgoing.blocking_send(Outgoing::Message(first)).is_err() {
        return Read::NobodyListens;
    }
    let mut sent_rows = 0;
    for batch in source {
        let pieces = match batch {
            Ok(batch) => encode::split(&batch),
            Err(error) => return Read::Failed(error),
        };
        for piece in pieces {
            let messages = match encoder.batch(&piece) {
                Ok(messages) => messages,
                Err(error) => return Read::Failed(SourceError::Encode(error)),
            };
            for message in messages {
                let byte_count = (message.data_header.len() + message.data_body.len()) as u64;
                if outgoing.blocking_send(Outgoing::Message(message)).is_err() {
                    return Read::NobodyListens;
                }
                progress.bytes.fetch_add(byte_count, Ordering::Relaxed);
            }
            sent_rows += piece.num_rows() as u64;
            progress.rows.store(sent_rows, Ordering::Relaxed);
        }
    }
    match outgoing.blocking_send(Outgoing::Commit(encode::commit(sent_rows))) {
        Ok(()) => Read::AllQueued,
        Err(_) => Read::NobodyListens,
    }
}

#[cfg(test)]
mod tests;
