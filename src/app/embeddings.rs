//! `pgflight embeddings ...`: runs one command over the ledger and shows what it did.

mod migrate;

use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::terminal::{fail, print};
use crate::cli::{EXIT_FAILURE, EXIT_USAGE, EmbeddingsAdopt, EmbeddingsBackfill, EmbeddingsCommand};
use crate::config::{Config, ProcessSource};
use crate::embed::provider::Provider;
use crate::embed::{Until, Workers};
use crate::ingest::ports::embed::{EmbedStore, StoreError, Sweep, TableStatus};
use crate::postgres::embed::PgEmbedStore;
use crate::telemetry;

/// Exit code of `work --drain` when rows still wait or were given up.
pub(super) const EXIT_NOT_DRAINED: u8 = 3;

/// Runs a command: 0 done, 1 failed, 2 wrong configuration, 3 `work --drain` could not embed everything.
pub(super) fn run(command: &EmbeddingsCommand, config: &Config) -> ExitCode {
    let store = match PgEmbedStore::new(config, &ProcessSource) {
        Ok(Some(store)) => Arc::new(store),
        Ok(None) => return fail(EXIT_USAGE, &"pgvector_config is not set, so no table is embedded"),
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    runtime.block_on(async {
        match command {
            EmbeddingsCommand::Status(status) => show(store.as_ref(), status.json).await,
            EmbeddingsCommand::Work(work) => self::work(config, store, work.drain).await,
            EmbeddingsCommand::Backfill(wanted) => backfill(config, &store, wanted).await,
            EmbeddingsCommand::Migrate(wanted) => migrate::run(config, &store, wanted).await,
            EmbeddingsCommand::Adopt(wanted) => adopt(config, &store, wanted).await,
            EmbeddingsCommand::Reconcile(table) => {
                sweep(config, store.as_ref(), table.table.as_deref(), Sweep::Reconcile).await
            }
            EmbeddingsCommand::RetryDead(retry) => {
                retry_dead(config, store.as_ref(), retry.table.as_deref(), retry.code.as_deref()).await
            }
            EmbeddingsCommand::Probe(_) => probe(config).await,
        }
    })
}

async fn show(store: &dyn EmbedStore, json: bool) -> ExitCode {
    let mut tables = Vec::new();
    for table in 0..store.tables() {
        match store.status(table).await {
            Ok(status) => tables.push(status),
            Err(error) => return fail(EXIT_FAILURE, &error),
        }
    }
    match serde_json::to_string_pretty(&tables) {
        Ok(text) if json => print(&(text + "\n")),
        _ => print(&tables.iter().map(paragraph).collect::<String>()),
    }
}

/// How a table stands, for people.
fn paragraph(status: &TableStatus) -> String {
    let mut text = format!("{} -> {}\n", status.source, status.target);
    for (what, rows) in [
        ("done", status.done),
        ("without text", status.empty),
        ("pending", status.pending),
        ("in work", status.leased),
        ("keys to look at", status.journal_keys),
        ("chunks", status.chunks),
    ] {
        text.push_str(&format!("  {what:<16} {rows}\n"));
    }
    for (code, rows) in &status.dead {
        text.push_str(&format!("  {:<16} {rows} ({code})\n", "given up"));
    }
    if status.rows_per_second > 0.0 {
        text.push_str(&format!("  {:<16} {:.1}\n", "rows per second", status.rows_per_second));
    }
    if let Some(seconds) = status.seconds_left() {
        text.push_str(&format!("  {:<16} {seconds:.0} s\n", "done in about"));
    }
    if let Some(age) = status.oldest_pending_seconds {
        text.push_str(&format!("  {:<16} {age:.0} s\n", "oldest waits"));
    }
    if let Some(service) = &status.service {
        let again = service.again_seconds.max(0.0);
        let next = match service.left_alone {
            true => format!("left alone for another {again:.0} s"),
            false => format!("asked again in {again:.0} s"),
        };
        text.push_str(&format!(
            "  {:<16} {} ({}, {:.0} s ago, the first time {:.0} s ago); {next}\n",
            "service", service.message, service.code, service.seen_seconds, service.since_seconds
        ));
    }
    if let Some(problem) = &status.problem {
        text.push_str(&format!("  {:<16} {problem}\n", "problem"));
    }
    text
}

async fn work(config: &Config, store: Arc<dyn EmbedStore>, drain: bool) -> ExitCode {
    if let Err(error) = telemetry::install_log(config, None) {
        return fail(EXIT_FAILURE, &error);
    }
    let workers = match Workers::new(config, Arc::clone(&store)) {
        Ok(workers) => workers,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        super::serve::signalled().await;
        told.cancel();
    });
    let until = if drain { Until::Drained } else { Until::Stopped };
    let summary = workers.run(until, stop).await;
    tracing::info!(done = summary.done, dead = summary.dead, "workers ended");
    if !drain {
        return ExitCode::SUCCESS;
    }
    match given_up(store.as_ref()).await {
        Ok(0) if summary.drained => ExitCode::SUCCESS,
        Ok(_) => fail(
            EXIT_NOT_DRAINED,
            &"not every row is embedded; `pgflight embeddings status` says why",
        ),
        Err(error) => fail(EXIT_NOT_DRAINED, &error),
    }
}

/// Rows that were given up, in this run or before: they have no vectors of their present text, whoever gave them up.
async fn given_up(store: &dyn EmbedStore) -> Result<i64, StoreError> {
    let mut rows = 0;
    for table in 0..store.tables() {
        rows += store.status(table).await?.dead.values().sum::<i64>();
    }
    Ok(rows)
}

/// The tables that a command is about, made ready.
async fn chosen(config: &Config, store: &dyn EmbedStore, name: Option<&str>) -> Result<Vec<usize>, String> {
    let mut ready = Vec::new();
    for index in named(config, name)? {
        match store.prepare(index).await {
            Ok(true) => ready.push(index),
            Ok(false) => return Err(format!("{} does not exist", config.embed_tables()[index].source)),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(ready)
}

async fn backfill(config: &Config, store: &PgEmbedStore, wanted: &EmbeddingsBackfill) -> ExitCode {
    let name = wanted.table.as_deref();
    if wanted.condition.is_none() && wanted.limit.is_none() && !wanted.dry_run {
        return sweep(config, store, name, Sweep::Backfill).await;
    }
    let condition = wanted.condition.as_deref().unwrap_or("true");
    let found: Result<(i64, i64), String> = async {
        let (mut rows, mut tokens) = (0, 0);
        for table in chosen(config, store, name).await? {
            let found = store
                .backfill_some(table, condition, wanted.limit, wanted.dry_run)
                .await;
            let (more_rows, more_tokens) = found.map_err(|error| error.to_string())?;
            rows += more_rows;
            tokens += more_tokens;
        }
        Ok((rows, tokens))
    }
    .await;
    match found {
        Ok((rows, tokens)) if wanted.dry_run => {
            print(&format!("{rows} row(s) would be embedded, about {tokens} tokens\n"))
        }
        Ok((rows, tokens)) => print(&format!("{rows} row(s) wait for workers, about {tokens} tokens\n")),
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

async fn adopt(config: &Config, store: &PgEmbedStore, wanted: &EmbeddingsAdopt) -> ExitCode {
    let adopted: Result<String, String> = async {
        let mut text = String::new();
        for table in named(config, wanted.table.as_deref())? {
            let adoption = store.adopt(table, wanted.trust, wanted.confirm).await;
            text.push_str(&match adoption.map_err(|error| error.to_string())? {
                None => format!("{} is followed already\n", config.embed_tables()[table].target),
                Some(adoption) => format!(
                    "{}: {} chunk(s) of {} row(s) of {}, {} chunk(s) without a row{}\n",
                    adoption.target,
                    adoption.chunks,
                    adoption.rows,
                    adoption.source,
                    adoption.orphans,
                    if wanted.confirm {
                        "; taken over"
                    } else {
                        ", which would be removed"
                    }
                ),
            });
        }
        text.push_str(match (wanted.confirm, wanted.trust) {
            (false, true) => "nothing was changed; --confirm takes over\n",
            (false, false) => {
                "nothing was changed; --confirm takes over and embeds every row again, --trust --confirm keeps vectors \
                 whose chunks are those of the present texts\n"
            }
            (true, _) => "workers do the rest, `pgflight embeddings status` shows how far they are\n",
        });
        Ok(text)
    }
    .await;
    match adopted {
        Ok(text) => print(&text),
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

/// Positions of the tables that a command is about.
fn named(config: &Config, name: Option<&str>) -> Result<Vec<usize>, String> {
    let tables = config.embed_tables().iter().enumerate();
    let tables = tables.filter(|(_, table)| name.is_none_or(|name| table.source.to_string() == name));
    let tables: Vec<usize> = tables.map(|(index, _)| index).collect();
    match (tables.is_empty(), name) {
        (true, Some(name)) => Err(format!("{name} is not in pgvector_config.tables")),
        _ => Ok(tables),
    }
}

async fn sweep(config: &Config, store: &dyn EmbedStore, name: Option<&str>, sweep: Sweep) -> ExitCode {
    let noted: Result<usize, String> = async {
        let tables = chosen(config, store, name).await?;
        for table in &tables {
            store.sweep(*table, sweep).await.map_err(words)?;
        }
        Ok(tables.len())
    }
    .await;
    match noted {
        Ok(tables) => print(&format!(
            "noted for {tables} table(s); workers do it, `pgflight embeddings status` shows how far they are\n"
        )),
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

async fn retry_dead(config: &Config, store: &dyn EmbedStore, name: Option<&str>, code: Option<&str>) -> ExitCode {
    let revived: Result<u64, String> = async {
        let mut rows = 0;
        for table in chosen(config, store, name).await? {
            rows += store.retry_dead(table, code).await.map_err(words)?;
        }
        Ok(rows)
    }
    .await;
    match revived {
        Ok(rows) => print(&format!("{rows} row(s) are tried again\n")),
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

async fn probe(config: &Config) -> ExitCode {
    let provider = match Provider::new(config) {
        Ok(provider) => provider,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    match provider.probe().await {
        Ok(answer) => {
            let dimensions = answer.vectors.first().map_or(0, |vector| vector.as_slice().len());
            print(&format!(
                "the service answers with {dimensions} dimensions, as configured\n"
            ))
        }
        Err(failed) => fail(EXIT_FAILURE, &failed),
    }
}

fn words(error: StoreError) -> String {
    error.message
}
