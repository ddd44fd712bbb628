//! Opens loads: makes the table fit, decides how rows reach it, plans the encoder. No row is written here.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::lane::Lane;
use super::merge::{Merge, copy_into};
use super::{PgLoad, Plan};
use crate::config::{Config, Source};
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::{
    ConnectionFailure, Destination, ListRequest, Load, ReadRequest, TableDescription, TableReader,
};
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::model::caller::Caller;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::{Ident, TableName};
use crate::model::migration::MigrationReport;
use crate::model::options::{CommitMode, WriteMode};
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;
use crate::model::type_map::default_type;
use crate::model::wanted::{WantedOptions, wanted_table};
use crate::postgres::connect::{ConnectPlan, Connector};
use crate::postgres::copy::{CopyPlan, EncodeOptions, PlanError};
use crate::postgres::error::Error;
use crate::postgres::migrate::apply::{self, MigrateRequest};
use crate::postgres::migrate::policy::Policy;
use crate::postgres::migrate::{LockWaits, VerifiedTable};
use crate::postgres::pool::{Connection, Connections, PoolSettings};
use crate::postgres::read;

/// One Postgres database as a destination of loads.
#[derive(Debug)]
pub struct PgDestination {
    pub(super) connections: Connections,
    pub(super) default_schema: Option<Ident>,
    pub(super) retry_on_deadlock: u32,
    pub(super) performance_indexes: bool,
    session: SessionLimits,
}

/// Limits that every session has; a load with others sets them for its transactions.
#[derive(Clone, Copy, Debug)]
struct SessionLimits {
    lock_timeout: Duration,
    statement_timeout: Duration,
}

impl PgDestination {
    /// A destination for the configured database; nothing is connected yet.
    ///
    /// # Errors
    /// Connection settings that are unusable.
    pub fn new(config: &Config, source: &dyn Source) -> Result<Self, Error> {
        let raw = config.raw();
        let text = raw.connection_string.as_ref().map_or("", |text| text.expose());
        let plan = ConnectPlan::new(text, raw.pool.connect_timeout.get(), source)?;
        let settings = PoolSettings {
            max_size: plan.pool.max_size.unwrap_or(raw.pool.max_size) as usize,
            wait: raw.pool.acquire_timeout.get(),
            max_lifetime: plan.pool.max_lifetime.unwrap_or(raw.pool.max_lifetime.get()),
            idle_timeout: plan.pool.idle_timeout.unwrap_or(raw.pool.idle_timeout.get()),
        };
        let connector = Connector::new(plan);
        let session = SessionLimits {
            lock_timeout: raw.lock_timeout.get(),
            statement_timeout: raw.statement_timeout.get(),
        };
        Ok(Self {
            connections: Connections::new(connector, session_setup(&session), settings)?,
            default_schema: config.schema().cloned(),
            retry_on_deadlock: raw.retry_on_deadlock,
            performance_indexes: raw.create_performance_indexes,
            session,
        })
    }

    async fn open_load(&self, request: LoadRequest) -> Result<PgLoad, Error> {
        let options = &request.options;
        let profile = options.type_profile;
        let wanted = WantedOptions {
            profile,
            primary_key: options.primary_key.clone(),
        };
        let wanted = wanted_table(&request.schema, &wanted, &|field| default_type(field, profile))?;
        let encode = EncodeOptions {
            nul_bytes: options.nul_bytes,
            type_profile: profile,
        };
        let accepts = |column: usize, ty: &PgType| {
            let field = request.schema.fields().get(column).ok_or("no such column")?;
            can_encode(field, ty, &encode)
        };
        let policy = self.policy(options);
        let migrate = MigrateRequest {
            name: &request.table,
            default_schema: self.default_schema.as_ref(),
            wanted: &wanted,
            policy: &policy,
            accepts: Some(&accepts),
            waits: lock_waits(options),
        };
        let settings = self.settings(options);
        let Opened {
            connection,
            table,
            report,
            in_transaction,
        } = self.open_table(&migrate, options.commit, &settings).await?;
        let copy = CopyPlan::new(&request.schema, table.columns(), &encode).map_err(|source| Error::Plan {
            table: table.name().to_string(),
            source,
        })?;
        let plan = Arc::new(plan(&table, copy, options, settings, self.retry_on_deadlock)?);
        let lanes = match options.commit {
            CommitMode::Atomic => 1,
            CommitMode::Batch => usize::from(options.lanes.get()),
        };
        let lane = match in_transaction {
            true => Lane::in_transaction(connection, Arc::clone(&plan)),
            false => Lane::new(connection, Arc::clone(&plan)),
        };
        Ok(PgLoad {
            idle: Mutex::new(vec![lane]),
            plan,
            connections: self.connections.clone(),
            lanes,
            affected: AtomicU64::new(0),
            migration: report.steps.into_iter().map(|step| step.sql).collect(),
        })
    }

    /// Makes the table fit. A table that an atomic load creates is created in the load's own transaction, so that an
    /// aborted load leaves nothing.
    async fn open_table(
        &self,
        migrate: &MigrateRequest<'_>,
        commit: CommitMode,
        settings: &str,
    ) -> Result<Opened, Error> {
        let mut connection = self.connections.get().await?;
        let there = match commit {
            CommitMode::Batch => Some(apply::ensure(connection.client_mut(), migrate).await?),
            CommitMode::Atomic => apply::prepare(connection.client_mut(), migrate).await?,
        };
        if let Some((table, report)) = there {
            return Ok(Opened {
                connection,
                table,
                report,
                in_transaction: false,
            });
        }
        connection.mark_dirty();
        let begun = connection.client().batch_execute(&format!("begin; {settings}")).await;
        begun.map_err(|error| Error::statement("opening a transaction", error))?;
        let (table, report) = apply::ensure_in(connection.client(), migrate).await?;
        Ok(Opened {
            connection,
            table,
            report,
            in_transaction: true,
        })
    }

    fn policy(&self, options: &LoadOptions) -> Policy {
        Policy {
            mode: options.migrate_mode,
            profile: options.type_profile,
            needs_key: options.write_mode != WriteMode::Append,
            performance_indexes: self.performance_indexes,
            ..Policy::default()
        }
    }

    /// `set local` for limits that differ from the session's.
    fn settings(&self, options: &LoadOptions) -> String {
        let limits = [
            ("lock_timeout", options.lock_timeout, self.session.lock_timeout),
            (
                "statement_timeout",
                options.statement_timeout,
                self.session.statement_timeout,
            ),
        ];
        let changed = limits.into_iter().filter_map(|(name, wanted, session)| {
            let wanted = wanted.filter(|wanted| *wanted != session)?;
            Some(format!("set local {name} = {}; ", wanted.as_millis()))
        });
        changed.collect()
    }
}

/// A table that is ready, and the connection on which it is.
struct Opened {
    connection: Connection,
    table: VerifiedTable,
    report: MigrationReport,
    in_transaction: bool,
}

/// A single wait for a lock is the option's; several of them make the ladder.
fn lock_waits(options: &LoadOptions) -> LockWaits {
    let default = LockWaits::default();
    LockWaits {
        hold: options
            .lock_timeout
            .map_or(default.hold, |limit| limit.min(default.hold)),
        ..default
    }
}

/// Whether the encoder has an exact way from this field to a column of this type.
fn can_encode(field: &Field, ty: &PgType, options: &EncodeOptions) -> Result<(), String> {
    let name = Ident::new("x").map_err(|error| error.to_string())?;
    let column = TargetColumn {
        name,
        ty: ty.clone(),
        nullable: true,
    };
    let planned = CopyPlan::new(&Schema::new(vec![field.clone()]), &[column], options);
    match planned {
        Ok(_) => Ok(()),
        Err(PlanError::Pairs(pairs)) => {
            let why = pairs
                .into_iter()
                .map(|pair| format!("{} cannot be stored exactly in {}{}", pair.arrow, pair.pg, pair.why));
            Err(why.collect::<Vec<_>>().join("; "))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// Decides how rows reach the table.
fn plan(
    table: &VerifiedTable,
    copy: CopyPlan,
    options: &LoadOptions,
    settings: String,
    retries: u32,
) -> Result<Plan, Error> {
    let merge = match options.write_mode {
        WriteMode::Append => None,
        WriteMode::Overwrite | WriteMode::OverwriteDeleteStale | WriteMode::Replace => Some(merge(table, options)?),
    };
    let (copy, copy_sql) = match &merge {
        None => (copy, copy_into(table.name(), table.columns())),
        Some(merge) => (copy.with_ordinal(), merge.copy_into_stage()),
    };
    Ok(Plan {
        table: table.name().clone(),
        copy,
        copy_sql,
        merge,
        settings,
        commit: options.commit,
        retries,
    })
}

fn merge(table: &VerifiedTable, options: &LoadOptions) -> Result<Merge, Error> {
    let key = match &options.primary_key {
        Some(names) => names.iter().filter_map(|name| Ident::new(name.as_str()).ok()).collect(),
        None => table.primary_key(),
    };
    if key.is_empty() || !table.has_conflict_key(&key) {
        return Err(Error::NoKey(format!(
            "overwrite needs a key, and {} has no primary key or unique index to match rows by; name its columns with the option primary_key, or use write_mode append",
            table.name()
        )));
    }
    Ok(Merge {
        table: table.name().clone(),
        columns: table.columns().to_vec(),
        key,
        skip_unchanged: options.skip_unchanged,
        overriding: table.needs_overriding(),
        stage: stage_name(table),
    })
}

/// One staging table per target and list of columns, so that loads of one session never meet in it.
fn stage_name(table: &VerifiedTable) -> Ident {
    let mut hash = Sha256::new();
    hash.update(table.name().quoted());
    for column in table.columns() {
        hash.update(column.name.quoted());
        hash.update(column.ty.to_string());
    }
    let digits: String = hash
        .finalize()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = format!("pgflight_stage_{digits}");
    Ident::new(name).unwrap_or_else(|_| unreachable!("39 ASCII characters are a name"))
}

/// What every session of the pool starts with. Text forms and time zones must not depend on the server's settings.
fn session_setup(session: &SessionLimits) -> String {
    format!(
        "set timezone = 'UTC'; set client_encoding = 'UTF8'; set standard_conforming_strings = on; \
         set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set extra_float_digits = 1; \
         set lock_timeout = {}; set statement_timeout = {}",
        session.lock_timeout.as_millis(),
        session.statement_timeout.as_millis()
    )
}

#[async_trait]
impl Destination for PgDestination {
    async fn open(&self, _: &Caller, request: LoadRequest) -> Result<Arc<dyn Load>, IngestError> {
        Ok(Arc::new(self.open_load(request).await?))
    }

    async fn ready(&self) -> Result<(), IngestError> {
        let connection = self.connections.get().await?;
        let row = connection
            .client()
            .query_one("select pg_catalog.pg_is_in_recovery()", &[])
            .await;
        let row = row.map_err(|error| Error::statement("asking whether Postgres takes writes", error))?;
        match row.get::<_, bool>(0) {
            false => Ok(()),
            true => Err(Error::Standby.into()),
        }
    }

    async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        self.probe().await
    }

    async fn migrate(&self, _: &Caller, command: MigrateCommand) -> Result<MigrationReport, IngestError> {
        Ok(self.migrate_table(&command).await?)
    }

    async fn delete_stale(&self, _: &Caller, command: DeleteStale) -> Result<u64, IngestError> {
        Ok(self.delete_stale_rows(&command).await?)
    }

    async fn delete_records(&self, _: &Caller, command: DeleteRecords) -> Result<u64, IngestError> {
        Ok(self.delete_record_rows(&command).await?)
    }

    fn connections(&self) -> usize {
        self.connections.max_size()
    }

    async fn read(&self, _: &Caller, request: ReadRequest) -> Result<TableReader, IngestError> {
        Ok(read::read(&self.connections, self.default_schema.as_ref(), &request).await?)
    }

    async fn describe(&self, _: &Caller, request: ReadRequest) -> Result<TableDescription, IngestError> {
        Ok(read::describe(&self.connections, self.default_schema.as_ref(), &request).await?)
    }

    async fn list(&self, _: &Caller, request: ListRequest) -> Result<Vec<TableName>, IngestError> {
        Ok(read::list(&self.connections, &request).await?)
    }
}
