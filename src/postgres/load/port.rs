//! [`PgDestination`] as the core sees it: each method of the port in terms of the parts beside this file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::destination::PgDestination;
use super::open::stream_name;
use super::stream;
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::catalog::{
    Catalog, Database, ForeignKeyColumn, KeysRequest, NamedTable, PrimaryKeyColumn, Relation, RelationsRequest,
};

use crate::ingest::ports::query::{Prepared, Queries, Statement};
use crate::ingest::ports::{
    ConnectionFailure, Destination, ListRequest, Load, Parts, Permit, ReadRequest, StreamState, TableDescription,
    TableReader,
};
use crate::ingest::request::LoadRequest;
use crate::model::caller::Caller;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::TableName;
use crate::model::migration::MigrationReport;
use crate::postgres::error::Error;
use crate::postgres::query;
use crate::postgres::read::{self, objects};
use crate::sql::state::Remedy;

impl PgDestination {
    /// The same destination, with connections lent to this caller.
    fn lent_to(&self, caller: &Caller) -> Self {
        let mut lent = self.clone();
        lent.connections = self.connections.lent_to(caller);
        lent
    }
}

/// Pause between two attempts to begin, each of which waits for a connection itself.
const OPEN_PAUSE: Duration = Duration::from_millis(100);

#[async_trait]
impl Destination for PgDestination {
    async fn open(&self, caller: &Permit, request: LoadRequest) -> Result<Arc<dyn Load>, IngestError> {
        let (here, since) = (self.lent_to(caller), Instant::now());
        let mut again = 0;
        loop {
            match here.open_load(caller, request.clone()).await {
                // As a load that runs already would wait.
                Err(error) if error.may_pass() && since.elapsed() < self.retry_timeout => {
                    tracing::debug!(error = %error, "a load waits to begin");
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                // A connection from the pool may have died since it was used, and somebody may change the table between two
                // looks at it; that is nobody's business.
                Err(error) if again < 2 && (error.lost_connection() || error.remedy() == Remedy::Replan) => {
                    tracing::debug!(error = %error, "opening a load again");
                    again += 1;
                    if error.poisons_pool() {
                        self.connections.condemn();
                    }
                }
                done => return self.told(&request.table, done).await,
            }
        }
    }

    async fn open_stream(
        &self,
        caller: &Permit,
        stream_id: &str,
        table: &TableName,
    ) -> Result<StreamState, IngestError> {
        let name = stream_name(caller, stream_id.to_owned());
        let opened = self.lent_to(caller).open_named_stream(&name, table).await;
        self.told(table, opened).await
    }

    async fn stream_status(&self, caller: &Permit, stream_id: &str) -> Result<Option<StreamState>, IngestError> {
        let name = stream_name(caller, stream_id.to_owned());
        let mut connection = self.connections.lent_to(caller).get().await?;
        let scope = connection.scope().await?;
        let found = stream::status(&scope, &self.state_schema, &name).await?;
        scope.done().await?;
        Ok(found)
    }

    async fn ready(&self) -> Result<(), IngestError> {
        Ok(self.takes_loads().await?)
    }

    async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        self.probe().await
    }

    async fn migrate(&self, caller: &Permit, command: MigrateCommand) -> Result<MigrationReport, IngestError> {
        let report = self.lent_to(caller).migrate_table(&command).await;
        self.told(&command.table, report).await
    }

    async fn delete_stale(&self, caller: &Permit, command: DeleteStale) -> Result<u64, IngestError> {
        let deleted = self.lent_to(caller).delete_stale_rows(&command).await;
        self.told(&command.table, deleted).await
    }

    async fn delete_records(&self, caller: &Permit, command: DeleteRecords) -> Result<u64, IngestError> {
        let deleted = self.lent_to(caller).delete_record_rows(&command).await;
        self.told(&command.table, deleted).await
    }

    fn connections(&self) -> usize {
        self.connections.max_size()
    }

    async fn read(&self, caller: &Permit, request: ReadRequest) -> Result<TableReader, IngestError> {
        let connections = self.connections.lent_to(caller);
        let reader = read::read(&connections, self.schemas(), &self.snapshots, &request).await;
        self.told(&request.table, reader).await
    }

    async fn describe(&self, caller: &Permit, request: ReadRequest) -> Result<TableDescription, IngestError> {
        let described = read::describe(&self.connections.lent_to(caller), self.schemas(), &request).await;
        self.told(&request.table, described).await
    }

    async fn parts(&self, caller: &Permit, request: ReadRequest, wanted: u32) -> Result<Parts, IngestError> {
        let connections = self.connections.lent_to(caller);
        let parts = read::parts(&connections, self.schemas(), &self.snapshots, &request, wanted).await;
        self.told(&request.table, parts).await
    }

    async fn list(&self, caller: &Permit, request: ListRequest) -> Result<Vec<TableName>, IngestError> {
        Ok(read::list(&self.connections.lent_to(caller), self.schemas(), &request).await?)
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(self)
    }

    fn queries(&self) -> Option<&dyn Queries> {
        Some(self)
    }
}

#[async_trait]
impl Queries for PgDestination {
    async fn prepare(&self, caller: &Permit, sql: &str) -> Result<Prepared, IngestError> {
        Ok(query::prepare(&self.connections.lent_to(caller), caller.role(), sql).await?)
    }

    async fn query(&self, caller: &Permit, statement: Statement) -> Result<TableReader, IngestError> {
        Ok(query::query(
            &self.connections.lent_to(caller),
            self.query_access,
            caller.role(),
            &statement,
        )
        .await?)
    }

    async fn execute(&self, caller: &Permit, statement: Statement) -> Result<u64, IngestError> {
        Ok(query::execute(&self.connections.lent_to(caller), caller.role(), &statement).await?)
    }
}

#[async_trait]
impl Catalog for PgDestination {
    async fn database(&self, caller: &Permit) -> Result<Database, IngestError> {
        Ok(objects::database(&self.connections.lent_to(caller), self.schemas()).await?)
    }

    async fn schemas(&self, caller: &Permit, like: Option<&str>) -> Result<Vec<String>, IngestError> {
        Ok(objects::schemas(&self.connections.lent_to(caller), self.schemas(), like).await?)
    }

    async fn relations(&self, caller: &Permit, asked: &RelationsRequest) -> Result<Vec<Relation>, IngestError> {
        Ok(objects::relations(&self.connections.lent_to(caller), self.schemas(), asked).await?)
    }

    async fn primary_keys(&self, caller: &Permit, of: &NamedTable) -> Result<Vec<PrimaryKeyColumn>, IngestError> {
        Ok(objects::primary_keys(&self.connections.lent_to(caller), self.schemas(), of).await?)
    }

    async fn foreign_keys(&self, caller: &Permit, between: &KeysRequest) -> Result<Vec<ForeignKeyColumn>, IngestError> {
        Ok(objects::foreign_keys(&self.connections.lent_to(caller), self.schemas(), between).await?)
    }
}

impl PgDestination {
    /// What an answer is to the core. A failure that names no table is about the one of the request, whose schema may be known;
    /// and where the session takes no writes, a new one is asked why.
    async fn told<T>(&self, table: &TableName, answer: Result<T, Error>) -> Result<T, IngestError> {
        let mut error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.poisons_pool() {
            self.connections.condemn();
            error = self.connections.get_now().await.err().unwrap_or(error);
        }
        let error = IngestError::from(error);
        Err(match table.schema.as_ref().or(self.default_schema.as_ref()) {
            Some(schema) => error.about(table.or_schema(schema).to_string()),
            None => error,
        })
    }
}
