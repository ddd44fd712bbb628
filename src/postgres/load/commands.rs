//! What a destination does besides loads: migrate a table when asked, delete stale rows and records. The SQL of deletions
//! is made in [`super::delete`]; this runs it.

use std::time::{Instant, SystemTime};

use arrow::array::RecordBatch;
use bytes::{Buf, Bytes, BytesMut};
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::Row;

use super::destination::PgDestination;
use super::plan::{SOURCE_COLUMN, TIME_COLUMN, lock_waits};
use super::retry::Next;
use super::wish::Wish;
use crate::codec::encode::{CellError, CopyPlan, EncodeOptions};
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand, Predicate};
use crate::model::ident::TableName;
use crate::model::loading::Loading;
use crate::model::migration::MigrationReport;
use crate::model::options::{NulBytes, TypeProfile};
use crate::model::table::TargetColumn;
use crate::planner::delete;
use crate::planner::diff::Accepts;
use crate::planner::found::FoundTable;
use crate::planner::loading::unusable;
use crate::planner::policy::Policy;
use crate::postgres::catalog;
use crate::postgres::embed::followed::Followed;
use crate::postgres::error::Error;
use crate::postgres::migrate::{self, MigrateRequest};
use crate::postgres::pool::{Connection, Session};
use crate::postgres::writable::check_found;

/// Stale rows deleted in one transaction: some tens of milliseconds, so that no lock lasts and vacuum keeps up.
const SLICE_ROWS: u32 = 10_000;

impl PgDestination {
    /// Brings a table to the shape of a schema, or says what that would take.
    pub(super) async fn migrate_table(&self, command: &MigrateCommand) -> Result<MigrationReport, Error> {
        self.check_schema(&command.table)?;
        let policy = Policy {
            mode: command.mode,
            profile: command.profile,
            needs_key: command.for_load.as_ref().is_some_and(Loading::matches_by_key),
            loading: command.for_load.clone(),
            performance_indexes: self.performance_indexes || command.performance_indexes,
            ..Policy::default()
        };
        let has = self.installed(&command.schema, command.profile).await?;
        let mut wish = Wish::of_command(command, policy.with_rules(&command.rules), &has)?;
        if command.for_load.is_none() {
            wish.policy.needs_key = !wish.wanted.primary_key.is_empty();
        }
        let accepts = wish.accepts();
        let mut connection = self.connections.get().await?;
        let tenure = connection.tenure().clone();
        let request = MigrateRequest {
            name: &command.table,
            default_schema: self.default_schema.as_ref(),
            wanted: &wish.wanted,
            policy: &wish.policy,
            accepts: command.for_load.is_some().then_some(&accepts as &Accepts<'_>),
            waits: lock_waits(command.lock_timeout),
            session: tenure.settings(),
        };
        if command.dry_run {
            return Ok(migrate::plan_only(connection.client_mut(), &request).await?);
        }
        Ok(migrate::ensure(connection.client_mut(), &request).await?.1)
    }

    /// Deletes stale rows slice by slice, each a transaction of its own.
    pub(super) async fn delete_stale_rows(&self, command: &DeleteStale) -> Result<u64, Error> {
        self.check_schema(&command.table)?;
        let mut connection = self.connections.get().await?;
        let scope = connection.scope().await?;
        let (table, found) = self.existing(&scope, &command.table).await?;
        if let Some((column, what)) = unusable(&table, |column| Some(&found.column(column)?.ty)) {
            return Err(Error::Unfit {
                table: table.to_string(),
                column: Some(column.to_owned()),
                why: format!(
                    "stale rows are known by the columns {SOURCE_COLUMN} and {TIME_COLUMN}, and {what}; use pgflight.delete_records to delete by other columns"
                ),
            });
        }
        // A slice could take a row that one of a later slice names; a foreign key is checked when a statement ends.
        let slice_rows = if found.self_references().next().is_some() {
            u32::MAX
        } else {
            SLICE_ROWS
        };
        let followed = self.followed(&scope, std::slice::from_ref(&table)).await?;
        drop(scope);
        drop(connection);
        let keys = followed.key_expressions();
        let sql = delete::stale_slice(&table, slice_rows, keys.first().and_then(Option::as_deref));
        let doing = format!("deleting stale rows of {table}");
        let mut deleted = 0;
        loop {
            let slice = self
                .answer(
                    &table,
                    &doing,
                    &sql,
                    &[
                        (&command.source_name, Type::TEXT),
                        (&Moment(command.sync_time), Type::UNKNOWN),
                    ],
                    &followed,
                )
                .await?;
            let (gone, picked) = (number(slice.get(0)), number(slice.get(delete::PICKED)));
            deleted += gone;
            // Where fewer are gone than were picked, somebody changed one meanwhile, or a trigger keeps it: then none goes.
            let all = picked < u64::from(slice_rows) && gone >= picked;
            if all || gone == 0 {
                return Ok(deleted);
            }
        }
    }

    /// Deletes records and what hangs below them in one statement.
    pub(super) async fn delete_record_rows(&self, command: &DeleteRecords) -> Result<u64, Error> {
        let tables = command.relations.iter().map(|relation| &relation.table);
        for table in tables.chain([&command.table]) {
            self.check_schema(table)?;
        }
        let mut connection = self.connections.get().await?;
        let scope = connection.scope().await?;
        let mut named = command.clone();
        let found;
        (named.table, found) = self.existing(&scope, &command.table).await?;
        for relation in &mut named.relations {
            relation.table = self.existing(&scope, &relation.table).await?.0;
            relation.parent = self.existing(&scope, &relation.parent).await?.0;
        }
        let tables: Vec<TableName> = std::iter::once(&named.table)
            .chain(named.relations.iter().map(|relation| &relation.table))
            .cloned()
            .collect();
        let followed = self.followed(&scope, &tables).await?;
        drop(scope);
        drop(connection);
        let sql = delete::records(&named, &followed.key_expressions())?;
        let mut values = Vec::new();
        for predicate in named.groups.iter().flat_map(|group| &group.predicates) {
            values.push(value(&named.table, &found, predicate)?);
        }
        let parameters: Vec<Typed<'_>> = values
            .iter()
            .map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN))
            .collect();
        let doing = format!("deleting records of {}", named.table);
        let row = self.answer(&named.table, &doing, &sql, &parameters, &followed).await?;
        Ok(number(row.get(0)))
    }

    /// Which of these tables are embedded.
    async fn followed(&self, client: &Session, tables: &[TableName]) -> Result<Followed, Error> {
        match &self.embed {
            Some(store) => store.followed(client, tables).await,
            None => Ok(Followed::default()),
        }
    }

    /// The table under its full name, and what the catalog says about it.
    async fn existing(&self, client: &Session, name: &TableName) -> Result<(TableName, FoundTable), Error> {
        let found = catalog::read_table(client, name, self.default_schema.as_ref()).await?;
        check_found(&found.server)?;
        match found.table {
            Some(table) if !table.rights.delete => Err(Error::lacks(
                &found.name,
                &found.server.role,
                "DELETE",
                "the action deletes rows of",
            )),
            Some(table) => Ok((found.name, table)),
            None => Err(Error::NoTable {
                table: found.name.to_string(),
            }),
        }
    }

    /// Runs one statement that is a transaction by itself and answers with a row of numbers; again when another was in the way.
    /// Chunks of the deleted rows go in the same transaction.
    async fn answer(
        &self,
        table: &TableName,
        doing: &str,
        sql: &str,
        parameters: &[Typed<'_>],
        followed: &Followed,
    ) -> Result<Row, Error> {
        let mut tries = self.tries();
        loop {
            let mut connection = self.connections.get().await?;
            connection.mark_dirty();
            let error = match answer_once(&mut connection, doing, sql, parameters, followed).await {
                Ok(row) => {
                    connection.mark_clean();
                    return Ok(row);
                }
                Err(error) => error.of(table),
            };
            if error.poisons_pool() {
                self.connections.condemn();
            }
            // Deleting the same rows twice deletes them once, so a lost answer needs no other care.
            match tries.after(error.remedy(), Instant::now(), fastrand::f64()) {
                Next::Retry(pause) => {
                    tracing::warn!(error = %error, tries = tries.count(), "a deletion is tried again");
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }
}

async fn answer_once(
    connection: &mut Connection,
    doing: &str,
    sql: &str,
    parameters: &[Typed<'_>],
    followed: &Followed,
) -> Result<Row, Error> {
    let failed = |error| Error::statement(doing, error);
    if followed.is_empty() {
        let scope = connection.scope().await?;
        let row = scope.query_typed_one(sql, parameters).await.map_err(failed)?;
        return scope.done().await.map(|()| row);
    }
    let tx = connection.transaction().await.map_err(failed)?;
    let row = followed.delete(&tx, sql, parameters).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(row)
}

/// A count as Postgres answers it.
fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// A predicate's value as the encoder writes it for the column, so that it equals what a load of it stored.
fn value(table: &TableName, found: &FoundTable, predicate: &Predicate) -> Result<Encoded, Error> {
    let Some(column) = found.column(&predicate.column) else {
        return Err(Error::NoColumn {
            table: table.to_string(),
            column: predicate.column.to_string(),
        });
    };
    let target = TargetColumn {
        name: column.name.clone(),
        ty: column.ty.clone(),
        nullable: true,
    };
    let options = EncodeOptions {
        nul_bytes: NulBytes::Strip,
        type_profile: TypeProfile::Cloudquery,
    };
    let plan = CopyPlan::new(&predicate.value.schema(), &[target], &options).map_err(|source| Error::Plan {
        table: table.to_string(),
        source,
    })?;
    encode(&plan, &predicate.value).map_err(|cell| Error::Cell {
        more: 0,
        table: table.to_string(),
        row: 0,
        cell: Box::new(cell),
    })
}

/// The one field of a COPY tuple: a count of fields, then length and bytes, the length of NULL being -1.
fn encode(plan: &CopyPlan, batch: &RecordBatch) -> Result<Encoded, CellError> {
    let mut tuple = BytesMut::new();
    plan.bind(batch)?.encode(0, usize::MAX, 0, &mut tuple)?;
    let mut rest = tuple.freeze();
    rest.advance(size_of::<i16>().min(rest.len()));
    let length = if rest.len() >= size_of::<i32>() {
        rest.get_i32()
    } else {
        -1
    };
    Ok(Encoded(
        usize::try_from(length)
            .ok()
            .map(|length| rest.slice(..length.min(rest.len()))),
    ))
}

/// A parameter, and the type that it is announced with; the statement decides where that is not known.
type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// A point of time for a column of either type of timestamps, which have one binary form.
#[derive(Debug)]
pub(super) struct Moment(pub(super) SystemTime);

impl ToSql for Moment {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(&Type::TIMESTAMPTZ, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A parameter in Postgres' binary form; the statement decides its type, and the encoder wrote it for that type.
#[derive(Debug)]
struct Encoded(Option<Bytes>);

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
