//! Migrations of one Write call, carried out together: when one table's change is refused, no table is changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::context::WriteContext;
use crate::ingest::error::{DestinationError, Error, Facts};
use crate::model::class::Class;
use crate::model::command::MigrateCommand;
use crate::model::options::{MigrateMode, TypeProfile};
use crate::server::cloudquery::table::CqTable;

/// A sync sends the migrations of all its tables first; they are carried out when something else comes, or nothing.
const PATIENCE: Duration = Duration::from_millis(250);
/// Migrations that are held back at most.
const MOST: usize = 1000;

/// A table to migrate.
#[derive(Clone, Debug)]
pub(super) struct Migration {
    pub(super) table: Arc<CqTable>,
    force: bool,
}

/// Migrations that wait for each other.
#[derive(Debug, Default)]
pub(super) struct Migrations {
    waiting: Vec<Migration>,
    due: Option<Instant>,
}

impl Migrations {
    /// Holds back a migration; true when they should be carried out now. Of two for one table the first one's schema and
    /// the last one's force count, as in the Go plugin.
    pub(super) fn add(&mut self, table: Arc<CqTable>, force: bool, now: Instant) -> bool {
        match self.waiting.iter_mut().find(|waiting| waiting.table.name == table.name) {
            Some(known) => known.force = force,
            None => self.waiting.push(Migration { table, force }),
        }
        self.due.get_or_insert(now + PATIENCE);
        self.waiting.len() >= MOST
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn take(&mut self) -> Vec<Migration> {
        self.due = None;
        std::mem::take(&mut self.waiting)
    }
}

/// Carries out migrations, `lanes` at once, after all of them were found to be allowed.
///
/// # Errors
/// All refusals in one text, nothing changed then; or the first other failure.
pub(super) async fn run(context: &WriteContext, batch: Vec<Migration>, lanes: usize) -> Result<(), Error> {
    let needed: Vec<MigrateCommand> = match batch.len() {
        1 => batch.iter().map(|one| command(context, one, false)).collect(),
        _ => allowed(context, &batch, lanes).await?,
    };
    stream::iter(needed)
        .map(|command| async move {
            let report = context.destination.migrate(&context.caller, command).await?;
            for step in &report.steps {
                tracing::info!(table = report.table, sql = step.sql, reason = step.reason, "migrated");
            }
            Ok(())
        })
        .buffer_unordered(lanes)
        .try_collect()
        .await
}

/// The migrations that have something to do, when none is refused.
async fn allowed(context: &WriteContext, batch: &[Migration], lanes: usize) -> Result<Vec<MigrateCommand>, Error> {
    let dry_runs: Vec<MigrateCommand> = batch.iter().map(|one| command(context, one, true)).collect();
    let plans: Vec<_> = stream::iter(dry_runs)
        .map(|command| async move { context.destination.migrate(&context.caller, command).await })
        .buffered(lanes)
        .collect()
        .await;
    let mut needed = Vec::new();
    let mut refused = Vec::new();
    for (one, plan) in batch.iter().zip(plans) {
        match plan {
            Ok(report) if report.steps.is_empty() => {}
            Ok(_) => needed.push(command(context, one, false)),
            Err(error) if error.class() == Class::Refused => refused.push(error),
            Err(error) => return Err(error),
        }
    }
    match refused.len() {
        0 => Ok(needed),
        1 => Err(refused.remove(0)),
        count => {
            let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
            Err(Error::Destination(DestinationError {
                class: Class::Refused,
                message: format!(
                    "{count} tables cannot be migrated, and none was changed: {}",
                    texts.join("; ")
                ),
                facts: Facts::default(),
                source: None,
            }))
        }
    }
}

fn command(context: &WriteContext, one: &Migration, dry_run: bool) -> MigrateCommand {
    MigrateCommand {
        table: one.table.name.clone(),
        schema: Arc::clone(&one.table.schema),
        mode: if one.force {
            MigrateMode::Forced
        } else {
            MigrateMode::Safe
        },
        rules: context
            .client
            .settings
            .config
            .stream_options(&one.table.name)
            .migrate_rules(),
        for_load: None,
        lock_timeout: None,
        profile: TypeProfile::Cloudquery,
        primary_key: None,
        performance_indexes: context.client.settings.config.raw().create_performance_indexes,
        dry_run,
    }
}
