//! The database as a destination: makes a table fit, decides how rows reach it, plans the encoder. Knows no kind of load (`open`
//! makes them), and no row is written here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commits::Commits;
use super::known::{KnownPlans, may_be_known, stamped};
use super::lost::end_lost;
use super::mark::begin;
use super::matching::{is_empty, matches_by_key};
use super::opened::{Begun, Opened, sql_of};
use super::patience::Patience;
use super::plan::{LockLimits, Plan, Target, lock_waits, plan};
use super::presence;
use super::reject::RejectPlan;
use super::retain::RetainBudget;
use super::retry::{Policy, Tries};
use super::room::Room;
use super::stamp::Stamp;
use super::stream;
use super::waiting::GroupLimits;
use super::wish::Wish;
use crate::codec::encode::CopyPlan;
use crate::config::{Config, QueryAccess, Source};
use crate::ingest::ports::{StreamName, StreamState};
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::model::ident::{Ident, TableName};
use crate::model::options::CommitMode;
use crate::planner::VerifiedTable;
use crate::planner::diff::Accepts;
use crate::planner::policy::Policy as MigratePolicy;
use crate::postgres::connect::{ConnectPlan, Connector, RowRoom};
use crate::postgres::embed::PgEmbedStore;
use crate::postgres::embed::note::NotePlan;
use crate::postgres::error::Error;
use crate::postgres::migrate::{self, MigrateRequest};
use crate::postgres::pool::{Begin, Connection, Connections, PoolSettings, Session};
use crate::postgres::read::{Schemas, Snapshots};
use crate::postgres::reserved::{self, Use};
use crate::postgres::scope::Tenure;
use crate::postgres::session::{SessionLimits, SessionSettings};
use crate::postgres::writable::check_found;

/// The part of `limits.max_inflight_bytes` that keeps chunks of open transactions, as its divisor; doors get the rest.
pub const RETAINED_SHARE: u64 = 4;

/// One Postgres database as a destination of loads.
#[derive(Clone, Debug)]
pub struct PgDestination {
    pub(super) connections: Connections,
    pub(super) default_schema: Option<Ident>,
    pub(super) state_schema: Ident,
    pub(super) retry_on_deadlock: u32,
    pub(super) retry_timeout: Duration,
    pub(super) performance_indexes: bool,
    pub(super) commits: Commits,
    pub(super) session: SessionLimits,
    pub(super) retain: RetainBudget,
    pub(super) room: Room,
    pub(super) embed: Option<Arc<PgEmbedStore>>,
    pub(super) query_access: QueryAccess,
    pub(super) snapshots: Snapshots,
    pub(super) known: KnownPlans,
    pub(super) group: GroupLimits,
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
            away: raw.pool.acquire_timeout.get().min(raw.retry_timeout.get()),
            max_lifetime: plan.pool.max_lifetime.unwrap_or(raw.pool.max_lifetime.get()),
            idle_timeout: plan.pool.idle_timeout.unwrap_or(raw.pool.idle_timeout.get()),
            pooler: raw.pool.pooler,
        };
        let session = SessionLimits::of(config);
        let connector = Connector::new(plan).with_rows(RowRoom::new(
            raw.limits.max_row_bytes,
            raw.limits.stream_idle_timeout.get(),
        ));
        Ok(Self {
            connections: Connections::new(connector, SessionSettings::new(&session), settings)?,
            default_schema: config.schema().cloned(),
            state_schema: config.state_schema().clone(),
            retry_on_deadlock: raw.retry_on_deadlock,
            retry_timeout: raw.retry_timeout.get(),
            performance_indexes: raw.create_performance_indexes,
            commits: Commits::new(config.state_schema()),
            session,
            room: Room::default(),
            retain: RetainBudget::new(raw.limits.max_inflight_bytes / RETAINED_SHARE),
            embed: PgEmbedStore::new(config, source)?.map(Arc::new),
            query_access: config.query_access(),
            snapshots: Snapshots::new(settings.max_size, raw.limits.stream_idle_timeout.get()),
            known: KnownPlans::default(),
            group: GroupLimits {
                max_wait: raw.group_commit.max_wait.get(),
                max_rows: u64::from(raw.group_commit.max_rows),
            },
        })
    }

    /// The embedded tables, where there are some.
    pub fn embed_store(&self) -> Option<Arc<PgEmbedStore>> {
        self.embed.clone()
    }

    /// Where tables are looked for that are read.
    pub(super) fn schemas(&self) -> Schemas<'_> {
        Schemas {
            default: self.default_schema.as_ref(),
            state: &self.state_schema,
        }
    }

    /// Refuses changes of tables that are not the clients'.
    pub(super) fn check_schema(&self, table: &TableName) -> Result<(), Error> {
        let schema = table.schema.as_ref().or(self.default_schema.as_ref());
        schema.map_or(Ok(()), |schema| {
            reserved::check(schema, &self.state_schema, Use::Change)
        })
    }

    /// Makes the table fit and plans the load. A table that an atomic load creates is created in the load's own
    /// transaction, so that an aborted load leaves nothing.
    pub(super) async fn open_table(
        &self,
        request: &LoadRequest,
        lending: impl Future<Output = Result<Connection, Error>> + Send,
    ) -> Result<Opened, Error> {
        // On the heap, as the migrations are: together they would take half a megabyte of stack in a debug build.
        let opening = Box::pin(self.open_table_at_last(request, lending));
        self.patience(request).migration().wait(opening).await
    }

    async fn open_table_at_last(
        &self,
        request: &LoadRequest,
        lending: impl Future<Output = Result<Connection, Error>> + Send,
    ) -> Result<Opened, Error> {
        let has = self.installed(&request.schema, request.options.type_profile).await?;
        let wish = Wish::of(request, self.policy(&request.options), &has)?;
        let accepts = wish.accepts();
        let mut connection = lending.await?;
        let tenure = connection.tenure().clone();
        let stamp = self.stamp(&connection, request).await?;
        let migrate = self.migrate_request(request, &wish, &accepts, &tenure);
        let there = match request.options.commit {
            CommitMode::Batch => Some(Box::pin(migrate::ensure(connection.client_mut(), &migrate)).await?),
            CommitMode::Atomic if presence::creates(request) => None,
            CommitMode::Atomic => Box::pin(migrate::prepare(connection.client_mut(), &migrate)).await?,
        };
        if let Some((table, report)) = there {
            presence::check(request, table.name(), table.created())?;
            let scope = connection.scope().await?;
            let mut plan = self.plan(&scope, request, &wish, &table).await?;
            drop(scope);
            let migration = sql_of(report);
            // What was changed for this load is not what the stamp was read of.
            plan.stamp = stamp.filter(|_| migration.is_empty());
            let plan = self.known.keep(request, stamped(plan, request, &table), &connection);
            return Ok(Opened {
                plan,
                begun: None,
                created: false,
                migration,
            });
        }
        let settings = self.settings(&request.options);
        let commits = self.commits_of(request);
        let mark = begin(&mut connection, &settings, self.patience(request), commits).await?;
        let creating = Box::pin(async {
            let renewed = self.make_way(&connection, request).await?;
            let (table, report) = migrate::ensure_in(connection.client().driver(), &migrate).await?;
            presence::check(request, table.name(), table.created())?;
            let plan = self.plan(connection.client(), request, &wish, &table).await?;
            if let (true, Some(notes)) = (renewed, &plan.notes) {
                notes.note_emptied(connection.client()).await?;
            }
            Ok((Arc::new(plan), sql_of(report)))
        });
        let created: Result<_, Error> = creating.await;
        if created.as_ref().is_err_and(Error::lost_connection) {
            end_lost(connection.siblings(), mark.clone());
        }
        let (plan, migration) = created?;
        Ok(Opened {
            plan,
            begun: Some(Begun { connection, mark }),
            created: true,
            migration,
        })
    }

    /// What the table is before it is looked at, where its plan may be used again.
    async fn stamp(&self, connection: &Connection, request: &LoadRequest) -> Result<Option<Stamp>, Error> {
        if connection.tenure().is_lent() || !may_be_known(request) {
            return Ok(None);
        }
        let asked = TableName {
            schema: request.table.schema.as_ref().or(self.default_schema.as_ref()).cloned(),
            name: request.table.name.clone(),
        };
        Stamp::read(connection.client(), &asked).await
    }

    /// Plans again for a table that changed; one that is gone stays gone.
    pub(super) async fn open_existing(&self, request: &LoadRequest) -> Result<Arc<Plan>, Error> {
        let has = self.installed(&request.schema, request.options.type_profile).await?;
        let wish = Wish::of(request, self.policy(&request.options), &has)?;
        let accepts = wish.accepts();
        let mut connection = self.connections.get().await?;
        let tenure = connection.tenure().clone();
        let migrate = self.migrate_request(request, &wish, &accepts, &tenure);
        let dropped = |table: &TableName| Error::Dropped {
            table: table.to_string(),
        };
        // First, because what else a missing table lacks is not worth telling.
        let found = self.found(&*connection.scope().await?, &request.table).await?;
        if found.table.is_none() {
            return Err(dropped(&found.name));
        }
        match migrate::prepare(connection.client_mut(), &migrate).await? {
            Some((table, _)) => {
                let scope = connection.scope().await?;
                Ok(Arc::new(self.plan(&scope, request, &wish, &table).await?))
            }
            None => Err(dropped(&found.name)),
        }
    }

    fn migrate_request<'a>(
        &'a self,
        request: &'a LoadRequest,
        wish: &'a Wish<'_>,
        accepts: &'a Accepts<'a>,
        tenure: &'a Tenure,
    ) -> MigrateRequest<'a> {
        MigrateRequest {
            name: &request.table,
            default_schema: self.default_schema.as_ref(),
            wanted: &wish.wanted,
            policy: &wish.policy,
            accepts: Some(accepts),
            waits: lock_waits(request.options.lock_timeout),
            session: tenure.settings(),
        }
    }

    async fn plan(
        &self,
        client: &Session,
        request: &LoadRequest,
        wish: &Wish<'_>,
        table: &VerifiedTable,
    ) -> Result<Plan, Error> {
        let target = Target {
            is_empty: table.created() || is_empty(client, request, table).await?,
            settings: self.settings(&request.options),
            commits: self.commits_of(request).cloned(),
            lock_waits: LockLimits::new(request.options.lock_timeout.unwrap_or(self.session.lock_timeout)),
            patience: self.patience(request),
            key: &wish.wanted.primary_key,
            table,
        };
        let mut plan = plan(target, &request.options, || {
            CopyPlan::new(&request.schema, table.columns(), &wish.encode).map_err(|source| Error::Plan {
                table: table.name().to_string(),
                source,
            })
        })?;
        plan.rejects = RejectPlan::new(request, table.name(), &self.state_schema, &wish.encode)?;
        // A key that is there already says nothing about a row of an overwrite, so bad rows are looked for in the merge.
        plan.starts_empty &= plan.rejects.is_none();
        if let Some(store) = &self.embed {
            plan.notes = NotePlan::new(store, client, table, &request.schema, &wish.encode).await?;
        }
        Ok(plan)
    }

    /// Opens a stream whose table need not exist yet.
    pub(super) async fn open_named_stream(&self, name: &StreamName, table: &TableName) -> Result<StreamState, Error> {
        self.check_schema(table)?;
        let mut connection = self.connections.get().await?;
        let scope = connection.scope().await?;
        let found = self.found(&scope, table).await?;
        check_found(&found.server)?;
        let state = stream::open(&scope, &self.state_schema, name, &found.name).await?;
        scope.done().await.map(|()| state)
    }

    /// The tries of one transaction.
    pub(super) fn tries(&self) -> Tries {
        Tries::new(Policy::new(self.retry_on_deadlock, self.retry_timeout), Instant::now())
    }

    /// What tells how a transaction of this load ended; `None` where the stream's row does.
    fn commits_of(&self, request: &LoadRequest) -> Option<&Commits> {
        request.options.stream_id.is_none().then_some(&self.commits)
    }

    /// Longest wait for the answer to a statement of this load.
    pub(super) fn patience(&self, request: &LoadRequest) -> Patience {
        Patience::new(self.statement_timeout(request))
    }

    /// Longest run of a statement of this load.
    pub(super) fn statement_timeout(&self, request: &LoadRequest) -> Duration {
        let limit = request
            .options
            .statement_timeout
            .unwrap_or(self.session.statement_timeout);
        // 0 means without limit, so that a cancelled statement was never cancelled by it.
        if limit.is_zero() { Duration::MAX } else { limit }
    }

    pub(super) fn policy(&self, options: &LoadOptions) -> MigratePolicy {
        let policy = MigratePolicy {
            mode: options.migrate_mode,
            profile: options.type_profile,
            needs_key: matches_by_key(options.write_mode),
            loading: Some(options.loading()),
            performance_indexes: self.performance_indexes,
            ..MigratePolicy::default()
        };
        policy.with_rules(&options.migrate_rules)
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
