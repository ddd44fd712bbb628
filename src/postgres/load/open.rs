//! Opens loads of the destination: finished streams, the table, the stream's row, then a load of the kind that was asked for.

use std::sync::Arc;

use super::atomic::AtomicLoad;
use super::batch::BatchLoad;
use super::destination::PgDestination;
use super::finished::FinishedLoad;
use super::opened::Opened;
use super::shared::Shared;
use super::stream::{self, Writer};
use crate::ingest::ports::{Load, StreamName};
use crate::ingest::request::LoadRequest;
use crate::model::caller::Caller;
use crate::model::options::{BadRowPolicy, CommitMode};
use crate::postgres::error::Error;
use crate::postgres::state;

impl PgDestination {
    pub(super) async fn open_load(&self, caller: &Caller, request: LoadRequest) -> Result<Arc<dyn Load>, Error> {
        self.check_schema(&request.table)?;
        let name = request
            .options
            .stream_id
            .clone()
            .map(|stream_id| stream_name(caller, stream_id));
        if let Some(name) = &name {
            let mut connection = self.connections.get().await?;
            let found = self.patience(&request).wait(async {
                let scope = connection.scope().await?;
                let found = stream::status(&scope, &self.state_schema, name).await?;
                scope.done().await.map(|()| found)
            });
            let found = found.await?;
            if let Some(state) = found.filter(|state| state.finished.is_some()) {
                return Ok(Arc::new(FinishedLoad(state)));
            }
        }
        if request.options.on_bad_row == BadRowPolicy::Reject {
            let mut connection = self.connections.get().await?;
            let scope = connection.scope().await?;
            state::ensure(&scope, &self.state_schema).await?;
            scope.done().await?;
        }
        let request = self.as_found(request).await?;
        let known = self.known.find(&request);
        let on_trust = known.is_some();
        let mut opened = match known {
            Some(plan) => Opened::known(plan),
            None => self.open_table(&request, self.connections.get()).await?,
        };
        if name.is_some() {
            // Whoever holds a connection waits for no other one.
            opened.give_back().await;
        }
        let writer = match name {
            None => None,
            Some(name) => {
                let mut connection = self.connections.get().await?;
                let table = opened.plan.table.clone();
                let opening = async {
                    let scope = connection.scope().await?;
                    let writer = Writer::open(&scope, &self.state_schema, name, &table, &request.options).await?;
                    scope.done().await.map(|()| writer)
                };
                Some(self.patience(&request).wait(opening).await?)
            }
        };
        let migration = opened.migration.clone();
        let (commit, lanes) = (request.options.commit, usize::from(request.options.lanes.get()));
        let shared = Shared::new(self.clone(), request, Arc::clone(&opened.plan)).on_trust(on_trust);
        Ok(match commit {
            CommitMode::Atomic => Arc::new(AtomicLoad::new(shared, writer, migration, opened.waiting().await)),
            CommitMode::Batch => Arc::new(BatchLoad::new(shared, writer, lanes, migration)),
        })
    }
}

pub(super) fn stream_name(caller: &Caller, stream_id: String) -> StreamName {
    StreamName {
        owner: caller.principal.namespace().to_owned(),
        stream_id,
    }
}
