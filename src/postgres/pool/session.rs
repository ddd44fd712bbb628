//! One session of the pool: the client of `deadpool-postgres` with its statement cache, and what only we know of the session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use deadpool::managed::Manager as _;
use deadpool_postgres::{ClientWrapper, Manager};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement, Transaction};

use crate::model::ident::Ident;
use crate::postgres::connect::Flow;
use crate::postgres::scope::Tenure;
use crate::postgres::serial::Serials;
use crate::sql::state::betrays_pooler;

/// Whoever can be asked with one of our statements. What is asked for every load is prepared once for a session and kept under a
/// name there, where the session belongs to nobody else.
pub trait Ask: Sync {
    /// Runs a statement; parameters come with their types, so that nothing about them is asked.
    fn ask(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;
}

/// One that can also open transactions.
pub trait Begin: Ask + Send {
    /// The driver's client.
    fn driver(&self) -> &Client;

    /// The driver's client, for transactions.
    fn driver_mut(&mut self) -> &mut Client;
}

/// Statements of single tables that a session keeps; the one that was prepared first goes.
const KEPT: usize = 64;

/// A session of ours.
#[derive(Debug)]
pub struct Session {
    client: ClientWrapper,
    manager: Arc<Manager>,
    /// Whose the server session is.
    pub(super) tenure: Tenure,
    pub(super) opened: Instant,
    /// How often all sessions had been condemned when this one was opened.
    pub(super) generation: u64,
    /// Staging tables that this session has; they are empty between two transactions.
    pub(super) stages: BTreeSet<Ident>,
    /// Names its transactions.
    pub(super) serials: Serials,
    /// What it was to learn by a name of SQL (`prepare`), and whether it did.
    pub(super) taught: BTreeMap<&'static str, bool>,
    /// Statements of single tables, by their text.
    kept: Mutex<VecDeque<(String, Statement)>>,
    flow: Option<Flow>,
}

impl Session {
    pub(super) fn new(client: ClientWrapper, manager: Arc<Manager>, generation: u64, flow: Option<Flow>) -> Self {
        Self {
            client,
            manager,
            tenure: Tenure::Ours,
            opened: Instant::now(),
            generation,
            stages: BTreeSet::new(),
            serials: Serials::new(),
            taught: BTreeMap::new(),
            kept: Mutex::default(),
            flow,
        }
    }

    /// Whose the server session is.
    pub(crate) fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// Where its rows are counted while a client reads them.
    pub(crate) fn flow(&self) -> Option<&Flow> {
        self.flow.as_ref()
    }

    pub(super) fn wrapper(&mut self) -> &mut ClientWrapper {
        &mut self.client
    }

    /// No session of the pool uses a statement again that it kept until now, as after a change of our own tables.
    pub(crate) fn forget_statements(&self) {
        self.manager.statement_caches.clear();
    }

    /// A statement of loads into one table, prepared once where the session is ours: it finds its table each time that it is carried
    /// out.
    pub(crate) async fn kept_statement(&self, sql: &str) -> Result<Statement, Error> {
        if self.tenure.is_lent() {
            return self.client.prepare(sql).await;
        }
        let known = |kept: &VecDeque<(String, Statement)>| {
            let found = kept.iter().find(|(text, _)| text == sql);
            found.map(|(_, statement)| statement.clone())
        };
        if let Some(statement) = known(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((sql.to_owned(), statement.clone()));
        Ok(statement)
    }

    async fn ask_kept(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        let types: Vec<Type> = parameters.iter().map(|(_, ty)| ty.clone()).collect();
        let statement = self.client.prepare_typed_cached(sql, &types).await?;
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        self.client.query(&statement, &values).await
    }
}

impl Ask for Session {
    async fn ask(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        if !self.tenure.keeps_statements() {
            return self.client.ask(sql, parameters).await;
        }
        let outdated = match self.ask_kept(sql, parameters).await {
            Err(error) if is_outdated(&error) => error,
            done => return done,
        };
        tracing::debug!(error = %outdated, "kept statements are prepared anew");
        self.forget_statements();
        match self.client.ask(sql, parameters).await {
            // A transaction does not outlive its first failure; whoever runs it again finds nothing outdated.
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => Err(outdated),
            done => done,
        }
    }
}

impl Ask for Client {
    async fn ask(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        self.query_typed(sql, parameters).await
    }
}

impl Ask for Transaction<'_> {
    async fn ask(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        self.query_typed(sql, parameters).await
    }
}

impl Begin for Session {
    fn driver(&self) -> &Client {
        self
    }

    fn driver_mut(&mut self) -> &mut Client {
        self
    }
}

impl Begin for Client {
    fn driver(&self) -> &Client {
        self
    }

    fn driver_mut(&mut self) -> &mut Client {
        self
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Here and not in the pool's `detach`, which a session does not see whose setting up failed.
        self.manager.detach(&mut self.client);
    }
}

/// Whether a statement of that name gives other columns by now, or is not there any more.
fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        let other_columns =
            *db.code() == SqlState::FEATURE_NOT_SUPPORTED && db.routine() == Some("RevalidateCachedQuery");
        other_columns || betrays_pooler(db.code().code())
    })
}
