//! `pgflight embeddings migrate`: says what another model costs; builds the new table beside the old one and swaps them.
//!
//! Everything can be interrupted and started again: rows that have their new vectors keep them.

use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::terminal::{fail, print};
use super::{EXIT_NOT_DRAINED, named};
use crate::cli::{EXIT_FAILURE, EmbeddingsMigrate};
use crate::config::{Config, ProcessSource};
use crate::embed::{Until, Workers};
use crate::ingest::ports::embed::{EmbedStore, Sweep};
use crate::model::embed::EmbedTable;
use crate::postgres::embed::{Migration, PgEmbedStore};
use crate::telemetry;

/// Why a migration did not come to its end.
enum Stopped {
    Failed(String),
    /// Rows wait or were given up.
    NotDrained(String),
}

/// Runs the command: 0 done or nothing to do, 1 failed, 3 not every row could be embedded.
pub(super) async fn run(config: &Config, store: &PgEmbedStore, wanted: &EmbeddingsMigrate) -> ExitCode {
    if let Err(error) = telemetry::install_log(config, None) {
        return fail(EXIT_FAILURE, &error);
    }
    let migrated: Result<String, Stopped> = async {
        let mut text = String::new();
        for table in named(config, wanted.table.as_deref()).map_err(Stopped::Failed)? {
            match store.migration(table).await.map_err(failed)? {
                None => {
                    let target = &config.embed_tables()[table].target;
                    text.push_str(&format!("{target} needs no migration\n"));
                }
                Some(plan) => {
                    text.push_str(&paragraph(&plan));
                    if wanted.confirm {
                        let configured = &config.embed_tables()[table];
                        text.push_str(&migrate(config, store, configured, &plan, wanted.incomplete).await?);
                    } else {
                        text.push_str("  nothing was changed; --confirm does it\n");
                    }
                }
            }
        }
        Ok(text)
    }
    .await;
    match migrated {
        Ok(text) => print(&text),
        Err(Stopped::Failed(why)) => fail(EXIT_FAILURE, &why),
        Err(Stopped::NotDrained(why)) => fail(EXIT_NOT_DRAINED, &why),
    }
}

fn failed(error: impl std::fmt::Display) -> Stopped {
    Stopped::Failed(error.to_string())
}

/// What a migration does and costs.
fn paragraph(plan: &Migration) -> String {
    let mut text = format!(
        "{} -> {}\n  vectors of       {}\n  are to be of     {}\n  rows             {}\n  tokens           about {}\n  built in         {}\n",
        plan.source, plan.target, plan.old, plan.new, plan.rows, plan.tokens, plan.building.target
    );
    for view in &plan.views {
        text.push_str(&format!(
            "  view             {view} goes on reading the old table; create it again afterwards\n"
        ));
    }
    text
}

async fn migrate(
    config: &Config,
    store: &PgEmbedStore,
    configured: &EmbedTable,
    plan: &Migration,
    incomplete: bool,
) -> Result<String, Stopped> {
    store.begin_migration(plan).await.map_err(failed)?;
    tracing::info!(table = %plan.building.target, rows = plan.rows, "building the new vectors");
    drain(config, &plan.building, true, incomplete).await?;
    let aside = store.finish_migration(plan).await.map_err(failed)?;
    // What changed while the tables were swapped.
    drain(config, configured, false, incomplete).await?;
    Ok(format!(
        "  done; the old vectors are in {aside}: start all servers with the new configuration, then drop table {aside}\n"
    ))
}

/// Embeds everything of one table that waits, in this process; `all` looks at every row, and tries those again that were given up.
async fn drain(config: &Config, table: &EmbedTable, all: bool, incomplete: bool) -> Result<(), Stopped> {
    let config = config.with_embed_tables(vec![table.clone()]);
    let store = PgEmbedStore::new(&config, &ProcessSource).map_err(failed)?;
    let store = Arc::new(store.ok_or_else(|| Stopped::Failed("no table is embedded".to_owned()))?);
    if !store.prepare(0).await.map_err(failed)? {
        return Err(Stopped::Failed(format!("{} does not exist", table.source)));
    }
    if all {
        store.sweep(0, Sweep::Backfill).await.map_err(failed)?;
        store.retry_dead(0, None).await.map_err(failed)?;
    }
    let stop = CancellationToken::new();
    let told = stop.clone();
    let signals = tokio::spawn(async move {
        super::super::serve::signalled().await;
        told.cancel();
    });
    let workers = Workers::new(&config, Arc::<PgEmbedStore>::clone(&store)).map_err(failed)?;
    let summary = workers.run(Until::Drained, stop).await;
    signals.abort();
    let status = store.status(0).await.map_err(failed)?;
    let dead: i64 = status.dead.values().sum();
    if !summary.drained || (dead > 0 && !incomplete) {
        let waiting = status.pending + status.leased + status.journal_keys;
        return Err(Stopped::NotDrained(format!(
            "{}: {waiting} row(s) still wait and {dead} were given up ({:?}); run the command again to go on, or with --incomplete \
             to leave out what was given up",
            table.target, status.dead
        )));
    }
    Ok(())
}
