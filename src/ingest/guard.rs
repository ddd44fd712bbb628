//! Stands before every destination: whatever a door asks of a table goes through here, is held against the access rules, and
//! only then gets the [`Permit`] that a destination demands. Where there are no rules, everything goes through as it came.
//!
//! A table that is named without a schema is located first, and goes on under its full name, so that what was allowed is what
//! is done. A refusal is made from the rules alone: it is the same whether the table exists or not.

mod objects;
pub mod permit;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

pub use objects::{GuardedCatalog, GuardedQueries};
use permit::Permit;

use super::error::{DestinationError, Error, Facts};
use super::ports::{
    ConnectionFailure, Destination, ListRequest, Load, Parts, ReadRequest, StreamState, TableDescription, TableReader,
};
use super::request::LoadRequest;
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::{Ident, TableName};
use crate::model::migration::MigrationReport;
use crate::model::options::WriteMode;
use crate::model::presence::IfPresent;
use crate::model::rights::{Denied, NO_RIGHT, Right, Rules};

/// The rules that hold now. Cheap to clone; all clones see a change.
#[derive(Clone, Debug, Default)]
pub struct Guard(Arc<RwLock<Arc<Rules>>>);

impl Guard {
    /// A guard by these rules.
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// From now on these rules hold; what was allowed before goes on.
    pub fn change(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// The destination behind this guard.
    pub fn over(&self, destination: Arc<dyn Destination>) -> Guarded {
        Guarded {
            guard: self.clone(),
            destination,
        }
    }

    /// Refuses somebody for whom there is no rule at all.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn check_known(&self, caller: &Caller) -> Result<(), Error> {
        Ok(self.rules().check_known(&caller.principal)?)
    }

    /// Refuses somebody who may bring no database and no embeddings of their own.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn check_admin(&self, caller: &Caller) -> Result<(), Error> {
        Ok(self.rules().check_admin(&caller.principal)?)
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Destination(DestinationError {
            class: Class::Denied,
            message: denied.to_string(),
            facts: Facts {
                table: denied.table.as_ref().map(ToString::to_string),
                reason: Some(NO_RIGHT),
                ..Facts::default()
            },
            source: None,
        })
    }
}

/// A destination behind a guard: all that doors get.
#[derive(Clone, Debug)]
pub struct Guarded {
    guard: Guard,
    destination: Arc<dyn Destination>,
}

/// What a load needs besides the right to change its table.
fn needed(request: &LoadRequest) -> &'static [Right] {
    match (request.presence.if_present, request.options.write_mode) {
        (IfPresent::Renew, _) | (_, WriteMode::Replace) => &[Right::Replace],
        (_, WriteMode::Append) => &[Right::Append],
        (_, WriteMode::Overwrite) => &[Right::Overwrite],
        (_, WriteMode::OverwriteDeleteStale) => &[Right::Overwrite, Right::Delete],
    }
}

impl Guarded {
    /// The rules, where there are some.
    fn rules(&self) -> Option<Arc<Rules>> {
        Some(self.guard.rules()).filter(|rules| !rules.is_open())
    }

    /// A table under its full name.
    async fn locate(&self, caller: &Caller, table: &mut TableName) -> Result<(), Error> {
        self.guard.check_known(caller)?;
        let (None, Some(catalog)) = (&table.schema, self.destination.catalog()) else {
            return Ok(());
        };
        let schema = catalog.database(&Permit::of(caller)).await?.schema;
        table.schema = schema.and_then(|schema| Ident::new(schema).ok());
        Ok(())
    }

    /// As [`Destination::open`], for whoever has the right of its write mode.
    ///
    /// # Errors
    /// PERMISSION_DENIED, or the destination's.
    pub async fn open(&self, caller: &Caller, mut request: LoadRequest) -> Result<Arc<dyn Load>, Error> {
        if let Some(rules) = self.rules() {
            self.locate(caller, &mut request.table).await?;
            for right in needed(&request) {
                rules.check(&caller.principal, *right, &request.table)?;
            }
            request.options.migrate_rules.barred = rules.barred(&caller.principal, &request.table);
        }
        self.destination.open(&Permit::of(caller), request).await
    }

    /// As [`Destination::open_stream`], for whoever may write to the table.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn open_stream(&self, caller: &Caller, stream_id: &str, table: &TableName) -> Result<StreamState, Error> {
        let mut table = table.clone();
        if let Some(rules) = self.rules() {
            self.locate(caller, &mut table).await?;
            let writes = [Right::Append, Right::Overwrite, Right::Replace];
            if !writes
                .iter()
                .any(|right| rules.allow(&caller.principal, *right, &table))
            {
                rules.check(&caller.principal, Right::Append, &table)?;
            }
        }
        self.destination
            .open_stream(&Permit::of(caller), stream_id, &table)
            .await
    }

    /// As [`Destination::stream_status`]: streams are each caller's own.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn stream_status(&self, caller: &Caller, stream_id: &str) -> Result<Option<StreamState>, Error> {
        self.guard.check_known(caller)?;
        self.destination.stream_status(&Permit::of(caller), stream_id).await
    }

    /// As [`Destination::migrate`], for whoever may know of the table; one that would have to be changed needs the right for it.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn migrate(&self, caller: &Caller, mut command: MigrateCommand) -> Result<MigrationReport, Error> {
        if let Some(rules) = self.rules() {
            self.locate(caller, &mut command.table).await?;
            if !rules.shows(&caller.principal, &command.table) {
                rules.check(&caller.principal, Right::Migrate, &command.table)?;
            }
            command.rules.barred = rules.barred(&caller.principal, &command.table);
        }
        self.destination.migrate(&Permit::of(caller), command).await
    }

    /// As [`Destination::delete_stale`].
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn delete_stale(&self, caller: &Caller, mut command: DeleteStale) -> Result<u64, Error> {
        self.checked(caller, Right::Delete, &mut command.table).await?;
        self.destination.delete_stale(&Permit::of(caller), command).await
    }

    /// As [`Destination::delete_records`]; the right is needed for every table that is named.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn delete_records(&self, caller: &Caller, mut command: DeleteRecords) -> Result<u64, Error> {
        self.checked(caller, Right::Delete, &mut command.table).await?;
        for relation in &mut command.relations {
            self.checked(caller, Right::Delete, &mut relation.table).await?;
            self.checked(caller, Right::Delete, &mut relation.parent).await?;
        }
        self.destination.delete_records(&Permit::of(caller), command).await
    }

    /// As [`Destination::read`].
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn read(&self, caller: &Caller, mut request: ReadRequest) -> Result<TableReader, Error> {
        self.checked(caller, Right::Read, &mut request.table).await?;
        self.destination.read(&Permit::of(caller), request).await
    }

    /// As [`Destination::parts`], for whoever may read them.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn parts(&self, caller: &Caller, mut request: ReadRequest, wanted: u32) -> Result<Parts, Error> {
        self.checked(caller, Right::Read, &mut request.table).await?;
        self.destination.parts(&Permit::of(caller), request, wanted).await
    }

    /// As [`Destination::describe`], for whoever may know of the table.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn describe(&self, caller: &Caller, mut request: ReadRequest) -> Result<TableDescription, Error> {
        if let Some(rules) = self.rules() {
            self.locate(caller, &mut request.table).await?;
            rules.check_shows(&caller.principal, &request.table)?;
        }
        self.destination.describe(&Permit::of(caller), request).await
    }

    /// As [`Destination::list`]: the tables that the caller may know of.
    ///
    /// # Errors
    /// As [`Guarded::open`].
    pub async fn list(&self, caller: &Caller, mut request: ListRequest) -> Result<Vec<TableName>, Error> {
        self.guard.check_known(caller)?;
        let (permit, rules) = (Permit::of(caller), self.guard.rules());
        let most = request.limit as usize;
        let mut shown = Vec::new();
        loop {
            let page = self.destination.list(&permit, request.clone()).await?;
            let ended = page.len() < most;
            request.after = page.last().cloned();
            shown.extend(page.into_iter().filter(|table| rules.shows(&caller.principal, table)));
            // A page that is not full would be taken for the last one.
            if ended || shown.len() >= most {
                shown.truncate(most);
                return Ok(shown);
            }
        }
    }

    async fn checked(&self, caller: &Caller, right: Right, table: &mut TableName) -> Result<(), Error> {
        if let Some(rules) = self.rules() {
            self.locate(caller, table).await?;
            rules.check(&caller.principal, right, table)?;
        }
        Ok(())
    }

    /// As [`Destination::test_connection`].
    ///
    /// # Errors
    /// The destination's.
    pub async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        self.destination.test_connection().await
    }

    /// As [`Destination::connections`].
    pub fn connections(&self) -> usize {
        self.destination.connections()
    }

    /// What the destination tells about itself, as far as each caller may know of it.
    pub fn catalog(&self) -> Option<GuardedCatalog<'_>> {
        GuardedCatalog::of(self)
    }

    /// Who runs statements, for those who may run some.
    pub fn queries(&self) -> Option<GuardedQueries<'_>> {
        GuardedQueries::of(self)
    }
}
