//! The client half of `pgflight demo`: generated TPC-H tables, loaded through the Flight door like anybody's data.
//!
//! Knows nothing of where the server or its Postgres come from; whoever composes the demo passes a connection.

mod report;
mod tpch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::Connection;
use super::progress::{Display, Expected, Progress, Shown};
use super::put::{self, PutError, PutRequest};

pub use report::{connect_text, table_text};
pub use tpch::Table;

/// One loaded table.
#[derive(Clone, Debug)]
pub struct TableLoaded {
    /// Table name.
    pub name: &'static str,
    /// Rows that the server stored.
    pub rows: u64,
    /// Arrow bytes sent.
    pub bytes: u64,
    /// Time from the first batch to the server's result.
    pub elapsed: Duration,
}

/// Generates and loads every table of the demo at `scale_factor` (1 = about 6 million rows of `lineitem`), one after
/// the other, each in one transaction, into tables that do not exist yet. Dropping the future cancels the load.
pub async fn load_tables(
    connection: &Connection,
    scale_factor: f64,
    display: Display,
) -> Result<Vec<TableLoaded>, PutError> {
    // The generator's first rows cost the making of its text pool, which is no part of loading. A pool that could not be
    // made here is made again, and reported, by the first table.
    tokio::task::spawn_blocking(tpch::prepare).await.ok();
    let mut loaded = Vec::new();
    for table in Table::ALL {
        loaded.push(load_table(connection, table, scale_factor, display).await?);
    }
    Ok(loaded)
}

async fn load_table(
    connection: &Connection,
    table: Table,
    scale_factor: f64,
    display: Display,
) -> Result<TableLoaded, PutError> {
    let progress = Arc::new(Progress::default());
    let expected = Expected {
        rows: table.row_count(scale_factor),
        input_bytes: None,
    };
    let shown = Shown::start(table.name().to_owned(), Arc::clone(&progress), expected, display);
    let request = PutRequest {
        table: table.name().to_owned(),
        write_mode: Some("append".to_owned()),
        commit: Some("atomic".to_owned()),
        primary_key: table.primary_key(),
        ..PutRequest::default()
    };
    let started = Instant::now();
    let outcome = put::put(connection, &request, table.source(scale_factor), &progress).await;
    let elapsed = started.elapsed();
    shown.finish();
    let outcome = outcome?;
    Ok(TableLoaded {
        name: table.name(),
        rows: outcome.rows,
        bytes: outcome.bytes,
        elapsed,
    })
}
