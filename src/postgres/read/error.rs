//! Why a table is not read, in words for the client.

use crate::codec::decode::DecodeError;
use crate::codec::decode::plan::PlanError;
use crate::ingest::error::Facts;
use crate::model::class::Class;

/// A table is not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("there is no table {table}; ListFlights names the tables that can be read")]
    NoTable {
        /// The name looked for, with its schema.
        table: String,
    },
    /// A relation without rows.
    #[error("{table} is {kind}, which has no rows to read")]
    NotReadable {
        /// The relation.
        table: String,
        /// What it is.
        kind: &'static str,
    },
    /// It cannot be read as asked.
    #[error("{table} cannot be read as asked: {source}")]
    Plan {
        /// The table.
        table: String,
        /// Why.
        source: PlanError,
    },
    /// The snapshot of the parts is over.
    #[error(
        "part {number} of {table} cannot be read any more: the snapshot of its parts is gone, because all were read, or none was for {seconds} s (limits.stream_idle_timeout), or its session in Postgres was ended; call GetFlightInfo again and read all parts of the new answer"
    )]
    SnapshotGone {
        /// The table.
        table: String,
        /// Which part.
        number: u32,
        /// How long one lasts that nobody reads.
        seconds: f64,
    },
    /// Its rows cannot be given in Arrow.
    #[error("reading {table} failed: {source}")]
    Decode {
        /// The table.
        table: String,
        /// Where and why.
        source: DecodeError,
    },
}

impl ReadError {
    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self {
            ReadError::NoTable { .. } | ReadError::SnapshotGone { .. } => Class::NotFound,
            ReadError::NotReadable { .. } | ReadError::Plan { .. } => Class::BadRequest,
            ReadError::Decode { source, .. } => source.class(),
        }
    }

    /// Machine-readable details.
    pub fn facts(&self) -> Facts {
        match self {
            ReadError::Decode {
                table,
                source: DecodeError::Field { column, row, .. },
            } => Facts {
                table: Some(table.clone()),
                column: Some(column.clone()),
                row: Some(*row),
                ..Facts::default()
            },
            ReadError::NoTable { table }
            | ReadError::NotReadable { table, .. }
            | ReadError::Plan { table, .. }
            | ReadError::SnapshotGone { table, .. }
            | ReadError::Decode { table, .. } => Facts {
                table: Some(table.clone()),
                column: match self {
                    ReadError::Plan { source, .. } => source.column().map(str::to_owned),
                    _ => None,
                },
                ..Facts::default()
            },
        }
    }
}
