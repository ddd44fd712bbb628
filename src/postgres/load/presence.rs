//! Whether a load finds its table as its client expects, and what makes way for a table that shall be new.
//!
//! A table that has exactly the stream's columns already is renewed by swapping its rows, which locks it for a moment, at the
//! end. Another one is dropped in the load's own transaction, so that a load that fails leaves it as it was; from its first
//! row to its end nobody else can then use the table.

use std::time::Duration;

use tokio_postgres::Client;

use super::destination::PgDestination;
use super::plan::LockLimits;
use super::wish::Wish;
use crate::ingest::request::LoadRequest;
use crate::model::ident::TableName;
use crate::model::options::WriteMode;
use crate::model::presence::{IfAbsent, IfPresent, Presence};
use crate::model::table::TableShape;
use crate::planner::LockWaits;
use crate::planner::found::{FoundTable, Identity, RelationKind};
use crate::planner::plan::BarredChange;
use crate::planner::policy::Policy;
use crate::postgres::catalog::read_table;
use crate::postgres::error::Error;
use crate::postgres::migrate::MigrateError;
use crate::postgres::pool::Connection;
use crate::sql::Sql;

impl PgDestination {
    /// The request as it is carried out, once it is seen what there is.
    pub(super) async fn as_found(&self, mut request: LoadRequest) -> Result<LoadRequest, Error> {
        if request.presence == Presence::default() {
            return Ok(request);
        }
        let has = self.installed(&request.schema, request.options.type_profile).await?;
        let swaps = {
            let wish = Wish::of(&request, self.policy(&request.options), &has)?;
            let mut connection = self.connections.get().await?;
            let scope = connection.scope().await?;
            let found = read_table(&*scope, &request.table, self.default_schema.as_ref()).await?;
            let expected = request.presence;
            match &found.table {
                None if expected.if_absent == IfAbsent::Fail => return Err(absent(&found.name)),
                Some(_) if expected.if_present == IfPresent::Fail => return Err(present(&found.name)),
                Some(table) if expected.if_present == IfPresent::Renew => {
                    may_renew(&found.name, table)?;
                    let same = has_shape(table, &wish.wanted);
                    may_drop(&found.name, same, &wish.policy)?;
                    same
                }
                Some(_) | None => false,
            }
        };
        if swaps {
            request.options.write_mode = WriteMode::Replace;
            request.presence.if_present = IfPresent::Take;
        }
        Ok(request)
    }

    /// Drops the table that stands where the load creates its own, inside the transaction that is open; says whether there
    /// was one.
    pub(super) async fn make_way(&self, connection: &Connection, request: &LoadRequest) -> Result<bool, Error> {
        if request.presence.if_present != IfPresent::Renew {
            return Ok(false);
        }
        let found = read_table(connection.client(), &request.table, self.default_schema.as_ref()).await?;
        let Some(table) = &found.table else {
            return Ok(false);
        };
        may_renew(&found.name, table)?;
        let limit = request.options.lock_timeout.unwrap_or(self.session.lock_timeout);
        drop_there(connection.client(), &found.name, &LockLimits::new(limit).restore()).await?;
        Ok(true)
    }
}

/// Whether the table must be the load's own creation.
pub(super) fn creates(request: &LoadRequest) -> bool {
    request.presence.if_present != IfPresent::Take
}

/// Refuses a table that was there after all, or one that is not there any more.
pub(super) fn check(request: &LoadRequest, name: &TableName, created: bool) -> Result<(), Error> {
    match request.presence {
        expected if created && expected.if_absent == IfAbsent::Fail => Err(absent(name)),
        expected if !created && expected.if_present != IfPresent::Take => Err(present(name)),
        _ => Ok(()),
    }
}

fn absent(name: &TableName) -> Error {
    Error::Absent {
        table: name.to_string(),
    }
}

fn present(name: &TableName) -> Error {
    Error::Present {
        table: name.to_string(),
    }
}

/// A new table can stand in for a table only.
fn may_renew(name: &TableName, table: &FoundTable) -> Result<(), Error> {
    match table.kind {
        RelationKind::Table | RelationKind::Partitioned if !table.is_partition => Ok(()),
        RelationKind::Table => Err(Error::unfit(
            name,
            format!(
                "mode replace puts a new table in the place of {name}, which is a partition of another table; write to that one"
            ),
        )),
        other => Err(Error::unfit(
            name,
            format!(
                "mode replace puts a new table in the place of {name}, which is {}; drop it yourself, or choose another name",
                other.words()
            ),
        )),
    }
}

/// Whether creating the table would give these columns again.
fn has_shape(table: &FoundTable, wanted: &TableShape) -> bool {
    let key = wanted.primary_key.is_empty()
        || table
            .primary_key()
            .is_some_and(|key| key.column_names() == wanted.primary_key);
    key && table.columns.len() == wanted.columns.len()
        && table.columns.iter().zip(&wanted.columns).all(|(there, wanted)| {
            there.name == wanted.name
                && there.ty == wanted.ty
                && there.generated.is_none()
                && there.identity != Some(Identity::Always)
                && (there.accepts_null() || !wanted.nullable)
        })
}

/// Refuses a table that would be dropped for a caller who may not change it.
fn may_drop(name: &TableName, swaps: bool, policy: &Policy) -> Result<(), Error> {
    match &policy.barred {
        Some(why) if !swaps => Err(MigrateError::from(BarredChange {
            table: name.clone(),
            reason: "it has other columns than the stream".to_owned(),
            why: why.clone(),
        })
        .into()),
        _ => Ok(()),
    }
}

/// Until it has the lock, whoever comes later waits behind it, so it waits in short holds and gives its place up between.
async fn drop_there(client: &Client, name: &TableName, restore: &str) -> Result<(), Error> {
    let run = async |sql: &str, doing: &'static str| {
        let done = client.batch_execute(sql).await;
        done.map_err(|source| Error::Renew {
            table: name.to_string(),
            doing,
            source,
        })
    };
    let table = name.quoted();
    let mut rungs = LockWaits::default().ladder().into_iter().peekable();
    while let Some(hold) = rungs.next() {
        let lock = format!(
            "savepoint pgflight_renew; set local lock_timeout = {}; lock table {table} in access exclusive mode",
            hold.as_millis()
        );
        match run(&lock, "locking").await {
            Ok(()) => break,
            Err(error) if error.sqlstate() == Some("55P03") && rungs.peek().is_some() => {
                run("rollback to savepoint pgflight_renew", "locking").await?;
                tokio::time::sleep(LockWaits::pause(hold).max(Duration::from_millis(50))).await;
            }
            Err(error) => return Err(error),
        }
    }
    let dropping = Sql::new("drop table ").table(name);
    run(dropping.as_str(), "dropping").await?;
    run(restore, "dropping").await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;
    use crate::ingest::request::LoadOptions;
    use crate::model::caller::Caller;
    use crate::model::ident::Ident;
    use crate::model::options::StreamOptions;

    fn request(if_absent: IfAbsent, if_present: IfPresent) -> LoadRequest {
        let name = TableName::bare(Ident::new("t").unwrap());
        let options = LoadOptions::resolve(StreamOptions::default()).unwrap();
        LoadRequest::new(&Caller::anonymous(), name, Arc::new(Schema::empty()), options)
            .expecting(Presence { if_absent, if_present })
    }

    #[test]
    fn what_a_client_expects_is_held_against_what_was_created() {
        let name = TableName::bare(Ident::new("t").unwrap());
        let told = |if_absent, if_present, created| {
            let checked = check(&request(if_absent, if_present), &name, created);
            checked.err().map(|error| error.to_string())
        };
        assert_eq!(told(IfAbsent::Create, IfPresent::Take, true), None);
        assert_eq!(told(IfAbsent::Create, IfPresent::Take, false), None);
        assert_eq!(told(IfAbsent::Fail, IfPresent::Take, false), None);
        assert!(told(IfAbsent::Fail, IfPresent::Take, true).unwrap().contains("42P01"));
        assert_eq!(told(IfAbsent::Create, IfPresent::Fail, true), None);
        assert!(
            told(IfAbsent::Create, IfPresent::Fail, false)
                .unwrap()
                .contains("42P07")
        );
        assert!(told(IfAbsent::Create, IfPresent::Renew, false).is_some());
    }
}
