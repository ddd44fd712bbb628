//! Pumps the bytes of rows into one COPY statement. Encoding happens between two sends, while the driver's task
//! writes the piece before to the socket.

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::Client;

use super::rows::Rows;
use crate::postgres::copy::{CellError, CopyPlan, HEADER, TRAILER};

/// Bytes per CopyData message. The driver passes anything above 4 KiB through as its own message; 256 KiB keeps the
/// piece in the cache and the number of messages low.
const PIECE_BYTES: usize = 256 << 10;
/// Room for the row that crosses the limit.
const SLACK_BYTES: usize = 16 << 10;

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
pub(super) async fn copy_rows(client: &Client, sql: &str, plan: &CopyPlan, rows: &Rows) -> Result<u64, CopyFailure> {
    let sink = client.copy_in::<_, Bytes>(sql).await?;
    let mut sink = std::pin::pin!(sink);
    let mut out = BytesMut::with_capacity(PIECE_BYTES + SLACK_BYTES);
    out.extend_from_slice(&HEADER);
    for piece in rows.pieces() {
        let at = |cell: CellError| CopyFailure::Cell {
            row: piece.place + cell.row as u64,
            cell,
        };
        let bound = plan.bind(&piece.batch).map_err(at)?;
        let base = i64::try_from(piece.place).unwrap_or(i64::MAX);
        let mut row = 0;
        while row < bound.rows() {
            row = match bound.encode(row, PIECE_BYTES.saturating_sub(out.len()), base, &mut out) {
                Ok(next) => next,
                Err(cell) => {
                    // The server may refuse a row before it, and has not seen all of them yet.
                    let before = piece.batch.slice(row, cell.row.saturating_sub(row));
                    put_all(plan, &before, base.saturating_add(row as i64), &mut out).map_err(at)?;
                    out.extend_from_slice(&TRAILER);
                    sink.send(out.freeze()).await?;
                    sink.finish().await?;
                    return Err(at(cell));
                }
            };
            if out.len() >= PIECE_BYTES {
                sink.send(out.split().freeze()).await?;
                out.reserve(PIECE_BYTES + SLACK_BYTES);
            }
        }
    }
    out.extend_from_slice(&TRAILER);
    sink.send(out.freeze()).await?;
    Ok(sink.finish().await?)
}
