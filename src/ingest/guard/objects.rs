//! What a guarded destination tells about its tables, and who may run statements there.

use super::permit::Permit;
use super::{Guard, Guarded};
use crate::ingest::error::Error;
use crate::ingest::ports::TableReader;
use crate::ingest::ports::catalog::{
    Catalog, Database, ForeignKeyColumn, KeysRequest, NamedTable, PrimaryKeyColumn, Relation, RelationsRequest,
};
use crate::ingest::ports::query::{Prepared, Queries, Statement};
use crate::model::caller::Caller;
use crate::model::ident::TableName;

/// A catalog that shows each caller only what its rights are about.
#[derive(Clone, Copy, Debug)]
pub struct GuardedCatalog<'a> {
    guard: &'a Guard,
    catalog: &'a dyn Catalog,
}

impl<'a> GuardedCatalog<'a> {
    pub(super) fn of(guarded: &'a Guarded) -> Option<Self> {
        Some(Self {
            guard: &guarded.guard,
            catalog: guarded.destination.catalog()?,
        })
    }

    /// As [`Catalog::database`], for whoever there is a rule for.
    ///
    /// # Errors
    /// PERMISSION_DENIED, or the destination's.
    pub async fn database(&self, caller: &Caller) -> Result<Database, Error> {
        self.guard.check_known(caller)?;
        self.catalog.database(&Permit::of(caller)).await
    }

    /// As [`Catalog::schemas`].
    ///
    /// # Errors
    /// As [`GuardedCatalog::database`].
    pub async fn schemas(&self, caller: &Caller, like: Option<&str>) -> Result<Vec<String>, Error> {
        self.guard.check_known(caller)?;
        let (mut found, rules) = (
            self.catalog.schemas(&Permit::of(caller), like).await?,
            self.guard.rules(),
        );
        found.retain(|schema| rules.shows_schema(&caller.principal, schema));
        Ok(found)
    }

    /// As [`Catalog::relations`].
    ///
    /// # Errors
    /// As [`GuardedCatalog::database`].
    pub async fn relations(&self, caller: &Caller, asked: &RelationsRequest) -> Result<Vec<Relation>, Error> {
        self.guard.check_known(caller)?;
        let (permit, rules, mut asked) = (Permit::of(caller), self.guard.rules(), asked.clone());
        let most = asked.limit as usize;
        let mut shown = Vec::new();
        loop {
            let page = self.catalog.relations(&permit, &asked).await?;
            let ended = page.len() < most;
            asked.after = page.last().map(|relation| relation.name.clone());
            let known = page
                .into_iter()
                .filter(|relation| rules.shows(&caller.principal, &relation.name));
            shown.extend(known);
            // A page that is not full would be taken for the last one.
            if ended || shown.len() >= most {
                shown.truncate(most);
                return Ok(shown);
            }
        }
    }

    /// As [`Catalog::primary_keys`].
    ///
    /// # Errors
    /// As [`GuardedCatalog::database`].
    pub async fn primary_keys(&self, caller: &Caller, of: &NamedTable) -> Result<Vec<PrimaryKeyColumn>, Error> {
        self.guard.check_known(caller)?;
        let (mut found, rules) = (
            self.catalog.primary_keys(&Permit::of(caller), of).await?,
            self.guard.rules(),
        );
        found.retain(|key| rules.shows(&caller.principal, &key.table));
        Ok(found)
    }

    /// As [`Catalog::foreign_keys`]: those between two tables of which the caller may know.
    ///
    /// # Errors
    /// As [`GuardedCatalog::database`].
    pub async fn foreign_keys(&self, caller: &Caller, between: &KeysRequest) -> Result<Vec<ForeignKeyColumn>, Error> {
        self.guard.check_known(caller)?;
        let found = self.catalog.foreign_keys(&Permit::of(caller), between).await;
        let (mut found, rules) = (found?, self.guard.rules());
        let shows = |table: &TableName| rules.shows(&caller.principal, table);
        found.retain(|key| shows(&key.from) && shows(&key.to));
        Ok(found)
    }
}

/// Runs statements of callers who may run some, as the role that their rule names.
#[derive(Clone, Copy, Debug)]
pub struct GuardedQueries<'a> {
    guard: &'a Guard,
    queries: &'a dyn Queries,
}

impl<'a> GuardedQueries<'a> {
    pub(super) fn of(guarded: &'a Guarded) -> Option<Self> {
        Some(Self {
            guard: &guarded.guard,
            queries: guarded.destination.queries()?,
        })
    }

    fn permit(&self, caller: &Caller) -> Result<Permit, Error> {
        let rules = self.guard.rules();
        let role = rules.role(&caller.principal)?.cloned();
        Ok(Permit::bound_to(caller, role))
    }

    /// As [`Queries::prepare`].
    ///
    /// # Errors
    /// PERMISSION_DENIED, or the destination's.
    pub async fn prepare(&self, caller: &Caller, sql: &str) -> Result<Prepared, Error> {
        self.queries.prepare(&self.permit(caller)?, sql).await
    }

    /// As [`Queries::query`].
    ///
    /// # Errors
    /// As [`GuardedQueries::prepare`].
    pub async fn query(&self, caller: &Caller, statement: Statement) -> Result<TableReader, Error> {
        self.queries.query(&self.permit(caller)?, statement).await
    }

    /// As [`Queries::execute`].
    ///
    /// # Errors
    /// As [`GuardedQueries::prepare`].
    pub async fn execute(&self, caller: &Caller, statement: Statement) -> Result<u64, Error> {
        self.queries.execute(&self.permit(caller)?, statement).await
    }
}
