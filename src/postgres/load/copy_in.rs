//! Pumps the bytes of rows into one COPY statement. Encoding happens between two sends, while the driver's task
//! writes the piece before to the socket.

use std::pin::Pin;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio::sync::Semaphore;
use tokio_postgres::CopyInSink;

use super::rows::Rows;
use crate::codec::encode::{BoundBatch, CellError, CopyPlan};
use crate::codec::{HEADER, TRAILER};
use crate::ingest::aside::{aside, aside_if_large};
use crate::postgres::pool::Session;
use crate::telemetry::names;

/// Bytes per CopyData message. The driver passes anything above 4 KiB through as its own message; 256 KiB keeps the
/// piece in the cache and the number of messages low.
const PIECE_BYTES: usize = 256 << 10;
/// Room for the row that crosses the limit.
const SLACK_BYTES: usize = 16 << 10;

/// The turn to make a row that is larger than what is made beside others (up to the gigabyte that Postgres takes): one at a time in
/// this process, whoever loads it. Whoever has it waits for nothing but Postgres.
static LARGE_ROW: Semaphore = Semaphore::const_new(1);

/// Why rows could not be copied.
#[derive(Debug)]
pub(super) enum CopyFailure {
    /// A cell that cannot be encoded; `row` is its place in the stream.
    Cell { row: u64, cell: CellError },
    /// The server or the connection.
    Server(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for CopyFailure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// A COPY statement that waits for its rows.
pub(super) struct OpenCopy {
    sink: CopyInSink<Bytes>,
    copying: Copying,
}

/// Begins a COPY statement. What was asked before it on the same session goes with it.
pub(super) async fn open_copy(session: &Session, sql: &str) -> Result<OpenCopy, tokio_postgres::Error> {
    let copying = Copying::begin();
    let statement = session.kept_statement(sql).await?;
    let sink = session.copy_in(&statement).await?;
    Ok(OpenCopy { sink, copying })
}

/// One COPY statement under way, for the metrics.
#[derive(Debug)]
struct Copying {
    begun: Instant,
    encoding: Duration,
}

impl Copying {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            encoding: Duration::ZERO,
        }
    }

    /// Makes bytes of rows.
    fn encode<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let made = work();
        self.encoding += begun.elapsed();
        made
    }

    async fn send(&self, sink: &mut Pin<&mut CopyInSink<Bytes>>, piece: Bytes) -> Result<(), tokio_postgres::Error> {
        metrics::counter!(names::BYTES_COPIED).increment(piece.len() as u64);
        sink.send(piece).await
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        metrics::histogram!(names::COPY_SECONDS).record(self.begun.elapsed().as_secs_f64());
        metrics::histogram!(names::ENCODE_SECONDS).record(self.encoding.as_secs_f64());
    }
}

/// Appends all rows of a batch.
fn put_all(plan: &CopyPlan, batch: &RecordBatch, base: i64, out: &mut BytesMut) -> Result<(), CellError> {
    let bound = plan.bind(batch)?;
    let mut row = 0;
    while row < bound.rows() {
        row = bound.encode(row, PIECE_BYTES, base, out)?;
    }
    Ok(())
}

/// Sends the rows and returns how many Postgres counted. After a cell's failure the connection must be thrown away; after
/// the server's, the transaction can go on from a savepoint.
pub(super) async fn copy_rows(open: OpenCopy, plan: &CopyPlan, rows: &Rows) -> Result<u64, CopyFailure> {
    let OpenCopy { sink, mut copying } = open;
    let mut sink = std::pin::pin!(sink);
    let mut out = BytesMut::with_capacity(rows.room(PIECE_BYTES) + SLACK_BYTES);
    out.extend_from_slice(&HEADER);
    for piece in rows.pieces() {
        let at = |cell: CellError| CopyFailure::Cell {
            row: piece.place + cell.row as u64,
            cell,
        };
        let bytes = piece.batch.get_array_memory_size();
        let bound = aside_if_large(bytes, || plan.bind(&piece.batch)).await.map_err(at)?;
        let base = i64::try_from(piece.place).unwrap_or(i64::MAX);
        let mut row = 0;
        while row < bound.rows() {
            let wanted = PIECE_BYTES.saturating_sub(out.len());
            let encoded = match copying.encode(|| bound.encode_small(row, wanted, base, &mut out)) {
                Ok(next) if next == row => {
                    let _turn = LARGE_ROW.acquire().await;
                    match copying.encode(|| aside(|| bound.check_row(row))) {
                        Ok(()) => {
                            let place = piece.place + row as u64;
                            copy_large(&mut sink, &mut copying, &bound, (row, place), base, &mut out).await?;
                            Ok(row + 1)
                        }
                        Err(cell) => Err(cell),
                    }
                }
                encoded => encoded,
            };
            row = match encoded {
                Ok(next) => next,
                Err(cell) => {
                    // The server may refuse a row before it, and has not seen all of them yet.
                    let before = piece.batch.slice(row, cell.row.saturating_sub(row));
                    put_all(plan, &before, base.saturating_add(row as i64), &mut out).map_err(at)?;
                    out.extend_from_slice(&TRAILER);
                    copying.send(&mut sink, out.freeze()).await?;
                    sink.finish().await?;
                    return Err(at(cell));
                }
            };
            if out.len() >= PIECE_BYTES {
                copying.send(&mut sink, out.split().freeze()).await?;
                out.reserve(PIECE_BYTES + SLACK_BYTES);
            }
        }
    }
    out.extend_from_slice(&TRAILER);
    copying.send(&mut sink, out.freeze()).await?;
    Ok(sink.finish().await?)
}

/// Sends a large row field by field, so that only one of them is in memory. `row` is its number in the batch and its place.
async fn copy_large(
    sink: &mut Pin<&mut CopyInSink<Bytes>>,
    copying: &mut Copying,
    bound: &BoundBatch<'_>,
    (row, place): (usize, u64),
    base: i64,
    out: &mut BytesMut,
) -> Result<(), CopyFailure> {
    out.extend_from_slice(&(bound.fields() as u16).to_be_bytes());
    for field in 0..bound.fields() {
        let (head, rest) = copying
            .encode(|| aside(|| bound.field(row, field, base)))
            .map_err(|cell| CopyFailure::Cell { row: place, cell })?;
        for part in [head, rest] {
            if out.len() + part.len() <= PIECE_BYTES {
                out.extend_from_slice(&part);
                continue;
            }
            let mut part = Bytes::from(part);
            copying.send(sink, out.split().freeze()).await?;
            while !part.is_empty() {
                let piece = part.split_to(part.len().min(PIECE_BYTES));
                copying.send(sink, piece).await?;
            }
        }
    }
    Ok(())
}
