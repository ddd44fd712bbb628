//! `pgflight demo`: a private PostgreSQL, a server, TPC-H rows through the real Flight door, and a look at what landed.
//!
//! Only composes: the cluster is `embedded`'s, the server is `serve`'s, rows and loading are the client's. Everything
//! that is started is stopped before this returns, also when it is interrupted.

mod vectors;

use serde_json::json;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::embedded::{Address, EmbeddedError, EmbeddedPostgres};
use super::interrupt;
use super::serve::{self, Running, ServeError};
use crate::client::connect::{ConnectError, Connection, Endpoint, Server};
use crate::client::demo::{TableLoaded, connect_text, load_tables, table_text};
use crate::client::progress::Display;
use crate::client::put::PutError;
use crate::config::{Config, ConfigError};

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct DemoArgs {
    /// TPC-H scale factor: 1 is about 6 million rows of `lineitem`.
    pub scale_factor: f64,
    /// Keep everything running until Ctrl-C, to look around with psql.
    pub keep: bool,
    /// How progress is shown.
    pub display: Display,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No PostgreSQL.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The demo's own configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The server could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A table could not be loaded.
    #[error("loading the demo's tables failed: {0}")]
    Load(#[from] PutError),
    /// The look at the tables failed.
    #[error("cannot query the loaded tables: {0}")]
    Query(#[from] tokio_postgres::Error),
    /// Postgres counts other than the loader.
    #[error("{table} has {found} rows in PostgreSQL, but {loaded} were loaded")]
    Count {
        /// Table.
        table: &'static str,
        /// Rows that the server reported.
        loaded: u64,
        /// `count(*)`.
        found: String,
    },
    /// The scale factor makes no sense.
    #[error("the scale factor must be a number above 0 and up to 1000, found {0}")]
    ScaleFactor(f64),
    /// Signals cannot be caught.
    #[error("cannot listen to signals")]
    Signals(#[source] std::io::Error),
    /// The user stopped it.
    #[error("interrupted; everything that was started has been stopped")]
    Interrupted,
}

impl DemoError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::ScaleFactor(_) => 2,
            _ => 1,
        }
    }
}

/// The summary of TPC-H query 1, with the columns that a narrow terminal takes.
const SUMMARY: &str = "\
select l_returnflag as flag, l_linestatus as status, count(*) as lines, sum(l_quantity) as quantity,
       round(sum(l_extendedprice * (1 - l_discount)), 2) as revenue, round(avg(l_discount), 4) as avg_discount
from lineitem
where l_shipdate <= date '1998-09-02'
group by l_returnflag, l_linestatus
order by l_returnflag, l_linestatus";

/// Runs the demo and stops everything it started.
pub async fn run(args: DemoArgs) -> Result<(), DemoError> {
    if !(args.scale_factor > 0.0 && args.scale_factor <= 1000.0) {
        return Err(DemoError::ScaleFactor(args.scale_factor));
    }
    let interrupted = interrupt::on_signal().map_err(DemoError::Signals)?;
    eprintln!("starting a private PostgreSQL (the first time on a machine it is downloaded) ...");
    let mut postgres = EmbeddedPostgres::spawn()?;
    let outcome = beside_postgres(args, &mut postgres, &interrupted).await;
    postgres.stop().await;
    outcome
}

async fn beside_postgres(
    args: DemoArgs,
    postgres: &mut EmbeddedPostgres,
    interrupted: &CancellationToken,
) -> Result<(), DemoError> {
    let address = unless(interrupted, postgres.address()).await??;
    let config = Config::from_json(&json!({
        "connection_string": address.uri,
        "listen": "127.0.0.1:0",
        "admin_listen": "off",
        "pgvector_config": vectors::settings(),
    }))?;
    let server = serve::start(config, std::sync::Arc::new(String::new)).await?;
    let outcome = match unless(interrupted, show(args, &address, &server)).await {
        Ok(Ok(())) if args.keep => {
            println!("Press Ctrl-C to stop and delete everything.");
            interrupted.cancelled().await;
            Ok(())
        }
        Ok(outcome) => outcome,
        Err(interrupted) => Err(interrupted),
    };
    // Nothing is worth waiting for: either all is loaded, or the cluster is about to be deleted.
    let stopped = server.shutdown(std::future::ready(())).await;
    outcome.and(stopped.map_err(DemoError::from))
}

/// The future's result, or [`DemoError::Interrupted`] as soon as a signal came.
async fn unless<T>(interrupted: &CancellationToken, work: impl Future<Output = T>) -> Result<T, DemoError> {
    tokio::select! {
        biased;
        () = interrupted.cancelled() => Err(DemoError::Interrupted),
        result = work => Ok(result),
    }
}

async fn show(args: DemoArgs, address: &Address, server: &Running) -> Result<(), DemoError> {
    let port = server.grpc().map(|bound| bound.port()).unwrap_or_default();
    let uri = format!("grpc://127.0.0.1:{port}");
    eprintln!("PostgreSQL {} is up, pgflight serves at {uri}", address.version);
    let connection = Connection::open(Endpoint::Server(Server::at(uri))).await?;
    let loaded = load_tables(&connection, args.scale_factor, args.display).await?;
    println!(
        "TPC-H, scale factor {}, loaded over Arrow Flight:\n\n{}",
        args.scale_factor,
        table_text(&loaded)
    );
    let (client, session) = tokio_postgres::connect(&address.uri, NoTls).await?;
    let session = tokio::spawn(session);
    compare_counts(&client, &loaded).await?;
    println!("What PostgreSQL says:\n\n{}", query_text(&client, SUMMARY).await?);
    println!(
        "{}\n\n{}",
        vectors::watch(&client).await?,
        aligned(&vectors::nearest(&client).await?)
    );
    drop(client);
    // The session ends with its client; how it ends is of no interest any more.
    session.await.ok();
    if !args.keep {
        println!("Run it with --keep (make demo KEEP=1) and it stays until Ctrl-C; the port is another one each time.");
    }
    println!("{}", connect_text(&address.bin_dir, &address.uri));
    Ok(())
}

/// `count(*)` of every table must be what the loader reported.
async fn compare_counts(client: &Client, loaded: &[TableLoaded]) -> Result<(), DemoError> {
    for table in loaded {
        let rows = answer(client, &format!("select count(*) from {}", table.name)).await?;
        let found = rows.get(1).and_then(|row| row.first()).cloned().unwrap_or_default();
        if found != table.rows.to_string() {
            return Err(DemoError::Count {
                table: table.name,
                loaded: table.rows,
                found,
            });
        }
    }
    Ok(())
}

/// Column names and rows, all as text.
async fn answer(client: &Client, statement: &str) -> Result<Vec<Vec<String>>, DemoError> {
    let mut lines = Vec::new();
    for message in client.simple_query(statement).await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                lines.push(columns.iter().map(|column| column.name().to_owned()).collect());
            }
            SimpleQueryMessage::Row(row) => {
                lines.push(
                    (0..row.len())
                        .map(|index| row.get(index).unwrap_or("").to_owned())
                        .collect(),
                );
            }
            _ => {}
        }
    }
    Ok(lines)
}

async fn query_text(client: &Client, statement: &str) -> Result<String, DemoError> {
    Ok(aligned(&answer(client, statement).await?))
}

/// Right-aligned columns, two spaces apart.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_printed_in_aligned_columns() {
        let lines = [["a", "long"], ["123", "x"]].map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(aligned(&lines), "    a  long\n  123     x\n");
        assert_eq!(aligned(&[]), "");
    }
}
